"""Which outgoing servers a domain's mail leaves by, and how the policy of MTA-STS is fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from mailroom.doctor.arriving import Unfetched
from mailroom.objects import (
    Account,
    AliasDomain,
    Directory,
    GraphRoute,
    OutgoingServer,
    Provider,
    SinkRoute,
    SmarthostRoute,
)
from mailroom.settings import DoctorSettings
from mailroom.transports.guarded import Caller, Policy
from mailroom.wiring.doctor import _fetch, ways_of

ADDRESSES = DoctorSettings(addresses=("203.0.113.9",))


def directory(*servers: OutgoingServer, domains: tuple[str, ...] = ("example.com",)) -> Directory:
    accounts = {"office": Account(name="office"), "google": Account(name="google", provider=Provider.GOOGLE)}
    aliases = {name: AliasDomain(name=name) for name in domains}
    return Directory(servers={each.name: each for each in servers}, accounts=accounts, alias_domains=aliases)


def ways(*servers: OutgoingServer, domain: str = "example.com") -> list[tuple[str, str, str, tuple[str, ...]]]:
    found = ways_of(directory(*servers), domain, ADDRESSES)
    return [(each.server, each.service.key if each.service else "", each.envelope, each.addresses) for each in found]


GRAPH = OutgoingServer(name="office", route=GraphRoute(account="office"))


def test_each_kind_of_server_is_known_by_what_it_needs() -> None:
    assert ways(GRAPH) == [("office", "microsoft", "example.com", ())]
    assert ways(OutgoingServer(name="g", route=SmarthostRoute(host="smtp.gmail.com", account="google"))) == [
        ("g", "google", "example.com", ())
    ]
    assert ways(OutgoingServer(name="s", route=SmarthostRoute(host="email-smtp.eu-west-1.amazonaws.com"))) == [("s", "ses", "", ())]
    mailgun = OutgoingServer(name="m", route=SmarthostRoute(host="smtp.eu.mailgun.org", user="postmaster@mg.example.com"))
    assert ways(mailgun) == [("m", "mailgun", "mg.example.com", ())]
    assert ways(OutgoingServer(name="r", route=SmarthostRoute(host="relay.example.com"))) == [("r", "", "example.com", ("203.0.113.9",))]
    assert ways(OutgoingServer(name="x", route=SinkRoute())) == []


def test_keys_that_the_settings_name_are_those_of_the_one_server_whose_keys_nobody_knows() -> None:
    settings = DoctorSettings(selectors=("K1._domainkey.example.com.", "other._domainkey.example.net"))
    ses = OutgoingServer(name="ses", route=SmarthostRoute(host="email-smtp.eu-west-1.amazonaws.com"))
    relay = OutgoingServer(name="relay", from_filter=("news@example.com",), route=SmarthostRoute(host="relay.example.com"))

    def named(*servers: OutgoingServer) -> dict[str, tuple[str, ...]]:
        return {each.server: each.named for each in ways_of(directory(*servers), "example.com", settings)}

    assert named(ses) == {"ses": ("k1",)}
    assert named(GRAPH) == {"office": ()}
    assert named(ses, relay) == {"ses": (), "relay": ()}


def test_only_servers_that_would_be_chosen_count() -> None:
    other = OutgoingServer(name="other", from_filter=("other.test",), route=SmarthostRoute(host="smtp.sendgrid.net"))
    address = OutgoingServer(name="news", from_filter=("news@example.com",), route=SmarthostRoute(host="smtp.mailgun.org"))
    assert [each[0] for each in ways(GRAPH, other, address)] == ["news", "office"]


def test_a_domain_that_we_do_not_send_as_is_judged_without_our_servers() -> None:
    assert ways(GRAPH, domain="microsoft.com") == []


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"version: STSv1\n" if self.path == "/good" else b""
            self.send_response(200 if self.path == "/good" else 302 if self.path == "/moved" else 404)
            self.send_header("Location", "/good")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetched(url: str, *, private: tuple[str, ...] = ("127.0.0.0/8",)) -> str:
    caller = Caller(Policy(private))
    try:
        return asyncio.run(_fetch(caller, url))
    finally:
        caller.close()


def test_a_policy_is_fetched_without_following_a_redirect(site: str) -> None:
    assert fetched(f"{site}/good") == "version: STSv1\n"
    with pytest.raises(Unfetched, match="302"):
        fetched(f"{site}/moved")
    with pytest.raises(Unfetched, match="404"):
        fetched(f"{site}/gone")


def test_a_policy_is_not_fetched_from_an_address_that_is_not_public(site: str) -> None:
    with pytest.raises(Unfetched, match=r"private_networks|no public address"):
        fetched(f"{site}/good", private=())
    with pytest.raises(Unfetched, match="no public address"):
        fetched("https://127.0.0.1/.well-known/mta-sts.txt", private=())
