"""Postfix and Exim give up on mail of ours: their own reports are read, judged, and name the delivery."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import shutil
import smtplib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from bench import postfix
from bench.place import Place
from mailroom_core.inbound import Action, Head, Report
from mailroom_core.mime.bounce import read_report
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import head
from mailroom_core.mime.index import index
from mailroom_core.mime.source import InMemory
from mailroom_core.policy import verp
from mailroom_core.policy.aliases import Domain, Tables
from mailroom_core.policy.bounces import judge
from mailroom_core.policy.decision import Arrival, Facts, Verdict
from mailroom_core.policy.reasons import Reason
from mailroom_core.policy.routing import route
from tests.clients import exim
from tests.contract.smtp_server import Script, SmtpServer

pytestmark = pytest.mark.anyio

MAIL = "Message-ID: <offer-1@example.com>\r\nFrom: mary@example.com\r\nTo: {to}\r\nSubject: Offer\r\n\r\nHello\r\n"
REFUSING = {
    "RCPT TO:<lost@": b"550 5.1.1 <lost@shop.example>: Recipient address rejected: User unknown\r\n",
    "RCPT TO:<full@": b"552 5.2.2 <full@shop.example>: user is over quota\r\n",
    "RCPT TO:<later@": b"451 4.3.2 Please try again later\r\n",
    "RCPT TO:<list@": b"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org\r\n",
}


def mac(data: bytes) -> bytes:
    return hmac.digest(b"key", data, hashlib.sha256)


VERP = verp.make("bounce@example.com", "06xqfhxnc2400", mac)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's own: daemons of the server run as a user of their own, and must be able to get there."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


class Relay(Protocol):
    port: int


@contextmanager
def mail_server(name: str, folder: Path, next_hop: int) -> Iterator[Relay]:
    """Running; or the test is skipped, with what is missing."""
    if name == "exim":
        if why := exim.missing():
            pytest.skip(why)
        with exim.running(folder, next_hop) as server:
            yield server
        return
    if shutil.which("postfix", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("the package postfix is missing")
    if os.geteuid() != 0:
        pytest.skip("Postfix can only be started by root")
    with postfix.running(Place(folder, folder), next_hop) as relay:
        yield relay


async def returned(name: str, folder: Path, recipient: str, *rcpt_options: str) -> tuple[Head, Report, list[str]]:
    """What comes back for one mail: its head, its report, and to whom it was sent."""
    async with SmtpServer(Script(REFUSING)) as server:

        def submit() -> None:
            with mail_server(name, folder, server.port) as relay:
                with smtplib.SMTP("127.0.0.1", relay.port) as client:
                    client.sendmail(VERP, [recipient], MAIL.format(to=recipient), rcpt_options=rcpt_options)
                wait(lambda: any("<>" in mail.mail_from for mail in server.mails))

        await asyncio.to_thread(submit)
        report_mail = next(mail for mail in server.mails if "<>" in mail.mail_from)
    source = InMemory(report_mail.content)
    mail = head(Fields(report_mail.content))
    report = read_report(source, index(source), mail)
    assert report is not None
    return mail, report, report_mail.recipients


def wait(done: Callable[[], bool]) -> None:
    """Until the server has delivered its report, which takes it a moment."""
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, "no report came within 30 seconds"
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["postfix", "exim"])
@pytest.mark.parametrize(
    ("recipient", "reason", "permanent", "hard"),
    [
        ("lost@shop.example", Reason.NO_SUCH_MAILBOX, True, True),
        ("full@shop.example", Reason.MAILBOX_FULL, False, False),
        ("list@shop.example", Reason.SENDER_BLOCKED, True, False),
    ],
)
async def test_a_refusal_comes_back_with_its_reason(
    name: str, folder: Path, recipient: str, reason: Reason, permanent: bool, hard: bool
) -> None:
    mail, report, sent_to = await returned(name, folder, recipient)
    (one,) = report.failures
    judgement = judge(one)
    assert (one.address, judgement.reason, judgement.permanent, judgement.hard) == (recipient, reason, permanent, hard)
    assert report.original.ids[0] == "<offer-1@example.com>"
    assert verp.read(sent_to[0], ["bounce@example.com"], mac) == "06xqfhxnc2400"
    assert verp.read(report.sent_to[0], ["bounce@example.com"], mac) == "06xqfhxnc2400"
    tables = Tables([], [Domain(name="example.com")])
    assert route(mail, Arrival(), tables, Facts(), report=report).verdict is Verdict.BOUNCE


async def test_what_exim_has_tried_for_too_long_is_not_the_fault_of_the_address(folder: Path) -> None:
    mail, report, _ = await returned("exim", folder, "later@shop.example")
    (one,) = report.failures
    assert "retry timeout exceeded" in one.diagnostic
    judgement = judge(one)
    assert (judgement.reason, judgement.hard) == (Reason.SERVER_TROUBLE, False)
    assert route(mail, Arrival(), Tables([], []), Facts(), report=report).verdict is Verdict.BOUNCE


@pytest.mark.parametrize(("name", "action"), [("postfix", Action.RELAYED), ("exim", Action.DELIVERED)])
async def test_a_report_of_success_is_no_bounce(name: str, action: Action, folder: Path) -> None:
    mail, report, _ = await returned(name, folder, "fine@shop.example", "NOTIFY=SUCCESS,FAILURE")
    assert [(each.address, each.action) for each in report.recipients] == [("fine@shop.example", action)]
    assert route(mail, Arrival(), Tables([], []), Facts(), report=report).verdict is Verdict.IGNORED
