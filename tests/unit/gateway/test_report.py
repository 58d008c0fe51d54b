"""Who hears of a failure, and by which way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from itertools import count

import pytest

from mailroom.objects import Account, AliasDomain, Directory, GraphRoute, OutgoingServer, SinkRoute, SmarthostRoute, Suppression
from mailroom.ports import DeliveryResult, Message, Work
from mailroom.queue.report import Reporter
from mailroom_core.model import DeliveryId, Kind, MessageId, Reply, State
from tests.contract.store.memory_blobs import MemoryBlobs
from tests.unit.gateway.test_settle import NOW, delivery

GRAPH = OutgoingServer(name="m365", priority=1, route=GraphRoute(account="office"))
SMTP = OutgoingServer(name="out", priority=9, route=SmarthostRoute(host="h"))
GONE = Reply(550, "no such user", "5.1.1")


def reporter(*servers: OutgoingServer, domains: tuple[str, ...] = (), suppressed: tuple[str, ...] = ()) -> Reporter:
    office = Account(name="office", mailbox="m@example.com")
    ours = {domain: AliasDomain(name=domain) for domain in domains}
    directory = Directory(1, {"office": office}, {server.name: server for server in servers}, ours)
    ids = count(100)
    return Reporter(
        directory=lambda: directory,
        blobs=MemoryBlobs(),
        suppressed=lambda addresses: {each: Suppression(address=each, reason="x") for each in addresses if each in suppressed},
        ids=lambda: next(ids),
        clock=lambda: NOW,
        hostname="gateway.test",
        lifetime=timedelta(days=5),
    )


def work(sender: str | None = "anna@partner.example") -> Work:
    message = Message(
        id=MessageId(1),
        accepted_at=NOW,
        sender=sender,
        header_from="anna@partner.example",
        header_message_id="<a@b>",
        subject="x",
        application="erp",
        kind=Kind.TRANSACTIONAL,
        size=10,
        rewrite_from="",
        raw=b"Subject: the offer\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n",
        blob="",
    )
    return Work(message=message, deliveries=(delivery(1), delivery(2)))


def result(number: int, state: State) -> DeliveryResult:
    return DeliveryResult(id=DeliveryId(number), state=state, due_at=None, reply=GONE)


def test_the_envelope_sender_gets_one_report_about_those_that_failed() -> None:
    (report,) = reporter(GRAPH, SMTP).reports(work(), [result(1, State.FAILED), result(2, State.SENT)])
    assert (report.sender, [d.recipient for d in report.deliveries]) == (None, ["anna@partner.example"])
    assert report.deliveries[0].lane == "smarthost:out"
    assert report.raw is not None
    parsed = message_from_bytes(report.raw)
    assert parsed.get_content_type() == "multipart/report"
    assert parsed["Auto-Submitted"] == "auto-replied"
    text = report.raw.decode()
    assert "r1@example.org" in text
    assert "r2@example.org" not in text
    assert "body" not in text.split("text/rfc822-headers")[1]


@pytest.mark.parametrize("state", [State.SENT, State.QUEUED, State.UNSURE, State.HELD])
def test_what_did_not_fail_for_good_is_not_reported(state: State) -> None:
    assert reporter(SMTP).reports(work(), [result(1, state)]) == ()


def test_a_forwarded_mail_is_reported_to_whom_it_was_from() -> None:
    made = replace(reporter(SMTP), returns_to=lambda sender: "bob@shop.example" if sender.startswith("SRS0=") else "")
    (report,) = made.reports(work("SRS0=x@contoso.example"), [result(1, State.FAILED)])
    assert [d.recipient for d in report.deliveries] == ["bob@shop.example"]
    (report,) = made.reports(work(), [result(1, State.FAILED)])
    assert [d.recipient for d in report.deliveries] == ["anna@partner.example"]


def test_nobody_answers_the_null_sender() -> None:
    assert reporter(SMTP).reports(work(None), [result(1, State.FAILED)]) == ()


def test_with_graph_alone_only_our_own_domains_get_a_report_and_from_a_mailbox() -> None:
    assert reporter(GRAPH).reports(work(), [result(1, State.FAILED)]) == ()
    (report,) = reporter(GRAPH, domains=("partner.example",)).reports(work(), [result(1, State.FAILED)])
    assert report.header_from == "notifications@partner.example"


def test_without_a_server_there_is_no_report_and_no_error() -> None:
    assert reporter().reports(work(), [result(1, State.FAILED)]) == ()


def test_a_sink_carries_no_report() -> None:
    sink = OutgoingServer(name="trial", priority=0, route=SinkRoute())
    assert reporter(sink).reports(work(), [result(1, State.FAILED)]) == ()
    (report,) = reporter(sink, SMTP).reports(work(), [result(1, State.FAILED)])
    assert report.deliveries[0].server == "out"


def test_a_suppressed_sender_gets_no_report() -> None:
    assert reporter(SMTP, suppressed=("anna@partner.example",)).reports(work("Anna@Partner.Example"), [result(1, State.FAILED)]) == ()


def test_a_report_goes_without_the_head_of_a_mail_whose_bytes_are_gone() -> None:
    lost = replace(work(), message=replace(work().message, raw=None, blob="gone.eml"))
    (report,) = reporter(SMTP).reports(lost, [result(1, State.FAILED)])
    assert report.raw is not None
    assert "r1@example.org" in report.raw.decode()
