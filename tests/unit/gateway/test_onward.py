"""What is forwarded: as whom, by which server, once; and its bounces, which go back and to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.message import Message as Mail
from functools import partial
from pathlib import Path

import pytest

from mailroom.accept import Accept, House, write
from mailroom.batching import GroupCommit
from mailroom.ids import Ids
from mailroom.intake.judge import Came, Judge
from mailroom.intake.lookup import Lookup
from mailroom.intake.onward import Forward, GoesOn, Onward, Return
from mailroom.objects import AliasDomain, GraphInbox, GraphRoute, IncomingServer, Object, OutgoingServer, SmarthostRoute
from mailroom.ports import Query
from mailroom.store.open import open_store
from mailroom_core.inbound import LOOP_HEADER
from mailroom_core.mime.source import InMemory
from mailroom_core.model import Deferred, Envelope, Failed, Held, Outcome, Sent
from mailroom_core.policy import srs
from mailroom_core.policy.decision import Settings, Verdict
from tests.contract.store.memory_blobs import MemoryBlobs
from tests.contract.transports.jobs import job, remember
from tests.unit.gateway.test_accept import M365, NOW, OFFICE
from tests.unit.policy.test_srs import mac

pytestmark = pytest.mark.anyio
RELAY = OutgoingServer(name="relay", priority=20, route=SmarthostRoute(host="smtp.example.net"))
CONTOSO = AliasDomain(name="contoso.example", company="Contoso")
MARK = "our-mark"
SIGNED = "DKIM-Signature: v=1; d=shop.example; b=abc\r\n"
ANNA = "anna@shop.example"
MAIL = "Return-Path: <anna@shop.example>\r\nFrom: Anna <anna@shop.example>\r\nTo: sales@contoso.example\r\nMessage-ID: <1@shop.example>\r\n"


class Office:
    """A store, a way out, and the two transports."""

    def __init__(self, folder: Path, *objects: Object) -> None:
        self.store = open_store(f"sqlite:///{folder}/mailroom.db", clock=lambda: NOW)
        self.store.apply(objects or (RELAY, CONTOSO), [], by="test")
        self.commit: GroupCommit = GroupCommit("put", partial(write, self.store))  # type: ignore[type-arg]
        accept = Accept(
            blobs=MemoryBlobs(),
            directory=self.store.directory,
            ids=Ids(self.store.node, lambda: NOW),
            clock=lambda: NOW,
            commit=self.commit,
            notify=lambda: None,
            house=House(hostname="gateway.test", lifetime=timedelta(days=5)),
        )
        self.onward = Onward(directory=self.store.directory, accept=accept, spool=folder, mark=MARK, mac=mac, clock=lambda: NOW)
        settings = Settings(mark=MARK)
        self.lookup = Lookup(self.store, settings)
        self.judge = Judge(self.store.directory, self.lookup, settings, lambda address, now: srs.read(address, mac, now))

    async def forward(
        self, raw: str = MAIL + "\r\nHello\r\n", *, sender: str | None = ANNA, source: str = "http:x", times: int = 1
    ) -> Outcome:
        asked = job("sales@contoso.example", raw=raw.encode(), sender=sender)
        asked = replace(asked, message=replace(asked.message, source=source))
        transport = Forward("partners", ("tom@partner.example", "kim@partner.example"), self.onward)
        found: list[Outcome] = []
        for _ in range(times):
            found += (await transport.attempt(asked, remember)).values()
        return found[-1]

    async def pass_on(self, raw: bytes, to: str = ANNA) -> Outcome:
        (outcome,) = (await Return(self.onward).attempt(job(to, raw=raw, sender=None), remember)).values()
        return outcome

    def out(self) -> list[tuple[str | None, list[str], str, Mail]]:
        """What waits to leave: envelope sender, recipients, server, the mail with its From."""
        found = {each.message.id: each.message for each in self.store.find(Query(), limit=100)[0]}
        made = []
        for number in sorted(found):
            message, story = self.store.read(number), self.store.story(number)
            assert message is not None
            assert story is not None
            mail = message_from_bytes(message.raw or b"")
            if message.rewrite_from:
                mail.replace_header("From", message.rewrite_from)
            made.append((message.sender, [each.recipient for each in story.deliveries], story.deliveries[0].server, mail))
        return made


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.store.close()


async def test_a_mail_goes_on_with_a_sender_of_ours_our_mark_and_a_trace(house: Office) -> None:
    assert isinstance(await house.forward(MAIL + SIGNED + "\r\nHello\r\n"), Sent)
    ((sender, recipients, server, mail),) = house.out()
    assert (recipients, server) == (["tom@partner.example", "kim@partner.example"], "relay")
    assert sender is not None
    assert srs.read(sender, mac, NOW) == ANNA
    assert sender.endswith("@contoso.example")
    assert (mail["From"], mail.get_all(LOOP_HEADER), mail["Return-Path"]) == ("Anna <anna@shop.example>", [MARK], None)
    assert "by gateway.test (Mailroom)" in mail["Received"]


async def test_an_author_who_would_not_be_believed_becomes_a_name_before_our_address(house: Office) -> None:
    await house.forward()
    ((_, _, _, mail),) = house.out()
    assert mail["From"] == '"Anna via Contoso" <notifications@contoso.example>'


async def test_a_mail_that_a_mailbox_made_anew_can_not_keep_its_author(house: Office) -> None:
    house.store.apply([IncomingServer(name="mary", source=GraphInbox(account="office"))], [], by="test")
    await house.forward(MAIL + SIGNED + "\r\nHello\r\n", source="mary")
    ((_, _, _, mail),) = house.out()
    assert mail["From"].endswith("<notifications@contoso.example>")


async def test_a_server_for_our_own_senders_alone_carries_no_strangers(tmp_path: Path) -> None:
    own = replace(RELAY, from_filter=("contoso.example",))
    for name, server in (("smarthost", own), ("graph", replace(M365, from_filter=(), route=GraphRoute(account="office")))):
        (tmp_path / name).mkdir()
        house = Office(tmp_path / name, server, CONTOSO, OFFICE)
        await house.forward(MAIL + SIGNED + "\r\nHello\r\n")
        ((_, _, _, mail),) = house.out()
        assert mail["From"] == '"Anna via Contoso" <notifications@contoso.example>'
        house.store.close()


SIGNED_MAIL = (
    'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="s"\r\n\r\n'
    "--s\r\nContent-Type: text/plain\r\n\r\nHello  \r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nMIAG\r\n--s--\r\n"
)
ENCRYPTED = (
    'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="e"\r\n\r\n'
    "--e\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n"
    "--e\r\nContent-Type: application/octet-stream\r\n\r\nhQEM\r\n--e--\r\n"
)
INVITATION = 'Content-Type: text/calendar; method=REQUEST; charset="utf-8"\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n'
NO_END = 'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nno end\r\n'
EIGHT_BIT = "X-Note: Gr\xfc\xdfe\r\n\r\nGr\xfc\xdfe\r\n"


@pytest.mark.parametrize("rest", [SIGNED_MAIL, ENCRYPTED, INVITATION, NO_END, EIGHT_BIT])
async def test_what_is_in_a_mail_is_handed_on_untouched(house: Office, rest: str) -> None:
    await house.forward(MAIL + SIGNED + rest)
    (found,) = house.store.find(Query(), limit=10)[0][:1]
    kept = house.store.read(found.message.id)
    assert kept is not None
    assert (kept.raw or b"").partition(b"\r\n\r\n")[2] == rest.encode().partition(b"\r\n\r\n")[2]
    assert rest.encode().partition(b"\r\n\r\n")[0] in (kept.raw or b"")


async def test_an_attempt_whose_end_was_lost_forwards_nothing_twice(house: Office) -> None:
    assert isinstance(await house.forward(times=3), Sent)
    assert len(house.out()) == 1


async def test_the_null_sender_stays_and_so_do_our_own(house: Office) -> None:
    await house.forward(MAIL.replace("<anna@shop.example>", "<>", 1) + "\r\nx\r\n")
    ((sender, *_),) = house.out()
    assert sender is None


async def test_a_sender_without_room_in_an_address_bounces_to_us(house: Office) -> None:
    await house.forward(sender=f"{'a' * 60}@shop.example")
    ((sender, *_),) = house.out()
    assert sender == "bounce@contoso.example"


async def test_what_can_not_go_on_is_told_and_waits(tmp_path: Path, house: Office) -> None:
    round_and_round = "".join(f"Received: by {number}.example\r\n" for number in range(60))
    assert isinstance(await house.forward(round_and_round + MAIL + "\r\nx\r\n"), Failed)
    (tmp_path / "bare").mkdir()
    bare = Office(tmp_path / "bare", RELAY)
    assert isinstance(await bare.forward(), Held)
    bare.store.apply([CONTOSO], [("server", "relay")], by="test")
    assert isinstance(await bare.forward(), Deferred)
    bare.store.close()


# ---- bounces --------------------------------------------------------------------------------------------------------


def bounce(to: str, *, sender: str = "MAILER-DAEMON@partner.example", subject: str = "Undelivered Mail Returned to Sender") -> bytes:
    return (
        f"Return-Path: <>\r\nFrom: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\n\r\nNo such user.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; partner.example\r\n\r\n"
        "Final-Recipient: rfc822; tom@partner.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <1@shop.example>\r\n\r\n--b--\r\n"
    ).encode()


def made_for(address: str = ANNA) -> str:
    made = srs.rewrite(address, "contoso.example", ("contoso.example",), mac, NOW)
    assert made is not None
    return made


def judged(house: Office, raw: bytes, to: str, sender: str | None = None) -> tuple[Verdict, str]:
    decision = house.judge(InMemory(raw), Came(by="x", envelope=Envelope(sender, (to,))), NOW).decision
    return decision.verdict, decision.returns_to


async def test_a_bounce_goes_on_to_whom_the_mail_was_from(house: Office) -> None:
    to = made_for()
    assert judged(house, bounce(to), to) == (Verdict.RETURNED, ANNA)
    assert isinstance(await house.pass_on(bounce(to)), Sent)
    assert isinstance(await house.pass_on(bounce(to)), Sent)
    ((sender, recipients, server, mail),) = house.out()
    assert (sender, recipients, server, mail.get_content_type()) == (None, [ANNA], "relay", "multipart/report")
    assert mail["From"] == "MAILER-DAEMON@partner.example"


async def test_nobody_can_write_to_strangers_through_us(house: Office) -> None:
    to = made_for()
    spam = f"From: eve@evil.example\r\nTo: {to}\r\nSubject: Buy this\r\n\r\nNow!\r\n".encode()
    assert judged(house, spam, to, sender="eve@evil.example") == (Verdict.QUARANTINED, "")
    for forged in (to.replace("anna", "boss"), to.replace("shop", "bank"), "SRS0=0000=00=bank.example=boss@contoso.example"):
        assert judged(house, bounce(forged), forged)[1] == ""


async def test_one_address_gets_only_so_many_bounces(house: Office) -> None:
    to = made_for()
    for number in range(Settings().loop_count):
        assert judged(house, bounce(to), to) == (Verdict.RETURNED, ANNA), number
        asked = job(ANNA, raw=bounce(to), sender=None)
        asked = replace(asked, message=replace(asked.message, id=type(asked.message.id)(1000 + number)))
        await Return(house.onward).attempt(asked, remember)
    assert judged(house, bounce(to), to) == (Verdict.QUARANTINED, "")


async def test_a_report_that_came_to_the_mailbox_itself_goes_on_where_somebody_can_carry_it(house: Office) -> None:
    await house.forward()
    (about,) = house.store.sent_as(["<1@shop.example>"]).values()
    goes_on = GoesOn(house.store.directory, house.lookup, house.judge.back, 20)
    assert goes_on(about, False, NOW) == ANNA
    assert goes_on(replace(about, application="erp"), False, NOW) == ""
    house.store.apply([], [("server", "relay")], by="test")
    assert goes_on(about, False, NOW) == ""


async def test_with_graph_alone_a_bounce_of_a_stranger_waits_for_a_person(tmp_path: Path) -> None:
    house = Office(tmp_path, M365, OFFICE, CONTOSO)
    outcome = await house.pass_on(bounce(made_for()))
    assert isinstance(outcome, Held)
    assert "add a smarthost" in outcome.reply.text
    house.store.close()
