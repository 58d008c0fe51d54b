"""The emulator's non-delivery reports, as Graph hands them out, are read by the core."""

from __future__ import annotations

import pytest

from mailroom_core.inbound import ReportKind
from mailroom_core.mime.bounce import read_report
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import head
from mailroom_core.mime.index import index
from mailroom_core.mime.source import InMemory
from mailroom_core.policy.bounces import judge
from mailroom_core.policy.reasons import Reason
from tests.emulator.client import Tenant, mime

MARY = "mary@contoso.example"


@pytest.mark.parametrize(
    ("address", "reason", "hard"),
    [
        ("unknown@o.example", Reason.NO_SUCH_MAILBOX, True),
        ("nobody@contoso.example", Reason.NO_SUCH_MAILBOX, True),
        ("full@o.example", Reason.MAILBOX_FULL, False),
        ("blocked@o.example", Reason.SENDER_BLOCKED, False),
    ],
)
def test_an_exchange_report_names_recipient_reason_and_mail(tenant: Tenant, address: str, reason: Reason, hard: bool) -> None:
    tenant.control("POST", "/bounces", {"address": "full@o.example", "diagnostic": "552 5.2.2 mailbox full"})
    tenant.control("POST", "/bounces", {"address": "blocked@o.example", "diagnostic": "550 5.7.606 Access denied, banned sending IP"})
    tenant.user().send_mime(mime("text", to=f"{address}, good@o.example", subject="Héllo"))
    (message,) = tenant.folder(MARY, "inbox")
    raw = tenant.app(MARY)("GET", f"/messages/{message['id']}/$value").content
    source = InMemory(raw)
    report = read_report(source, index(source), head(Fields(raw)))
    assert report is not None
    (one,) = report.failures
    judgement = judge(one)
    assert (report.kind, one.address, judgement.reason, judgement.hard) == (ReportKind.STANDARD, address, reason, hard)
    assert report.original.ids[0] == "<one@odoo.example>"
