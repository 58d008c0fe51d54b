"""A destination that is a webhook: what it gets, and what its answers make of a mail."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailroom.defaults import Defaults
from mailroom.ports import Store
from mailroom.store.open import open_store
from mailroom.transports.guarded import Caller, Policy
from mailroom.transports.ways import WEBHOOK
from mailroom.webhooks import signing
from mailroom.webhooks.handing import WebhookTransport
from mailroom.webhooks.links import LIFETIME, Links
from mailroom.webhooks.received import ReceivedEvent
from mailroom_core.model import Deferred, Failed, Held, MessageId, Outcome, Sent, show_id
from tests.contract.transports.jobs import job, remember
from tests.contract.webhooks.target import Answer, Scripted, reset, running, status

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = signing.rotated(None, NOW)
MAIL = (
    b"From: Anna <anna@customer.example>\r\nTo: leads@contoso.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Message-ID: <a1@customer.example>\r\nX-Twice: 1\r\nX-Twice: 2\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nYes, please.\r\n\r\n> Do you want it?\r\n"
    b'--b\r\nContent-Type: application/pdf; name="order.pdf"\r\nContent-Disposition: attachment; filename="order.pdf"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--b--\r\n"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/mailroom.db", clock=lambda: NOW)
    yield store
    store.close()


async def secret() -> Mapping[str, str]:
    return SECRET


def values(recipients: Iterable[str]) -> Defaults:
    return {"queue": 7} if list(recipients) == ["leads@contoso.example"] else {}


async def hand(
    store: Store, target: Scripted, *, site: str = "", private: tuple[str, ...] = ("127.0.0.0/8",), raw: bytes = MAIL
) -> Outcome:
    caller = Caller(Policy(private))
    transport = WebhookTransport(caller.target(target.url()), secret, store, Links(b"key", site), lambda: datetime.now(UTC), values)
    try:
        found = await transport.attempt(job("leads@contoso.example", raw=raw), remember)
    finally:
        await transport.close()
        caller.close()
    return next(iter(found.values()))


async def test_a_mail_comes_signed_and_taken_apart(store: Store) -> None:
    async with running() as target:
        assert isinstance(await hand(store, target), Sent)
        (got,) = target.received
        event = ReceivedEvent.model_validate(got.verified(SECRET["secret"]))
    assert got.number == show_id(1)
    data = event.data
    assert (data.recipient, data.subject, data.sender[0].email) == ("leads@contoso.example", "Grüße", "anna@customer.example")
    assert (data.reply.strip(), "Do you want it?" in data.text) == ("Yes, please.", True)
    assert [each.value for each in data.headers if each.name == "X-Twice"] == ["1", "2"]
    (file,) = data.attachments
    assert (file.filename, file.url, base64.b64decode(file.content or "")) == ("order.pdf", None, b"%PDF")
    assert data.raw_url is None
    assert data.defaults == {"queue": 7}, "those of the alias that was written to"


async def test_with_a_public_address_files_are_links_that_end(store: Store) -> None:
    async with running() as target:
        await hand(store, target, site="https://mail.contoso.example")
        event = ReceivedEvent.model_validate(target.received[0].verified(SECRET["secret"]))
    (file,) = event.data.attachments
    assert file.content is None
    assert file.url is not None
    host, _, path = file.url.partition("/v1/inbound/")
    number, part, proof = path.split("/")
    assert (host, number) == ("https://mail.contoso.example", show_id(1))
    links, now = Links(b"key"), datetime.now(UTC)
    assert links.opens(MessageId(1), part, proof, now)
    assert not links.opens(MessageId(2), part, proof, now)
    assert not links.opens(MessageId(1), "raw", proof, now)
    assert not links.opens(MessageId(1), part, proof, now + LIFETIME + timedelta(minutes=1))
    assert not Links(b"other").opens(MessageId(1), part, proof, now)
    assert not links.opens(MessageId(1), part, "what-ever", now)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (status(200), Sent),
        (status(204), Sent),
        (status(400), Failed),
        (status(422, body=b"no such customer"), Failed),
        (status(413), Failed),
        (status(401), Deferred),
        (status(404), Deferred),
        (status(302, headers="Location: http://elsewhere.example/\r\n"), Deferred),
        (status(500), Deferred),
        (status(410), Held),
        (reset, Deferred),
    ],
)
async def test_what_an_answer_makes_of_a_mail(store: Store, answer: Answer, outcome: type[Outcome]) -> None:
    async with running() as target:
        target.then = answer
        assert isinstance(await hand(store, target), outcome)


async def test_a_wish_to_wait_is_obeyed_by_the_whole_destination(store: Store) -> None:
    async with running() as target:
        target.then = status(429, headers="Retry-After: 90\r\n")
        outcome = await hand(store, target)
    assert isinstance(outcome, Deferred)
    assert (outcome.retry_after, outcome.lane) == (timedelta(seconds=90), True)


async def test_a_private_address_is_not_called_unless_the_settings_allow(store: Store) -> None:
    async with running() as target:
        outcome = await hand(store, target, private=())
        assert not target.received
    assert isinstance(outcome, Held)
    assert outcome.lane
    assert "private_networks" in outcome.reply.text


async def test_every_try_of_a_mail_has_the_same_id(store: Store) -> None:
    async with running() as target:
        target.script = [reset]
        assert isinstance(await hand(store, target), Deferred)
        assert isinstance(await hand(store, target), Sent)
        assert len({each.number for each in target.received}) == 1


@pytest.mark.parametrize("raw", [b"", b"\x00\xff no mail", MAIL.replace(b"Message-ID", b"X-None")])
async def test_what_can_not_be_read_is_handed_over_all_the_same(store: Store, raw: bytes) -> None:
    async with running() as target:
        assert isinstance(await hand(store, target, raw=raw), Sent)
        event = ReceivedEvent.model_validate(target.received[0].verified(SECRET["secret"]))
    assert event.data.id == show_id(1)


async def test_an_unknown_end_is_resolved_by_calling_again(store: Store) -> None:
    transport = WebhookTransport(Caller(Policy()).target("https://x.example"), secret, store, Links(b"key"), lambda: NOW, values)
    assert [type(each) for each in (await transport.resolve(job(facts={"way": WEBHOOK}), remember)).values()] == [Deferred]
    assert [type(each) for each in (await transport.resolve(job(facts={"way": "sink"}), remember)).values()] == [Held]
