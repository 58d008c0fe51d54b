"""A smarthost at the provider's SMTP server, by XOAUTH2: each resource gets a token of its own, all of them of one grant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import jwt
import pytest

from demo.processes import CONFIDENTIAL_CLIENT
from mailroom_core.model import State
from tests.contract.transports.certificates import Authority
from tests.walk.conftest import MakeWorld
from tests.walk.test_grants import connect_app as connect_registered
from tests.walk.world import ANNA, MARY, TOM, World, eventually, mail, unique
from tests.xoauth2_server import MICROSOFT, Xoauth2Server

OUTLOOK = ("https://outlook.office.com", "https://outlook.office365.com")


class ExchangeOnline:
    """What smtp.office365.com asks of a token: signed by the tenant, meant for it, with the permission, and the user's own. Its IMAP
    asks an app for another `role`."""

    def __init__(self, login: str, role: str = "SMTP.SendAsApp") -> None:
        self.role = role
        key = httpx2.get(f"{login}/common/discovery/v2.0/keys", trust_env=False).json()["keys"][0]
        self.key = jwt.PyJWK({**key, "alg": "RS256"}).key
        self.seen: list[dict[str, Any]] = []

    def __call__(self, user: str, token: str) -> str:
        try:
            claims = jwt.decode(token, self.key, algorithms=["RS256"], audience=OUTLOOK)
        except jwt.PyJWTError as problem:
            return f"{problem} (for {jwt.decode(token, options={'verify_signature': False})['aud']})"
        self.seen.append(claims)
        if self.role in claims.get("roles", ()):
            return ""
        if "SMTP.Send" not in claims.get("scp", "").split():
            return "no SMTP.Send"
        return "" if claims["upn"] == user else f"the token is that of {claims['upn']}"


class Once:
    """Refuses the first token that it sees, now and later; the others may what they may."""

    def __init__(self, may: Callable[[str, str], str]) -> None:
        self.may = may
        self.dead = ""

    def __call__(self, user: str, token: str) -> str:
        self.dead = self.dead or token
        return "revoked before its time" if token == self.dead else self.may(user, token)


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    world = make_world()
    connect_app(world, "SMTP.SendAsApp")
    world.add_application("any", "*")
    return world


@pytest.fixture(scope="module")
def exchange(world: World) -> Iterator[Xoauth2Server]:
    """Senders of fabrikam.example leave by it as Mary, those of robots.example as the app."""
    authority = Authority.make(world.folder / "authority")
    with Xoauth2Server(ExchangeOnline(world.emulator.url), says_no=MICROSOFT, tls=authority.server_context()) as server:
        route = f'host = "127.0.0.1", port = {server.port}, ca_file = "{authority.file}"'
        world.set_up(
            f'[server.relay]\nfrom_filter = ["fabrikam.example"]\nsmarthost = {{ account = "office", {route} }}\n'
            f'[server.robots]\nfrom_filter = ["robots.example"]\nsmarthost = {{ account = "app", {route} }}\n'
        )
        yield server


def test_smtp_waits_until_its_permission_was_asked_for_and_a_refused_token_is_refreshed_once(world: World, exchange: Xoauth2Server) -> None:
    subject, other = unique("by smtp"), unique("by graph")
    world.submit(mail(subject, sender="sales@fabrikam.example"), sender="sales@fabrikam.example", application="any")

    def held() -> str:
        with world.store() as store:
            return next((lane.held for lane in store.lanes() if lane.name == "smarthost:relay"), "")

    assert "run: mailroom connect office --smtp" in eventually(held)
    world.submit(mail(other))
    world.wait_until_sent(other)
    exchange.may = Once(exchange.may)
    world.gateway.connect(world.emulator, "office", MARY, "--no-server", "--smtp")
    world.wait_until_sent(subject)
    (taken,) = exchange.mails
    assert (taken.signed_in, taken.sender, taken.recipients) == (MARY, "sales@fabrikam.example", [ANNA])
    assert exchange.refused == ["revoked before its time"], "a token for Graph is never shown to the SMTP server"
    exchange.refused.clear()
    last = unique("by graph")
    world.submit(mail(last))
    world.wait_until_sent(last)


def test_app_only_shows_a_token_for_exchange_online(world: World, exchange: Xoauth2Server) -> None:
    exchange.mails.clear()
    subject = unique("app only")
    world.submit(mail(subject, sender="erp@robots.example"), sender="erp@robots.example", application="any")
    world.wait_for(subject, State.SENT)
    assert [taken.signed_in for taken in exchange.mails] == [TOM]
    assert exchange.refused == []


def connect_app(world: World, role: str) -> None:
    """Tom's mailbox as the app-only account `app`, which has this permission at Exchange."""
    world.emulator.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", json={"roles": ["Mail.Send", "Mail.ReadWrite", role]})
    connect_registered(world)
