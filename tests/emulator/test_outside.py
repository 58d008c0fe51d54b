"""The outside world: it keeps what it gets, refuses, and answers."""

from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default

import pytest

from tests.emulator.client import Tenant, mime, recipients

MARY = "mary@contoso.example"
SALES = "sales@contoso.example"


def newest(tenant: Tenant, who: str) -> EmailMessage:
    message = tenant.folder(who, "inbox")[0]
    raw = tenant.app(who)("GET", f"/messages/{message['id']}/$value").content
    parsed = message_from_bytes(raw, policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def status_of(report: EmailMessage) -> list[Message]:
    """The blocks of the delivery status: one on the message, one for each recipient."""
    blocks = list(report.iter_parts())[1].get_payload()
    assert isinstance(blocks, list)
    return [b for b in blocks if isinstance(b, Message) and b.keys()]


def test_copies_are_found_by_recipient_message_id_and_subject(tenant: Tenant) -> None:
    mary = tenant.user()
    mary.send_mime(mime(to="a@o.example, B@o.example", message_id="<1@x>", subject="first"))
    mary.send_mime(mime(to="a@o.example", message_id="<2@x>", subject="second"))

    def ids(**query: str) -> list[str]:
        return [m["message_id"] for m in tenant.control("GET", "/outside", params=query)["messages"]]

    assert ids(to="A@o.example") == ["<1@x>", "<2@x>"]
    assert ids(to="b@o.example") == ["<1@x>"]
    assert ids(message_id="<1@x>", to="b@o.example") == ["<1@x>"]
    assert ids(subject="seco") == ["<2@x>"]
    assert ids(limit="1") == ["<2@x>"]


@pytest.mark.parametrize(
    ("address", "status"),
    [("bounce+1@o.example", "5.1.1"), ("Unknown@o.example", "5.1.1"), ("nobody@contoso.example", "5.1.10"), ("full@o.example", "5.2.2")],
)
def test_an_address_that_does_not_exist_is_reported_to_the_sender(tenant: Tenant, address: str, status: str) -> None:
    tenant.control("POST", "/bounces", {"address": "full@o.example", "diagnostic": "552 5.2.2 mailbox full"})
    tenant.user().send_mime(mime("secret text", to=f"{address}, good@o.example", subject="Héllo"))
    assert [m["to"] for m in tenant.outside()] == ["good@o.example"]
    report = newest(tenant, MARY)
    assert report.get_content_type() == "multipart/report"
    assert report["Subject"] == "Undeliverable: Héllo"
    assert report["In-Reply-To"] == "<one@odoo.example>"
    per_message, per_recipient = status_of(report)
    assert per_message["Reporting-MTA"].startswith("dns;")
    assert per_recipient["Final-Recipient"].endswith(address)
    assert (per_recipient["Action"], per_recipient["Status"]) == ("failed", status)
    original = list(report.iter_parts())[2]
    assert original.get_content_type() == "message/rfc822"
    assert b"Message-ID: <one@odoo.example>" in original.as_bytes()


def test_recipients_that_fail_alike_share_a_report(tenant: Tenant) -> None:
    tenant.user().send_mime(mime(to="bounce1@o.example, bounce2@o.example"))
    report = newest(tenant, MARY)
    assert len(status_of(report)) == 3
    assert len(tenant.folder(MARY, "inbox")) == 1


def test_the_report_comes_to_the_mailbox_that_sent(tenant: Tenant) -> None:
    tenant.user().at(SALES).send_mail(toRecipients=recipients("bounce@o.example"))
    assert tenant.folder(MARY, "inbox") == []
    assert len(tenant.folder(SALES, "inbox")) == 1


def test_a_report_may_take_a_while(tenant: Tenant) -> None:
    tenant.control("POST", "/clock", {"freeze": True})
    tenant.switch(ndr_lag_seconds=60, delivery_lag_seconds=30)
    tenant.user().send_mime(mime(to="bounce@o.example, good@o.example"))
    assert tenant.outside() == []
    tenant.control("POST", "/clock", {"advance": 30})
    assert len(tenant.outside()) == 1
    assert tenant.folder(MARY, "inbox") == []
    tenant.control("POST", "/clock", {"advance": 60})
    assert len(tenant.folder(MARY, "inbox")) == 1


def test_a_recipient_outside_answers(tenant: Tenant) -> None:
    tenant.user().send_mime(mime(headers=("Reply-To: sales@contoso.example",)))
    (copy,) = tenant.outside()
    reply = {"text": "Ja", "html": "<p>Ja</p>", "headers": {"Auto-Submitted": "auto-replied"}}
    made = tenant.control("POST", f"/outside/{copy['id']}/reply", reply)
    assert made["mailbox"] == SALES
    answer = newest(tenant, SALES)
    assert answer["From"] == "x@outside.example"
    assert answer["Subject"] == "Re: Hello"
    assert answer["In-Reply-To"] == answer["References"] == "<one@odoo.example>"
    assert answer["Auto-Submitted"] == "auto-replied"
    assert [p.get_content_type() for p in answer.walk()] == ["multipart/alternative", "text/plain", "text/html"]


def test_an_address_that_exists_again_gets_its_mail(tenant: Tenant) -> None:
    tenant.control("POST", "/bounces", {"address": "x@outside.example"})
    tenant.user().send_mime(mime())
    tenant.control("DELETE", "/bounces/x@outside.example")
    tenant.user().send_mime(mime())
    assert len(tenant.outside()) == 1
