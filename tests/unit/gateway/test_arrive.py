"""What the MX listener hands over: who is known, what is believed, and what is written in front."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from mailroom.authenticity.evaluate import Evaluator, Peer, Results
from mailroom.authenticity.names import Ask, Found, Unanswered
from mailroom.intake.arrive import Arrive, Arriving, OnFail, Rules
from mailroom.intake.take import Fetched, Intake
from mailroom.objects import Alias, AliasDomain, Directory
from mailroom.wiring.intake import opened
from mailroom_core.errors import Refused, StoreError, StoreFull
from mailroom_core.mime.source import ReadAt
from tests.unit.gateway.test_authenticity import MAIL, Names

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
STRANGER, EXCHANGE = ip_address("198.51.100.1"), ip_address("192.0.2.130")
DIRECTORY = Directory(
    version=1,
    alias_domains={"desk.example": AliasDomain(name="desk.example")},
    aliases={"sales@desk.example": Alias(name="sales@desk.example", destination="desk")},
)


@dataclass
class FakeIntake:
    """Keeps what it would store."""

    problem: Exception | None = None
    taken: list[tuple[Fetched, bytes]] = field(default_factory=list)

    async def __call__(self, fetched: Fetched) -> None:
        if self.problem is not None:
            raise self.problem
        self.taken.append((fetched, fetched.file.read_bytes()))


@pytest.fixture
def intake() -> FakeIntake:
    return FakeIntake()


Make = Callable[..., Arrive]


@pytest.fixture
def make(tmp_path: Path, intake: FakeIntake) -> Make:
    def made(*, evaluator: Any = None, names: Names | None = None, **rules: Any) -> Arrive:
        known = names or Names({"_dmarc.shop.example TXT": ['"v=DMARC1; p=reject"'], "shop.example TXT": ['"v=spf1 -all"']})
        return Arrive(
            intake=cast("Intake", intake),
            evaluator=evaluator or Evaluator(asking=lambda within: known, within=timedelta(seconds=5), sealers=()),
            directory=lambda: DIRECTORY,
            back=lambda address, now: "anna@shop.example" if address.startswith("srs0=good") else "",
            opened=opened,
            ids=iter(range(1, 100)).__next__,
            clock=lambda: NOW,
            spool=tmp_path,
            threads=ThreadPoolExecutor(1),
            notify=lambda: None,
            rules=replace(Rules(hostname="mx.desk.example", authserv_id="mx.desk.example"), **rules),
        )

    return made


def arriving(raw: bytes = MAIL, *recipients: str, client: Any = STRANGER, spool: Path | None = None) -> Arriving:
    return Arriving(
        sender="anna@shop.example",
        recipients=recipients or ("sales@desk.example",),
        raw=None if spool else raw,
        spool=spool,
        size=len(raw),
        client=client,
        helo="mx.shop.example",
        protocol="ESMTP",
    )


def refusal(arrive: Arrive, mail: Arriving) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        asyncio.run(arrive(mail))
    return refused.value.code, refused.value.enhanced


def test_only_addresses_of_ours_may_be_written_to(make: Make) -> None:
    arrive = make(redirectors=(ip_network("192.0.2.128/25"),))

    def answer(address: str, client: Any = STRANGER) -> str:
        try:
            arrive.check_recipient(client, address)
        except Refused as refused:
            return refused.enhanced
        return ""

    for address in ("sales@desk.example", "postmaster@desk.example", "bounce@desk.example", "srs0=good@desk.example"):
        assert answer(address) == "", address
    assert answer("any@desk.example") == "5.1.1"
    assert answer("any@desk.example", EXCHANGE) == "", "a server of ours may redirect to any address of our domains"
    for client in (STRANGER, EXCHANGE):
        assert answer("any@else.example", client) == "5.7.1"
    make_all = make(destination="odoo")
    make_all.check_recipient(STRANGER, "any@desk.example")
    with pytest.raises(Refused):
        make_all.check_recipient(STRANGER, "any@else.example")


def test_what_fails_waits_or_is_refused_or_only_noted_as_the_settings_say(make: Make, intake: FakeIntake) -> None:
    assert refusal(make(on_fail=OnFail.REJECT), arriving()) == (550, "5.7.26")
    asyncio.run(make()(arriving()))
    asyncio.run(make(on_fail=OnFail.RECORD)(arriving()))
    doubts = [fetched.came.doubt for fetched, _ in intake.taken]
    assert doubts == ["nothing proves that shop.example has sent it, which wants such mail refused (DMARC)", ""]
    lenient = Names({"_dmarc.shop.example TXT": ['"v=DMARC1; p=quarantine"'], "shop.example TXT": ['"v=spf1 -all"']})
    asyncio.run(make(on_fail=OnFail.REJECT, names=lenient)(arriving()))
    assert "wants such mail quarantined" in intake.taken[-1][0].came.doubt


def test_a_server_of_ours_that_redirects_says_whom_the_mail_was_for(make: Make, intake: FakeIntake) -> None:
    raw = b"Delivered-To: sales@desk.example\r\nX-Original-To: nobody@desk.example\r\n" + MAIL
    arrive = make(redirectors=(ip_network("192.0.2.128/25"),), on_fail=OnFail.REJECT)
    asyncio.run(arrive(arriving(raw, "pipe@desk.example", client=EXCHANGE)))
    fetched, stored = intake.taken[-1]
    assert fetched.came.envelope is not None
    assert fetched.came.envelope.recipients == ("pipe@desk.example", "sales@desk.example")
    assert (fetched.came.doubt, b"spf=" in stored) == ("", False)
    asyncio.run(make()(arriving(raw, "bounce@desk.example")))
    strangers = intake.taken[-1][0].came.envelope
    assert strangers is not None
    assert strangers.recipients == ("bounce@desk.example",), "nobody else's head is believed"


@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (MAIL, MAIL),
        (b"Authentication-Results: MX.desk.example (me) 1; spf=pass\r\n" + MAIL, MAIL),
        (b'Authentication-Results:\r\n "mx.desk.example"; dmarc=pass\r\n' + MAIL, MAIL),
        (b"Authentication-Results: else; spf=pass\r\n" + MAIL, b"Authentication-Results: else; spf=pass\r\n" + MAIL),
        (b"From anna@shop.example Sat\r\n" + MAIL, MAIL),
        (b"no head at all\r\n", b"\r\nno head at all\r\n"),
        (b" folded\r\n" + MAIL, b"\r\n folded\r\n" + MAIL),
        (b"\r\nonly a body\r\n", b"\r\nonly a body\r\n"),
        (MAIL + b"x" * 2_000_000 + b"\r\n", MAIL + b"x" * 2_000_000 + b"\r\n"),
    ],
)
def test_our_trace_stands_in_front_and_what_pretends_to_be_ours_is_gone(
    make: Make, intake: FakeIntake, tmp_path: Path, raw: bytes, kept: bytes, spooled: bool
) -> None:
    spool = tmp_path / "spooled.eml" if spooled else None
    if spool:
        spool.write_bytes(raw)
    asyncio.run(make()(arriving(raw, spool=spool)))
    fetched, stored = intake.taken[-1]
    assert stored.startswith(
        b"Return-Path: <anna@shop.example>\r\nDelivered-To: sales@desk.example\r\nAuthentication-Results: mx.desk.example;"
    )
    trace = stored.index(b"Received: from mx.shop.example ([198.51.100.1])\r\n\tby mx.desk.example (Mailroom) with ESMTP id ")
    end = stored.index(b"\r\n\tSat, 21 Nov 2026 12:00:00 +0000\r\n", trace) + len(b"\r\n\tSat, 21 Nov 2026 12:00:00 +0000\r\n")
    assert stored[end:] == kept
    assert not fetched.file.exists(), "nothing is left behind"


def test_trouble_of_the_store_is_a_reason_to_come_again(make: Make, intake: FakeIntake, tmp_path: Path) -> None:
    for problem, answer in ((StoreFull("full"), (452, "4.3.1")), (StoreError("gone"), (451, "4.3.0")), (OSError("disk"), (452, "4.3.1"))):
        intake.problem = problem
        assert refusal(make(), arriving()) == answer
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_in_the_proofs_costs_no_mail(make: Make, intake: FakeIntake) -> None:
    @dataclass
    class Broken:
        within: timedelta = timedelta(seconds=1)

        def __call__(self, source: ReadAt, peer: Peer, *, passed_on: bool) -> Results:
            raise RecursionError

    asyncio.run(make(evaluator=Broken())(arriving()))
    fetched, stored = intake.taken[-1]
    assert fetched.came.doubt == ""
    assert b"dmarc=temperror (a mistake of ours" in stored


def test_a_name_server_that_says_nothing_costs_no_mail(make: Make, intake: FakeIntake) -> None:
    def silent(name: str, kind: str) -> Found:
        raise Unanswered("silence")

    def asking(within: timedelta) -> Ask:
        return silent

    asyncio.run(make(evaluator=Evaluator(asking=asking, within=timedelta(seconds=1), sealers=()))(arriving()))
    fetched, stored = intake.taken[-1]
    assert (fetched.came.doubt, b"spf=temperror" in stored, b"dmarc=temperror" in stored) == ("", True, True)
