"""The loop over a mailbox: what is stored is acknowledged, what can't be taken stops no other, and trouble is told."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailroom.accept import write
from mailroom.batching import GroupCommit
from mailroom.blobs.files import FileBlobs, OpenFile
from mailroom.fetch import SOON, Fetch
from mailroom.ids import Ids
from mailroom.incoming import New
from mailroom.intake.answers import Answers
from mailroom.intake.bounces import Bounces
from mailroom.intake.judge import Judge
from mailroom.intake.lookup import Lookup
from mailroom.intake.replay import Replay
from mailroom.intake.take import Intake
from mailroom.objects import (
    Alias,
    AliasDomain,
    Destination,
    GraphInbox,
    InboxTarget,
    IncomingServer,
    OutgoingServer,
    SmarthostRoute,
    Suppression,
)
from mailroom.ports import Found, Lane, NewMessage, Query, Store, Watched
from mailroom.store.open import open_store
from mailroom_core.errors import StoreError, VaultError
from mailroom_core.model import (
    Arrived,
    Deferred,
    Held,
    LaneName,
    MessageId,
    NotConvertible,
    NotThere,
    Outcome,
    Remote,
    Reply,
    Sent,
    State,
    Trouble,
)
from mailroom_core.policy import bounces
from mailroom_core.policy.decision import Settings
from tests.contract.store.makers import Maker
from tests.contract.transports.jobs import job, remember
from tests.unit.gateway.test_onward import bounce

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LANE = LaneName("graph:office:mary@contoso.example")
SERVER = IncomingServer(name="mary", source=GraphInbox(account="office"))
DAY = timedelta(days=1)


def mail(subject: str, *, to: str = "sales@contoso.example", more: bytes = b"") -> bytes:
    head = f"From: Ann <{subject}@customer.example>\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@customer.example>\r\n"
    return head.encode() + more + b"\r\nHello\r\n"


class FakeSource:
    """A mailbox in memory: id -> bytes, or what is said instead of them."""

    key = "graph:office:mary@contoso.example:inbox"

    def __init__(self) -> None:
        self.mails: dict[str, bytes | NotThere | NotConvertible | Trouble | Exception] = {}
        self.conversation = ""
        self.read_count = 0
        self.closed = 0
        self.listing: Trouble | VaultError | None = None
        self.refuses: Trouble | None = None
        self.cursors = False
        self.acknowledged: list[str] = []

    async def new(self, cursor: str, skip: int) -> New | Trouble:
        if isinstance(self.listing, VaultError):
            raise self.listing
        if self.listing is not None:
            return self.listing
        arrived = tuple(Arrived(Remote(each, conversation_id=self.conversation), None) for each in self.mails)
        if self.cursors:
            return New(arrived if not cursor else (), f"{cursor}+", more=False)
        return New(arrived[: 50 + skip], "", more=bool(arrived))

    async def read(self, message: Arrived, into: Path) -> NotThere | NotConvertible | Trouble | None:
        self.read_count += 1
        found = self.mails[message.remote.remote_id]
        if isinstance(found, Exception):
            raise found
        if not isinstance(found, bytes):
            return found
        await asyncio.to_thread(into.write_bytes, found)
        return None

    async def acknowledge(self, message: Arrived) -> Trouble | None:
        if self.refuses is not None:
            return self.refuses
        self.acknowledged.append(message.remote.remote_id)
        if not self.cursors:
            del self.mails[message.remote.remote_id]
        return None

    async def tell(self, url: str, state: str, subscription: str) -> tuple[str, datetime] | Trouble:
        return Held(Reply(403, "not for shared mailboxes"))

    async def close(self) -> None:
        self.closed += 1


class Office:
    """A store, a mailbox, and the loop between them."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store(f"sqlite:///{folder}/mailroom.db", clock=lambda: NOW)
        objects = (Destination(name="desk", target=InboxTarget()), Alias(name="sales@contoso.example", destination="desk"))
        self.store.apply(objects, [], by="test")
        self.store.watch.over({"mary": LANE})
        (self.lane,) = self.store.claim("me", want=1, ttl=DAY)
        self.source = FakeSource()
        self.nudges: list[int] = []
        self.commit: GroupCommit[NewMessage, Mapping[MessageId, MessageId]] = GroupCommit("put", partial(write, self.store))
        self.fetch = Fetch(
            store=self.store,
            servers=lambda name: SERVER if name == "mary" else None,
            sources=lambda lane, server: self.source,
            intake=self._intake(folder),
            spool=folder,
            clock=lambda: NOW,
            notify=lambda: self.nudges.append(1),
        )

    def _intake(self, folder: Path) -> Intake:
        ids, rules = Ids(self.store.node, lambda: NOW), Settings()
        shared: dict[str, Any] = {"ids": ids, "clock": lambda: NOW, "lifetime": DAY}
        return Intake(
            store=self.store,
            blobs=FileBlobs(folder / "blobs"),
            commit=self.commit,
            opened=lambda path: OpenFile(os.open(path, os.O_RDONLY)),
            judge=Judge(self.store.directory, Lookup(self.store, rules), rules),
            answers=Answers(hostname="gateway.test", directory=self.store.directory, **shared),
            bounces=Bounces(self.store, bounces.Settings()),
            **shared,
        )

    @property
    def watched(self) -> Watched:
        (found,) = self.store.watch.all()
        return found

    async def look(self, lane: Lane | None = None) -> Watched:
        await self.fetch(lane or self.lane, self.watched)
        return self.watched

    def found(self, subject: str = "") -> list[Found]:
        return self.store.find(Query(text=subject), limit=1000)[0]

    def states(self) -> dict[str, State]:
        return {each.message.subject: each.delivery.state for each in self.found()}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.store.close()


async def test_what_is_new_is_stored_then_forgotten_by_the_mailbox(office: Office) -> None:
    office.source.mails = {f"id{number}": mail(f"n{number}") for number in range(120)}
    after = await office.look()
    assert (after.trouble, after.due_at - NOW, len(office.nudges)) == ("", timedelta(minutes=5), 120)
    assert office.states() == {f"n{number}": State.QUEUED for number in range(120)}
    assert sorted(office.source.acknowledged) == sorted(f"id{number}" for number in range(120))


async def test_a_mail_that_is_known_is_not_read_again_only_acknowledged(office: Office) -> None:
    office.source.mails = {"a": mail("one")}
    office.source.refuses = Deferred(Reply(503, "busy"), retry_after=timedelta(seconds=7))
    after = await office.look()
    assert (after.trouble, after.due_at - NOW) == ("503 busy", timedelta(seconds=7))
    office.source.refuses = None
    await office.look()
    assert (office.source.read_count, len(office.found()), office.source.acknowledged) == (1, 1, ["a"])


async def test_what_can_not_be_converted_waits_in_quarantine_stays_in_the_mailbox_and_stops_no_other(office: Office) -> None:
    office.source.mails = {"bad": NotConvertible(Reply(500, "it is a calendar item")), "good": mail("good"), "gone": NotThere()}
    for _ in range(2):
        assert (await office.look()).trouble == ""
    assert "bad" in office.source.mails
    assert "good" not in office.source.mails
    (held,) = [each for each in office.found() if each.delivery.state is State.HELD]
    assert "look at it there" in str(held.delivery.reply)
    assert len(office.found()) == 2


@pytest.mark.parametrize(
    ("trouble", "held", "pause"),
    [
        (Deferred(Reply(429, "slow down"), retry_after=timedelta(seconds=3)), "", timedelta(seconds=3)),
        (Deferred(Reply(500, "trouble")), "", SOON),
        (Held(Reply(404, "no folder")), "", timedelta(minutes=5)),
        (Held(Reply(403, "no right to read"), lane=True), "", timedelta(minutes=5)),  # what leaves there needs another right
        (VaultError("sign in again"), "sign in again", timedelta(minutes=5)),
    ],
)
async def test_trouble_with_the_mailbox_is_told_and_only_a_dead_grant_holds_the_lane(
    office: Office, trouble: Trouble | VaultError, held: str, pause: timedelta
) -> None:
    office.source.listing = trouble
    after = await office.look()
    assert after.trouble
    assert after.due_at - NOW == pause
    (lane,) = office.store.lanes()
    assert held in lane.held
    assert bool(lane.held) == bool(held)


async def test_a_mistake_of_ours_with_one_mail_stops_no_other_and_the_mail_stays(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("mailroom.observe.events.fetch_broke", lambda server, why: told.append(why))
    office.source.mails = {"odd": RuntimeError("in 'Dear Mary'"), "good": mail("good")}
    assert (await office.look()).trouble == ""
    (why,) = told
    assert re.fullmatch(r"RuntimeError in test_fetch\.py:\d+", why), "its own text may quote the mail"
    assert list(office.source.mails) == ["odd"]
    assert office.states() == {"good": State.QUEUED}


async def test_after_a_mistake_a_cursor_stays_where_it_was(office: Office) -> None:
    office.source.cursors = True
    office.source.mails = {"odd": RuntimeError("a mistake"), "good": mail("good")}
    assert (await office.look()).cursor == ""
    office.source.mails["odd"] = mail("odd")
    assert (await office.look()).cursor == "+"
    assert office.states() == {"good": State.QUEUED, "odd": State.QUEUED}


async def test_while_nothing_can_be_stored_nothing_is_acknowledged(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.source.mails = {f"id{number}": mail(f"n{number}") for number in range(10)}

    def full(batch: Sequence[NewMessage]) -> Mapping[MessageId, MessageId]:
        raise StoreError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(office.store, "put", full)
        with pytest.raises(StoreError):
            await office.look()
    assert (office.source.acknowledged, len(office.source.mails)) == ([], 10)
    await office.look()
    assert len(office.found()) == 10


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\x01\x02",
        b"no head at all",
        mail("nul", more=b"Subject: a\0b\r\nX: \xff\xfe\r\n"),
        b"From: \xed\xa0\x80@x\r\nTo: =?utf-8?b?7aCA?= <sales@contoso.example>\r\n"
        b"Subject: =?utf-8?q?=ED=A0=80=00?=\r\nMessage-ID: <a\0b@x>\r\n\r\n",
        b"From: a@b\r\n" * 30000,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\r\n" * 20000,
    ],
)
async def test_whatever_comes_is_stored_and_stays_readable(office: Office, raw: bytes) -> None:
    office.source.mails = {"odd": raw}
    after = await office.look()
    assert after.trouble == ""
    assert office.source.mails == {}
    (found,) = office.found()
    for text in (found.message.subject, found.message.sender or "", found.message.header_message_id, found.delivery.recipient):
        assert "\0" not in text
        text.encode()
    kept = office.store.read(found.message.id)
    assert kept is not None
    assert kept.blob or kept.raw == raw


async def test_what_comes_in_is_handed_over_though_nothing_may_be_sent_to_the_address_that_it_was_written_to(office: Office) -> None:
    office.store.apply([Suppression(address="sales@contoso.example", reason="it bounced", source="bounce")], [], by="test")
    office.source.mails = {"a": mail("one")}
    await office.look()
    assert office.states() == {"one": State.QUEUED}


async def test_what_waits_in_quarantine_is_told_as_held(office: Office) -> None:
    office.source.mails = {"a": mail("lost", to="nobody@elsewhere.example"), "b": mail("placed")}
    await office.look()
    told = {}
    for each in office.found():
        story = office.store.story(each.message.id)
        assert story is not None
        told[each.message.subject] = [event.delivery_id for event in story.events if event.name == "held"]
    (lost,) = office.found("lost")
    assert told == {"lost": [lost.delivery.id], "placed": []}


async def test_a_large_mail_becomes_a_file(office: Office) -> None:
    raw = mail("large") + b"x" * 300_000
    office.source.mails = {"large": raw}
    await office.look()
    (found,) = office.found("large")
    assert found.message.blob
    assert found.message.size == len(raw)


async def test_the_provider_may_refuse_to_tell(office: Office) -> None:
    asked: Callable[[str], tuple[str, str]] = lambda name: ("https://gw.example/notify/graph", f"{name}.proof")  # noqa: E731
    object.__setattr__(office.fetch, "telling", asked)
    after = await office.look()
    assert (after.trouble, after.subscription) == ("", "")


# ---- what is said and done by itself --------------------------------------------------------------------------------

CATCHALL = "catchall@contoso.example"
OUT = OutgoingServer(name="out", route=SmarthostRoute(host="relay.example"))


def answers(office: Office) -> list[Found]:
    return [each for each in office.found() if each.message.application == "mailroom"]


async def test_an_answer_is_stored_with_its_mail_or_neither_is(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.store.apply([AliasDomain(name="contoso.example"), OUT], [], by="test")
    office.source.mails = {"one": mail("one", to=CATCHALL)}
    put = office.store.put

    def dies_after(batch: Sequence[NewMessage]) -> Mapping[MessageId, MessageId]:
        put(batch)
        raise StoreError("the process was killed right after the commit")

    with monkeypatch.context() as patched:
        patched.setattr(office.store, "put", dies_after)
        with pytest.raises(StoreError):
            await office.look()
    assert [each.delivery.recipient for each in answers(office)] == ["one@customer.example"]
    await office.look()
    assert (len(answers(office)), len(office.found()), office.source.mails) == (1, 2, {})


async def test_an_answer_that_can_not_be_written_keeps_no_mail_away(office: Office) -> None:
    office.store.apply([AliasDomain(name="contoso.example"), OUT], [], by="test")
    odd = "From: Ann <ann@customer.example>\r\nReturn-Path: <a b@[x>\r\nTo: catchall@contoso.example\r\nMessage-ID: <x@y\x01>\r\n\r\n"
    office.source.mails = {"odd": odd.encode(), "good": mail("good", to=CATCHALL)}
    assert (await office.look()).trouble == ""
    assert office.source.mails == {}


async def test_a_mail_whose_answer_can_not_be_written_waits_for_a_person(office: Office) -> None:
    """Neither its sender nor anybody here would hear of it else."""
    office.store.apply([AliasDomain(name="contoso.example")], [], by="test")
    office.source.mails = {"one": mail("one", to=CATCHALL)}
    await office.look()
    (kept,) = office.found("one")
    assert (kept.delivery.state, answers(office)) == (State.HELD, [])
    assert kept.delivery.reply is not None
    assert "its sender has got no answer" in kept.delivery.reply.text
    office.store.apply([OUT], [], by="test")
    assert isinstance(await judged_anew(office, "one"), Sent)
    assert [each.delivery.recipient for each in answers(office)] == ["one@customer.example"]


def replay(office: Office) -> Replay:
    intake = office.fetch.intake
    return Replay(
        store=office.store,
        judge=intake.judge,
        bounces=intake.bounces,
        answers=intake.answers,
        write=partial(write, office.store),
        directory=office.store.directory,
        ids=intake.ids,
        clock=lambda: NOW,
        answerable=DAY,
    )


async def judged_anew(office: Office, subject: str, times: int = 2) -> Outcome:
    (held,) = [each for each in office.found(subject) if each.delivery.lane == "destination:"]
    message = office.store.read(held.message.id)
    assert message is not None
    asked = job(CATCHALL, raw=message.raw or b"")
    asked = replace(asked, message=message)
    for _ in range(times):
        (outcome,) = (await replay(office).attempt(asked, remember)).values()
    return outcome


async def test_out_of_quarantine_a_sender_is_answered_once_however_often_it_is_judged(office: Office) -> None:
    office.source.mails = {"one": mail("one", to=CATCHALL)}
    await office.look()
    assert office.states() == {"one": State.HELD}
    office.store.apply([AliasDomain(name="contoso.example"), OUT], [], by="test")
    assert isinstance(await judged_anew(office, "one", times=3), Sent)
    assert [each.delivery.recipient for each in answers(office)] == ["one@customer.example"]


async def test_nobody_is_answered_about_an_old_mail(office: Office) -> None:
    office.source.mails = {"one": mail("one", to=CATCHALL)}
    await office.look()
    office.store.apply([AliasDomain(name="contoso.example"), OUT], [], by="test")
    made = replace(replay(office), clock=lambda: NOW + 2 * DAY)
    (held,) = office.found("one")
    message = office.store.read(held.message.id)
    assert message is not None
    (outcome,) = (await made.attempt(replace(job(CATCHALL, raw=message.raw or b""), message=message), remember)).values()
    assert isinstance(outcome, Held)
    assert answers(office) == []


def sent_mail(
    office: Office, message_id: str, *, to: str = "tom@partner.example", conversation: str = "", application: str = "odoo", node: int = 7
) -> NewMessage:
    """A mail of ours that has left."""
    made = Maker(lambda: NOW, node=node).message(to, subject="Ours", header_message_id=message_id, application=application)
    office.store.put([made])
    lane = next(each for each in office.store.claim("other", want=5, ttl=DAY) if each.name == made.deliveries[0].lane)
    maker = Maker(lambda: NOW, node=node + 100)
    (attempt,) = maker.begun(office.store, lane, office.store.due(lane, limit=5))
    office.store.settle([maker.settled(attempt, State.SENT, remote=Remote(conversation_id=conversation))])
    office.store.release("other", [lane])
    return made


async def test_a_bounce_in_quarantine_is_applied_when_its_mail_is_known_and_once(office: Office) -> None:
    office.source.mails = {"back": bounce("bounce@contoso.example", subject="back")}
    await office.look()
    assert office.states() == {"back": State.HELD}
    assert isinstance(await judged_anew(office, "back"), Held)
    ours = sent_mail(office, "<1@shop.example>")
    assert isinstance(await judged_anew(office, "back"), Sent)
    story = office.store.story(ours.id)
    assert story is not None
    assert [each.state for each in story.deliveries] == [State.BOUNCED]
    assert [each.name for each in story.events].count("bounced") == 1


async def test_a_bounce_finds_the_copy_that_went_to_its_recipient_among_those_with_the_same_message_id(office: Office) -> None:
    copies = [
        sent_mail(office, "<1@shop.example>", to=to, node=node)
        for node, to in enumerate(("anna@partner.example", "Tom@partner.example", "kim@partner.example"), start=7)
    ]
    office.source.mails = {"back": bounce("bounce@contoso.example", subject="back")}
    await office.look()
    stories = [office.store.story(each.id) for each in copies]
    assert [each.deliveries[0].state for each in stories if each] == [State.SENT, State.BOUNCED, State.SENT]


# ---- one mail, once -------------------------------------------------------------------------------------------------


def handed(office: Office) -> list[str]:
    """What goes to the desk, by the body of the mail."""
    kept = [office.store.read(each.message.id) for each in office.found() if each.delivery.state is State.QUEUED]
    return sorted((each.raw or b"").partition(b"\r\n\r\n")[2].decode().strip() for each in kept if each)


ORDER = mail("order")


async def test_the_same_mail_in_two_mailboxes_and_under_a_new_id_there_is_handed_over_once(office: Office) -> None:
    """As in two mailboxes, under two labels, or after the mailbox was moved and all of its mail is new again."""
    for key in ("graph:office:mary@contoso.example:inbox", "graph:office:tom@contoso.example:inbox", "imap:moved:inbox"):
        office.source.key = key
        office.source.mails = {f"{key} 1": b"Received: by %s\r\n" % key.encode() + ORDER}
        await office.look()
    assert handed(office) == ["Hello"]
    assert Counter(each.delivery.state for each in office.found()) == {State.QUEUED: 1, State.IGNORED: 2}


@pytest.mark.parametrize(
    "forged",
    [
        ORDER.replace(b"Hello", b"Cancel it"),
        ORDER.replace(b"order@customer.example>\r\nTo", b"eve@evil.example>\r\nTo"),
        ORDER.replace(b"Subject: order", b"Subject: spam"),
        ORDER.replace(b"\r\n\r\n", b"\r\nReply-To: eve@evil.example\r\n\r\n"),
        ORDER.replace(b"\r\n\r\n", b"\r\nContent-Type: text/html\r\n\r\n"),
        ORDER.replace(b"sales@contoso", b"nobody@contoso"),
    ],
)
async def test_a_forged_mail_with_the_same_id_keeps_the_real_one_from_nobody(office: Office, forged: bytes) -> None:
    """The property: what comes later is dropped only if the destination has got the very same, by the same alias."""
    office.source.mails = {"forged": forged}
    await office.look()
    before = handed(office)
    office.source.mails = {"real": ORDER}
    await office.look()
    assert handed(office) == sorted([*before, "Hello"])


async def test_mail_without_an_id_is_never_taken_for_a_copy(office: Office) -> None:
    bare = ORDER.replace(b"Message-ID: <order@customer.example>\r\n", b"")
    office.source.mails = {"one": bare, "two": bare}
    await office.look()
    assert handed(office) == ["Hello", "Hello"]


async def test_a_bounce_of_a_bounce_is_written_to_nobody(office: Office) -> None:
    """It names a mail that only reports, so it is kept, with that mail as what came back, and ends there."""
    office.store.apply([AliasDomain(name="contoso.example"), OUT], [], by="test")
    sent_mail(office, "<1@shop.example>")
    before = len(office.found())
    for name in ("first", "second"):
        office.source.mails = {name: bounce("bounce@contoso.example", subject=name)}
        await office.look()
    assert {name: state for name, state in office.states().items() if name != "Ours"} == {"first": State.IGNORED, "second": State.IGNORED}
    assert len(office.found()) == before + 2, "nothing is answered, and nothing goes on"
