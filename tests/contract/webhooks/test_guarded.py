"""Calls of targets that are hostile, and of addresses that nobody should call."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from mailroom.transports import guarded
from mailroom.transports.guarded import MOST, Caller, NoAnswer, NotAllowed, Policy, words
from mailroom_core.flow import Response
from tests.contract.transports.certificates import Authority
from tests.contract.webhooks.target import Answer, Scripted, drip, endless, endless_head, garbage, hang, reset, running, status

pytestmark = pytest.mark.anyio

LOOPBACK = Policy(["127.0.0.0/8"])


@contextmanager
def calling(policy: Policy = LOOPBACK, context: ssl.SSLContext | None = None) -> Iterator[Caller]:
    caller = Caller(policy, context)
    yield caller
    caller.close()


async def post(caller: Caller, url: str) -> Response:
    target = caller.target(url)
    try:
        return await target.post({"Content-Type": "application/json"}, b"{}")
    finally:
        await target.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "TIMEOUT", 0.3)


async def test_an_answer_comes_back_with_its_head_and_its_body() -> None:
    async with running(status(429, headers="Retry-After: 7\r\n", body=b"later")) as target:
        with calling() as caller:
            answer = await post(caller, target.url(path="/a/b?c=d"))
        assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "7", b"later")
        (received,) = target.received
        assert (received.path, received.body, received.headers["host"]) == ("/a/b?c=d", b"{}", f"127.0.0.1:{target.port}")


async def test_connections_are_kept() -> None:
    async with running() as target:
        with calling() as caller:
            one = caller.target(target.url())
            for _ in range(3):
                assert (await one.post({}, b"{}")).status == 204
            await one.close()
        assert target.connections == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", [hang, drip(lambda: asyncio.sleep(0.01))], ids=["hangs", "drips"])
async def test_who_takes_too_long_is_left(answer: Answer) -> None:
    async with running(answer) as target:
        with calling() as caller, pytest.raises(NoAnswer, match=r"no answer within"):
            await post(caller, target.url())


@pytest.mark.parametrize("answer", [reset, garbage, endless_head])
async def test_who_speaks_no_http_is_no_answer(answer: Answer) -> None:
    async with running(answer) as target:
        with calling() as caller, pytest.raises(NoAnswer, match="the connection broke"):
            await post(caller, target.url())


async def test_of_an_endless_answer_only_the_beginning_is_read() -> None:
    async with running(endless) as target:
        with calling() as caller:
            answer = await post(caller, target.url())
    assert (answer.status, len(answer.body)) == (500, MOST)


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with running() as elsewhere, running(status(302, headers=f"Location: {elsewhere.url()}\r\n")) as target:
        with calling() as caller:
            assert (await post(caller, target.url())).status == 302
        assert elsewhere.received == []


async def test_nobody_there_is_no_answer() -> None:
    async with running() as target:
        pass
    with calling() as caller, pytest.raises(NoAnswer, match="no connection"):
        await post(caller, target.url())


async def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as proxy, running() as target:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        with calling() as caller:
            await post(caller, target.url())
        assert (len(target.received), proxy.received) == (1, [])


# ---- addresses ------------------------------------------------------------------------------------------------------

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "233.252.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "ff0e::1",
    "2001:db8::1",
    "64:ff9b:1::808:808",
    "3fff::1",
    "::808:808",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_that_is_not_public_is_allowed(address: str) -> None:
    assert not Policy().allows(ip_address(address), encrypted=True)
    assert not Policy(["203.0.113.0/24"]).allows(ip_address(address), encrypted=True)


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_allowed_but_not_in_clear_text(address: str) -> None:
    assert Policy().allows(ip_address(address), encrypted=True)
    assert not Policy(["10.0.0.0/8"]).allows(ip_address(address), encrypted=False)


def test_what_the_settings_name_is_allowed_also_in_clear_text_and_in_disguise() -> None:
    policy = Policy(["10.0.0.0/8", "fd00::/16"])
    assert policy.allows(ip_address("10.9.9.9"), encrypted=False)
    assert policy.allows(ip_address("::ffff:10.9.9.9"), encrypted=True)
    assert policy.allows(ip_address("fd00::1"), encrypted=True)
    assert not policy.allows(ip_address("192.168.0.1"), encrypted=True)
    assert not policy.allows(ip_address("fd01::1"), encrypted=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "sub.localhost", "::1", "10.0.0.1", "localhost."])
def test_what_is_plainly_private_is_refused_before_it_is_called(host: str) -> None:
    with pytest.raises(NotAllowed, match=r"webhooks\.private_networks"):
        Policy().check_literal(host, encrypted=True)
    Policy().check_literal("shop.example", encrypted=True)


def test_clear_text_is_refused_at_once_where_nothing_private_is_allowed() -> None:
    with pytest.raises(NotAllowed, match="use https://"):
        Policy().check_literal("shop.example", encrypted=False)
    Policy(["10.0.0.0/8"]).check_literal("shop.example", encrypted=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"])
async def test_whatever_name_a_private_address_goes_by_it_is_not_called(host: str) -> None:
    async with running() as target:
        with calling(Policy(["10.0.0.0/8"])) as caller:
            for scheme in ("http", "https"):
                with pytest.raises((NotAllowed, NoAnswer)):
                    await post(caller, target.url(host, scheme))
        assert target.connections == 0


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """The name server's answers, one after the other; what was asked for."""
    asked: list[str] = []
    left = list(answers)
    real = socket.getaddrinfo

    def answer(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if not str(host).endswith(".example"):
            return real(host, port, *rest, **more)
        asked.append(host)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


async def test_a_name_is_resolved_once_and_the_checked_address_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rebinding: a second answer of the name server would lead elsewhere."""
    async with running() as target:
        asked = resolve_to(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        with calling(Policy(["127.0.0.1/32"])) as caller:
            assert (await post(caller, target.url("shop.example"))).status == 204
        assert asked == ["shop.example"]
        assert target.received[0].headers["host"] == f"shop.example:{target.port}"


async def test_of_several_addresses_only_those_that_are_allowed_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as target:
        resolve_to(monkeypatch, ["127.0.0.1", "10.0.0.1"])
        with calling(Policy(["192.168.0.0/16"])) as caller, pytest.raises(NotAllowed, match=r"shop\.example is not in"):
            await post(caller, target.url("shop.example"))
        with calling(Policy(["127.0.0.1/32"])) as caller:
            assert (await post(caller, target.url("shop.example"))).status == 204


async def test_a_name_that_nobody_knows_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with calling() as caller, pytest.raises(NoAnswer, match="not known to the name server"):
        await post(caller, "http://shop.example/hook")


# ---- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


def trusting(file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(file))


async def _tls(monkeypatch: pytest.MonkeyPatch, target: Scripted, context: ssl.SSLContext | None) -> Response:
    resolve_to(monkeypatch, ["127.0.0.1"])
    with calling(context=context) as caller:
        return await post(caller, target.url("shop.example", "https"))


async def test_the_name_in_the_certificate_is_checked_although_an_address_is_called(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    async with running(context=authority.server_context("shop.example")) as target:
        assert (await _tls(monkeypatch, target, trusting(authority.file))).status == 204


async def test_a_certificate_of_another_name_is_no_connection(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    async with running(context=authority.server_context("other.example")) as target:
        with pytest.raises(NoAnswer, match="no connection"):
            await _tls(monkeypatch, target, trusting(authority.file))
        assert target.received == []


async def test_a_certificate_that_nobody_vouches_for_is_no_connection(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    async with running(context=authority.server_context("shop.example")) as target:
        with pytest.raises(NoAnswer, match="no connection"):
            await _tls(monkeypatch, target, None)
        assert target.received == []


def test_of_an_answer_people_see_what_can_be_printed() -> None:
    assert words(b"  no\x00\x1b[31m\r\n\xffway " + b"y" * 1000).startswith("no  [31m")
    assert len(words(b"y" * 5000)) == 500
