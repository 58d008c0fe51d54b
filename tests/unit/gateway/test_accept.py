"""The way in: who may, by which server, and what is stored."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from mailroom.accept import Accept, House, Submission, write
from mailroom.objects import (
    Account,
    AliasDomain,
    Application,
    Directory,
    GrantType,
    GraphRoute,
    OutgoingServer,
    SinkRoute,
    SmarthostRoute,
    Suppression,
)
from mailroom.ports import NewMessage
from mailroom.store.open import open_store
from mailroom_core.errors import Refused, StoreError, StoreFull
from mailroom_core.model import Kind, MessageId, State
from mailroom_core.providers.graph.limits import MIME_LIMIT, RECIPIENTS_PER_DAY
from tests.contract.store.memory_blobs import MemoryBlobs

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HEAD = b"From: Mary <mary@example.com>\r\nTo: x@else.where\r\nSubject: hi\r\nDate: Fri, 20 Nov 2026 12:00:00 +0000\r\nMessage-ID: <a@b>\r\n"
OFFICE = Account(name="office", mailbox="mary@example.com")
M365 = OutgoingServer(name="m365", from_filter=("example.com",), route=GraphRoute(account="office"))
OUT = OutgoingServer(name="out", priority=20, route=SmarthostRoute(host="smtp.example.net"))
ERP = Application(name="erp", senders=("example.com",))


class Door:
    """An `Accept` over a directory, that remembers what was committed."""

    def __init__(self, *servers: OutgoingServer, domains: tuple[AliasDomain, ...] = (), accounts: tuple[Account, ...] = (OFFICE,)) -> None:
        self.directory = Directory(
            1, {a.name: a for a in accounts}, {s.name: s for s in servers}, {d.name: d for d in domains}, {ERP.name: ERP}
        )
        self.committed: list[NewMessage] = []
        self.nudges = 0
        self.problem: StoreError | None = None
        self.now = NOW
        self.blobs = MemoryBlobs()
        ids = count(1)
        self.accept = Accept(
            blobs=self.blobs,
            directory=lambda: self.directory,
            ids=lambda: next(ids),
            clock=lambda: self.now,
            commit=self._commit,
            notify=self._nudge,
            house=House(hostname="gateway.test", lifetime=timedelta(days=5)),
        )

    async def _commit(self, message: NewMessage) -> Mapping[MessageId, MessageId]:
        if self.problem:
            raise self.problem
        self.committed.append(message)
        return {}

    def _nudge(self) -> None:
        self.nudges += 1

    async def __call__(
        self,
        raw: bytes = HEAD + b"\r\nhello\r\n",
        sender: str | None = "mary@example.com",
        to: str = "x@else.where",
        app: Application = ERP,
    ) -> NewMessage:
        await self.accept(submission(raw, sender, to, app))
        return self.committed[-1]


def submission(raw: bytes, sender: str | None, to: str, app: Application, spool: Path | None = None) -> Submission:
    return Submission(
        application=app,
        sender=sender,
        recipients=tuple(to.split(",")),
        raw=None if spool else raw,
        spool=spool,
        size=len(raw),
        client="10.0.0.7",
        helo="erp.local",
        tls="TLSv1.3",
        authenticated="erp",
    )


async def test_a_mail_is_stored_whole_behind_its_received_field() -> None:
    door = Door(M365)
    message = await door(to="x@else.where,y@else.where")
    assert message.raw is not None
    assert message.raw.endswith(HEAD + b"\r\nhello\r\n")
    assert message.raw.startswith(b"Received: from erp.local ([10.0.0.7])")
    assert b"with ESMTPSA" in message.raw.split(HEAD)[0]
    assert message.size == len(message.raw)
    assert [d.recipient for d in message.deliveries] == ["x@else.where", "y@else.where"]
    assert {d.lane for d in message.deliveries} == {"graph:office:mary@example.com"}
    assert (message.header_message_id, message.subject, message.expires_at) == ("<a@b>", "hi", NOW + timedelta(days=5))
    assert door.nudges == 1


async def test_a_mail_without_from_date_and_message_id_is_completed() -> None:
    message = await Door(M365)(b"Subject: bare\r\n\r\nhello\r\n")
    assert message.raw is not None
    for name in (b"From: ", b"Date: ", b"Message-ID: <"):
        assert name in message.raw
    assert message.header_from == "mary@example.com"
    assert message.header_message_id.endswith("@gateway.test>")


@pytest.mark.parametrize(
    ("raw", "sender"),
    [
        (HEAD, "eve@evil.example"),
        (HEAD.replace(b"mary@example.com", b"eve@evil.example"), "mary@example.com"),
        (HEAD.replace(b"mary@example.com", b"eve@evil.example"), None),
        (b"Sender: eve@evil.example\r\n" + HEAD, "mary@example.com"),
        (HEAD.replace(b"Mary <mary@example.com>", b"mary@example.com, eve@evil.example"), "mary@example.com"),
    ],
)
async def test_every_sender_that_a_mail_names_must_be_allowed(raw: bytes, sender: str | None) -> None:
    door = Door(M365)
    with pytest.raises(Refused) as refused:
        await door(raw + b"\r\nx\r\n", sender)
    assert (refused.value.code, refused.value.enhanced) == (553, "5.7.1")
    assert not door.committed


async def test_a_null_sender_without_from_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        await Door(M365)(b"Subject: x\r\n\r\nx\r\n", None)
    assert refused.value.code == 550


async def test_a_from_that_hides_behind_a_broken_head_is_refused() -> None:
    door = Door(M365)
    with pytest.raises(Refused, match="line 2") as refused:
        await door(b"Subject: x\r\nno field\r\nFrom: eve@evil.example\r\n\r\nx\r\n")
    assert (refused.value.code, refused.value.enhanced) == (550, "5.6.0")
    assert not door.committed


async def test_a_from_that_hides_behind_all_that_is_read_of_a_head_is_refused(tmp_path: Path) -> None:
    door, spool = Door(OUT), tmp_path / "mail"
    padding = b"".join(b"X-Padding-%d: %s\r\n" % (number, b"x" * 900) for number in range(300))
    spool.write_bytes(HEAD + padding + b"From: eve@evil.example\r\n\r\nhello\r\n")
    mail = replace(submission(b"", "mary@example.com", "x@else.where", ERP, spool), size=spool.stat().st_size)
    with pytest.raises(Refused, match="head") as refused:
        await door.accept(mail)
    assert (refused.value.code, refused.value.enhanced) == (552, "5.3.4")
    assert not door.committed


async def test_a_recipient_who_is_named_twice_gets_the_mail_once() -> None:
    message = await Door(OUT)(to="x@else.where,y@else.where,x@else.where,x@ELSE.where")
    assert [delivery.recipient for delivery in message.deliveries] == ["x@else.where", "y@else.where"]


async def test_a_mail_that_is_nothing_but_text_is_completed() -> None:
    message = await Door(M365)(b"The printer is out of paper.\r\n")
    assert message.raw is not None
    assert message.raw.endswith(b"\r\n\r\nThe printer is out of paper.\r\n")


async def test_a_mail_that_goes_round_in_circles_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        await Door(M365)(b"Received: from a by b; now\r\n" * 51 + HEAD + b"\r\nx\r\n")
    assert refused.value.enhanced == "5.4.6"


async def test_a_rewritten_from_keeps_the_name() -> None:
    message = await Door(OUT, domains=(AliasDomain(name="example.com"),))()
    assert message.rewrite_from == '"Mary" <notifications@example.com>'
    assert message.header_from == "notifications@example.com"


async def test_a_full_default_from_serves_all_mail() -> None:
    message = await Door(M365, domains=(AliasDomain(name="example.com", default_from="office@example.com"),))()
    assert message.header_from == "office@example.com"


async def test_the_alias_domain_of_the_application_serves_strangers() -> None:
    app = replace(ERP, senders=("*",), alias_domain="example.com")
    raw = HEAD.replace(b"mary@example.com", b"eve@partner.example") + b"\r\nx\r\n"
    message = await Door(M365, OUT, domains=(AliasDomain(name="example.com"),))(raw, "eve@partner.example", app=app)
    assert (message.header_from, message.deliveries[0].server) == ("notifications@example.com", "m365")


async def test_each_sender_has_a_lane_where_the_route_says_so() -> None:
    account = replace(OFFICE, grant=GrantType.APPLICATION)
    server = replace(M365, route=GraphRoute(account="office", mailbox="sender"))
    message = await Door(server, accounts=(account,))()
    assert message.deliveries[0].lane == "graph:office:mary@example.com"


async def test_bulk_mail_goes_by_a_server_that_may_carry_it() -> None:
    door = Door(replace(M365, bulk=False), OUT)
    message = await door(b"List-Unsubscribe: <https://example.com/u>\r\n" + HEAD + b"\r\nx\r\n")
    assert (message.kind, message.deliveries[0].server) == (Kind.BULK, "out")


async def test_without_a_server_the_sender_is_told_to_wait() -> None:
    with pytest.raises(Refused) as refused:
        await Door(replace(M365, active=False))()
    assert refused.value.temporary


async def test_a_mail_that_no_server_can_carry_is_refused_at_once() -> None:
    with pytest.raises(Refused) as refused:
        await Door(replace(M365, max_size=100))(HEAD + b"\r\n" + b"x" * 200)
    assert (refused.value.code, refused.value.enhanced) == (552, "5.3.4")
    signed = HEAD + b'Content-Type: multipart/signed; boundary="b"\r\n\r\n' + b"x" * 3_000_000
    with pytest.raises(Refused, match="smarthost"):
        await Door(M365)(signed)


async def test_a_text_that_graph_takes_in_no_form_is_refused_at_once(tmp_path: Path) -> None:
    """Attachments of any size are uploaded; a text can't be."""
    text = HEAD + b"\r\n" + (b"x" * 78 + b"\r\n") * 50_000
    with pytest.raises(Refused, match="send it as an attachment or through a smarthost") as refused:
        await Door(M365)(text)
    assert (refused.value.code, refused.value.enhanced) == (552, "5.3.4")
    spool = tmp_path / "spooled"
    spool.write_bytes(text)
    with pytest.raises(Refused, match="send it as an attachment or through a smarthost"):
        await Door(M365).accept(submission(text, "mary@example.com", "x@else.where", ERP, spool))
    assert (await Door(OUT)(text)).size > len(text)
    lines = (b"x" * 78 + b"\r\n") * 50_000
    attached = b"\r\n\r\n--b\r\n\r\nHi\r\n--b\r\nContent-Type: application/zip\r\n\r\n" + lines + b"\r\n--b--\r\n"
    assert (await Door(M365)(HEAD + b'Content-Type: multipart/mixed; boundary="b"' + attached)).size > MIME_LIMIT


async def test_the_completed_mail_is_what_has_to_fit() -> None:
    door = Door(M365)
    signed = HEAD + b'Content-Type: multipart/signed; boundary="b"\r\n\r\n'
    with pytest.raises(Refused, match="smarthost"):
        await door(signed + b"x" * (MIME_LIMIT - len(signed) - 10))
    added = (await door()).size - len(HEAD + b"\r\nhello\r\n")
    assert (await door(signed + b"x" * (MIME_LIMIT - len(signed) - added))).size == MIME_LIMIT


async def test_what_an_account_may_not_carry_is_refused_at_once_and_not_held_later() -> None:
    large = HEAD + b"\r\n" + b"x" * MIME_LIMIT
    with pytest.raises(Refused, match="--read-write") as refused:
        await Door(M365, accounts=(replace(OFFICE, read_write=False),))(large)
    assert (refused.value.code, refused.value.enhanced) == (552, "5.3.4")
    assert (await Door(M365)(large)).size > MIME_LIMIT


@pytest.mark.parametrize(("server", "most"), [(replace(OUT, recipients_per_day=3), 3), (M365, RECIPIENTS_PER_DAY)])
async def test_more_recipients_than_the_server_takes_in_a_day_are_refused(server: OutgoingServer, most: int) -> None:
    door, to = Door(server), [f"r{number}@else.where" for number in range(most + 1)]
    with pytest.raises(Refused, match=f"{most + 1} recipients.*at most {most}") as refused:
        await door(to=",".join(to))
    assert (refused.value.code, refused.value.enhanced) == (550, "5.5.3")
    assert len((await door(to=",".join(to[:most]))).deliveries) == most


async def test_mails_per_minute_of_an_application_are_counted_in_any_minute() -> None:
    door, app = Door(M365), replace(ERP, per_minute=2)
    await door(app=app)
    door.now = NOW + timedelta(seconds=50)
    await door(app=app)
    with pytest.raises(Refused) as refused:
        await door(app=app)
    assert (refused.value.code, refused.value.enhanced) == (450, "4.7.1")
    door.now = NOW + timedelta(seconds=60)
    await door(app=app)


@pytest.mark.parametrize(("problem", "code"), [(StoreFull("full"), "4.3.1"), (StoreError("busy"), "4.3.0")])
async def test_a_store_in_trouble_is_a_temporary_refusal(problem: StoreError, code: str) -> None:
    door = Door(M365)
    door.problem = problem
    with pytest.raises(Refused) as refused:
        await door()
    assert (refused.value.temporary, refused.value.enhanced) == (True, code)
    assert door.nudges == 0


async def test_a_large_mail_becomes_a_blob_with_its_received_field(tmp_path: Path) -> None:
    door = Door(M365)
    raw = HEAD + b"\r\n" + b"x" * 400_000 + b"\r\n"
    spool = tmp_path / "spooled"
    spool.write_bytes(raw)
    await door.accept(submission(raw, "mary@example.com", "x@else.where", ERP, spool))
    message = door.committed[0]
    assert message.raw is None
    stored = door.blobs.open(message.blob)
    assert stored.size == message.size
    assert stored.read_at(0, 9) == b"Received:"
    assert stored.read_at(stored.size - len(raw), len(raw)) == raw
    assert os.listdir(tmp_path) == [spool.name]


async def test_a_suppressed_recipient_is_accepted_and_fails_visibly(tmp_path: Path) -> None:
    message = await Door(OutgoingServer(name="sink", route=SinkRoute()))(to="Dead@Else.Where,x@else.where")
    store = open_store(tmp_path / "db", clock=lambda: NOW)
    store.apply([Suppression(address="dead@else.where", reason="gone")], [], by="test")
    write(store, [message])
    story = store.story(message.id)
    assert story is not None
    assert {d.recipient: d.state for d in story.deliveries} == {"Dead@Else.Where": State.FAILED, "x@else.where": State.QUEUED}
    assert "gone" in str(next(d.reply for d in story.deliveries if d.state is State.FAILED))
    store.close()
