"""From the button to the chatter: connect, send, see it in Sent Items, and get the answer."""

from __future__ import annotations

import base64
import email
import os
import random
import time
from email import policy

import pytest

from demo.processes import Emulator
from tests.odoo.machine import Odoo, Refused
from tests.odoo.people import MAILBOX, Lead


@pytest.fixture(scope="module", autouse=True)
def outgoing(odoo: Odoo) -> int:
    return odoo.outgoing(MAILBOX, MAILBOX)


@pytest.fixture(scope="module")
def incoming(odoo: Odoo) -> int:
    """The alias of the sales team, which is a shared mailbox: Mary has rights to it."""
    return odoo.incoming("info@contoso.example", "mary@contoso.example")


@pytest.fixture(scope="module")
def reports(odoo: Odoo) -> int:
    """Where Exchange reports what could not be delivered: to the mailbox that has sent."""
    return odoo.incoming(MAILBOX, MAILBOX)


@pytest.fixture(autouse=True)
def nothing_left_over(emulator: Emulator) -> None:
    emulator.ask("DELETE", "/faults")


def arrived(emulator: Emulator, subject: str) -> list[str]:
    return sorted(copy["to"] for copy in emulator.outside() if copy["subject"] == subject)


def colleague(odoo: Odoo, address: str) -> int:
    """A user who wants to be told by mail; the number of their contact."""
    user = odoo.call("res.users", "create", {"name": "Sam", "login": address, "email": address, "notification_type": "email"})
    return int(odoo.read("res.users", [["id", "=", user]], "partner_id")[0]["partner_id"][0])


def told(emulator: Emulator, address: str) -> list[str]:
    """The texts of all mail that has reached an address."""
    mails = [email.message_from_bytes(emulator.outside_raw(copy["id"]), policy=policy.default) for copy in emulator.outside(address)]
    bodies = [mail.get_body(("plain",)) for mail in mails]
    return [body.get_content() for body in bodies if body is not None]


def in_sent_items(emulator: Emulator, subject: str) -> int:
    return sum(mail["subject"] == subject for mail in emulator.folder(MAILBOX, "sentitems"))


def test_a_mail_from_the_chatter_reaches_each_once_and_the_answer_comes_back(
    odoo: Odoo, emulator: Emulator, outgoing: int, incoming: int
) -> None:
    lead = Lead.new(odoo, "kim@customer.example", "lee@customer.example")
    message = lead.post("Our offer")
    odoo.eventually(lambda: len(arrived(emulator, "Our offer")) == 2, "both copies have arrived")
    assert arrived(emulator, "Our offer") == ["kim@customer.example", "lee@customer.example"]
    assert in_sent_items(emulator, "Our offer") == 2
    assert set(lead.envelopes(message).values()) == {("sent", "")}

    lead.followed_by(colleague(odoo, "sam@colleagues.example"))
    emulator.reply("kim@customer.example", "Our offer", "We take twelve")
    odoo.fetch(incoming, lambda: "We take twelve" in lead.said(), "the answer is in the chatter")
    odoo.eventually(lambda: told(emulator, "sam@colleagues.example"), "its follower hears of it")
    assert ["We take twelve" in mail for mail in told(emulator, "sam@colleagues.example")] == [True]
    assert not odoo.read("microsoft.graph.incoming", [], "id")
    assert odoo.read("ir.mail_server", [["id", "=", outgoing]], "from_filter")[0]["from_filter"] == MAILBOX


def test_a_mail_to_the_alias_becomes_a_lead(odoo: Odoo, emulator: Emulator, incoming: int) -> None:
    head = b"From: Max <max@customer.example>\r\nTo: info@contoso.example\r\nSubject: A question\r\nMessage-ID: <q@customer.example>\r\n"
    raw = head + b"\r\nHow much?\r\n"
    emulator.deliver("info@contoso.example", raw)
    odoo.fetch(incoming, lambda: odoo.read("crm.lead", [["name", "=", "A question"]], "email_from"), "there is a lead")
    assert [lead["email_from"] for lead in odoo.read("crm.lead", [["name", "=", "A question"]], "email_from")] == [
        '"Max" <max@customer.example>'
    ]
    assert all(mail["is_read"] for mail in emulator.folder("info@contoso.example", "inbox"))


def test_a_bounce_turns_the_envelope_red_with_words_for_people(odoo: Odoo, emulator: Emulator, reports: int) -> None:
    lead = Lead.new(odoo, "unknown.person@customer.example", "ok@customer.example")
    message = lead.post("Never arrives")
    odoo.eventually(lambda: emulator.folder(MAILBOX, "inbox"), "Exchange has reported it")
    odoo.fetch(reports, lambda: ("bounce", "mail_bounce") in lead.envelopes(message).values(), "an envelope is red")
    assert lead.envelopes(message) == {"unknown.person@customer.example": ("bounce", "mail_bounce"), "ok@customer.example": ("sent", "")}
    assert any("There is no such mailbox" in reason for reason in lead.reasons(message))


@pytest.mark.parametrize("switch", ["replaced_at_creation", "replaced_on_send"])
def test_an_answer_finds_its_record_also_where_microsoft_changes_the_message_id(
    odoo: Odoo, emulator: Emulator, incoming: int, switch: str
) -> None:
    emulator.switch(message_id=switch)
    try:
        lead = Lead.new(odoo, f"{switch}@customer.example")
        lead.post(f"Offer {switch}")
        odoo.eventually(lambda: arrived(emulator, f"Offer {switch}"), "it has arrived")
        emulator.reply(f"{switch}@customer.example", f"Offer {switch}", f"Answer {switch}")
        odoo.fetch(incoming, lambda: f"Answer {switch}" in lead.said(), "the answer is in the chatter")
    finally:
        emulator.switch(message_id="kept")


def test_a_lost_answer_to_send_is_asked_for_and_nothing_goes_twice(odoo: Odoo, emulator: Emulator) -> None:
    emulator.fault(match={"operation": "send"}, action={"kind": "do_but_answer", "status": 504})
    lead = Lead.new(odoo, "once@customer.example")
    message = lead.post("Only once")
    odoo.eventually(lambda: arrived(emulator, "Only once"), "it has arrived")
    assert lead.envelopes(message) == {"once@customer.example": ("ready", "")}
    odoo.due()
    odoo.eventually(lambda: lead.envelopes(message) == {"once@customer.example": ("sent", "")}, "the next run has found it")
    assert arrived(emulator, "Only once") == ["once@customer.example"]


def test_throttled_mail_waits_and_leaves(odoo: Odoo, emulator: Emulator) -> None:
    emulator.fault(match={"operation": "createDraft"}, action={"kind": "answer", "status": 429, "retry_after": 1.5})
    lead = Lead.new(odoo, "slow@customer.example")
    message = lead.post("Slowly")
    odoo.eventually(lambda: lead.envelopes(message) == {"slow@customer.example": ("sent", "")}, "the queue was called for it", 150)
    assert arrived(emulator, "Slowly") == ["slow@customer.example"]


def test_200_mails_with_throttling_in_between_all_arrive_once(odoo: Odoo, emulator: Emulator) -> None:
    throttled = {"kind": "answer", "status": 429, "retry_after": 0.3}
    emulator.fault(match={"operation": ["createDraft", "send"]}, probability=0.04, seed=7, times=None, action=throttled)
    mails = [
        {"subject": "One of 200", "body_html": "<p>Hello</p>", "email_from": MAILBOX, "email_to": f"many{number}@customer.example"}
        for number in range(200)
    ]
    odoo.call("mail.mail", "create", mails)

    def all_sent() -> bool:
        odoo.due()
        return len(arrived(emulator, "One of 200")) >= 200

    odoo.eventually(all_sent, "all have arrived", 250)
    odoo.due()
    assert arrived(emulator, "One of 200") == sorted(mail["email_to"] for mail in mails)
    assert odoo.sql("SELECT count(*) FROM microsoft_graph_try WHERE state = 'gone' AND starts_with(recipients, 'many')") > [(0,)]


def run_code(odoo: Odoo, subject: str, code: str) -> None:
    """As an add-on's code does: make a mail, send it with `send()`, and go on in the same transaction."""
    mail = {"subject": subject, "body_html": "<p>Hello</p>", "email_from": MAILBOX, "email_to": "code@customer.example"}
    values = {"name": subject, "model_id": odoo.ref("mail.model_mail_mail"), "state": "code"}
    lines = f"mail = env['mail.mail'].create({mail!r})\nmail.send()\n{code}"
    action = odoo.call("ir.actions.server", "create", {**values, "code": lines})
    odoo.call("ir.actions.server", "run", [action])


def test_a_mail_of_a_transaction_that_fails_never_leaves(odoo: Odoo, emulator: Emulator) -> None:
    with pytest.raises(Refused, match="not after all"):
        run_code(odoo, "Rolled back", "raise UserError('not after all')")
    run_code(odoo, "Committed", "")
    assert arrived(emulator, "Committed") == ["code@customer.example"]
    assert arrived(emulator, "Rolled back") == []


def test_a_mail_that_is_deleted_right_after_it_was_sent_leaves_all_the_same(odoo: Odoo, emulator: Emulator) -> None:
    run_code(odoo, "Sent and deleted", "mail.unlink()")
    assert arrived(emulator, "Sent and deleted") == ["code@customer.example"]
    assert not odoo.read("mail.mail", [["subject", "=", "Sent and deleted"]], "id")


def test_a_mailing_is_tried_by_its_wizard_leaves_and_hears_of_its_bounces(odoo: Odoo, emulator: Emulator, reports: int) -> None:
    people = odoo.call("mailing.list", "create", {"name": "Everybody"})
    addresses = ["reader@customer.example", "unknown.reader@customer.example"]
    odoo.call("mailing.contact", "create", [{"email": address, "list_ids": [[4, people]]} for address in addresses])
    mailing = odoo.call("mailing.mailing", "create", {
        "subject": "Spring", "body_html": "<p>It is spring.</p>", "email_from": MAILBOX, "contact_list_ids": [[4, people]],
        "mailing_model_id": odoo.ref("mass_mailing.model_mailing_list"),
    })  # fmt: skip
    wizard = odoo.call("mailing.mailing.test", "create", {"email_to": "me@colleagues.example", "mass_mailing_id": mailing})
    odoo.call("mailing.mailing.test", "send_mail_test", [wizard])
    assert arrived(emulator, "[TEST] Spring") == ["me@colleagues.example"]
    said = odoo.sql("SELECT body FROM mail_message WHERE model = 'mailing.mailing' AND res_id = %s", mailing)
    assert any("Test mailing successfully sent to me@colleagues.example" in (row[0] or "") for row in said)

    odoo.call("mailing.mailing", "action_launch", [mailing])

    def traces() -> dict[str, str]:
        found = odoo.read("mailing.trace", [["mass_mailing_id", "=", mailing]], "email", "trace_status")
        return {trace["email"]: trace["trace_status"] for trace in found}

    def sent() -> bool:
        odoo.due()
        return set(traces().values()) == {"sent"}

    odoo.eventually(sent, "the mailing has left", 150)
    assert arrived(emulator, "Spring") == ["reader@customer.example"]
    odoo.fetch(reports, lambda: "bounce" in traces().values(), "the bounce is counted")
    assert traces() == {"reader@customer.example": "sent", "unknown.reader@customer.example": "bounce"}


def test_a_bad_recipient_stops_nobody_else(odoo: Odoo, emulator: Emulator) -> None:
    emulator.fault(
        match={"operation": "createDraft"}, skip=1,
        action={"kind": "answer", "status": 400, "code": "ErrorInvalidRecipients", "message": "At least one recipient is not valid."},
    )  # fmt: skip
    lead = Lead.new(odoo, "first@customer.example", "second@customer.example", "third@customer.example")
    message = lead.post("To three")
    odoo.eventually(lambda: len(arrived(emulator, "To three")) == 2, "two have it")
    states = odoo.eventually(lambda: [s for s in [sorted(lead.envelopes(message).values())] if ("ready", "") not in s], "it is concluded")[
        0
    ]
    assert states == [("exception", "mail_email_invalid"), ("sent", ""), ("sent", "")]
    assert any("A recipient's address is not valid" in reason for reason in lead.reasons(message))


def test_a_revoked_grant_says_so_and_after_connecting_again_the_mail_leaves(odoo: Odoo, emulator: Emulator, outgoing: int) -> None:
    emulator.ask("POST", f"/accounts/{MAILBOX}/revoke", json={"access_tokens": True})
    lead = Lead.new(odoo, "patient@customer.example")
    message = lead.post("After all")
    odoo.eventually(lambda: lead.envelopes(message) == {"patient@customer.example": ("exception", "mail_smtp")}, "the envelope is red")
    assert any("Connect the account again" in reason for reason in lead.reasons(message))
    assert odoo.read("microsoft.graph.account", [["name", "=", MAILBOX]], "state")[0]["state"] == "broken"
    odoo.connect("ir.mail_server", outgoing, MAILBOX)
    odoo.eventually(lambda: lead.envelopes(message) == {"patient@customer.example": ("sent", "")}, "it was sent by itself", 150)
    assert arrived(emulator, "After all") == ["patient@customer.example"]


def test_an_attachment_of_40_mb_arrives_whole(odoo: Odoo, emulator: Emulator, outgoing: int) -> None:
    emulator.ask("PATCH", f"/accounts/{MAILBOX}", json={"max_message_size": 150 * 1024 * 1024})
    odoo.call("ir.mail_server", "write", [outgoing], {"max_email_size": 100})
    content = random.Random(1).randbytes(40 * 1024 * 1024)
    lead = Lead.new(odoo, "large@customer.example")
    files = [("plan.bin", content), ("small.txt", b"a few words")]
    attachments = [
        odoo.call("ir.attachment", "create", {"name": name, "datas": base64.b64encode(raw).decode(), "res_model": "mail.compose.message"})
        for name, raw in files
    ]
    lead.post("A large plan", attachment_ids=attachments)
    odoo.eventually(lambda: arrived(emulator, "A large plan"), "it has arrived", 150)
    copy = next(copy for copy in emulator.outside("large@customer.example"))
    mail = email.message_from_bytes(emulator.outside_raw(copy["id"]), policy=policy.default)
    assert {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()} == dict(files)


def test_what_can_not_be_processed_is_set_aside_and_processed_later(odoo: Odoo, emulator: Emulator, incoming: int) -> None:
    """A message that breaks Odoo's parser: stock would mark it as read and forget it."""
    raw = (
        b"From: odd@customer.example\r\nTo: info@contoso.example\r\nSubject: Odd one\r\nMessage-ID: <odd@customer.example>\r\n\r\nHello\r\n"
    )
    odoo.sql("ALTER TABLE crm_lead ADD CONSTRAINT no_odd_ones CHECK (name != 'Odd one')")
    emulator.deliver("info@contoso.example", raw)
    odoo.fetch(incoming, lambda: odoo.read("microsoft.graph.incoming", [["state", "=", "aside"]], "id"), "it is set aside")
    aside = odoo.read("microsoft.graph.incoming", [["server_id", "=", incoming]], "state", "subject", "sender", "reason")
    assert [(row["state"], row["subject"], row["sender"]) for row in aside] == [("aside", "Odd one", "odd@customer.example")]
    assert "no_odd_ones" in aside[0]["reason"]
    assert [mail["is_read"] for mail in emulator.folder("info@contoso.example", "inbox") if mail["subject"] == "Odd one"] == [False]
    odoo.sql("ALTER TABLE crm_lead DROP CONSTRAINT no_odd_ones")
    odoo.expected("no_odd_ones")
    odoo.call("microsoft.graph.incoming", "action_again", [aside[0]["id"]])
    assert len(odoo.read("crm.lead", [["name", "=", "Odd one"]], "id")) == 1
    assert not odoo.read("microsoft.graph.incoming", [], "id")
    assert all(mail["is_read"] for mail in emulator.folder("info@contoso.example", "inbox"))


def test_the_test_button_says_what_the_account_may_do(odoo: Odoo, outgoing: int) -> None:
    action = odoo.call("ir.mail_server", "test_smtp_connection", [outgoing])
    assert "may send, read and write" in action["params"]["message"]


def test_who_has_no_rights_to_the_mailbox_connects_nothing(odoo: Odoo) -> None:
    fields = {"name": "tom", "smtp_authentication": "microsoft_graph", "smtp_user": "tom@contoso.example", "smtp_encryption": "none"}
    server = odoo.call("ir.mail_server", "create", fields)
    page = odoo.connect("ir.mail_server", server, "mary@contoso.example")
    assert "has no rights to the mailbox tom@contoso.example" in page.text
    assert odoo.read("ir.mail_server", [["id", "=", server]], "microsoft_graph_state")[0]["microsoft_graph_state"] is not True
    with pytest.raises(Refused, match="no Microsoft account yet"):
        odoo.call("ir.mail_server", "test_smtp_connection", [server])


def test_microsoft_tells_odoo_of_new_mail_which_is_there_at_once(odoo: Odoo, emulator: Emulator, reports: int) -> None:
    """The cron that looks every five minutes is put off by ten hours, so that nothing but a notification can call it."""

    def settings(on: bool) -> None:
        values = {"external_email_server_default": True, "microsoft_graph_notifications": on}
        odoo.call("res.config.settings", "execute", [odoo.call("res.config.settings", "create", values)])

    def subscribed() -> list[str]:
        return [each["id"] for each in emulator.ask("GET", "/subscriptions")["subscriptions"]]

    def comes(subject: str) -> float:
        """Seconds until a mail from outside is a lead."""
        head = f"From: Ida <ida@customer.example>\r\nTo: info@contoso.example\r\nSubject: {subject}\r\n"
        began = time.monotonic()
        emulator.deliver(MAILBOX, f"{head}Message-ID: <{subject.replace(' ', '.')}@customer.example>\r\n\r\nHow much?\r\n".encode())
        odoo.eventually(lambda: odoo.sql("SELECT id FROM crm_lead WHERE name = %s", subject), f"{subject} is a lead")
        return time.monotonic() - began

    cron = odoo.ref("mail.ir_cron_mail_gateway_action")
    settings(True)
    odoo.sql("UPDATE ir_cron SET interval_number = 600, nextcall = now() AT TIME ZONE 'UTC' + interval '10 hours' WHERE id = %s", cron)
    first = odoo.eventually(subscribed, "Microsoft was asked to tell")
    took = min(comes(f"Told {number}") for number in range(3))
    print(f"told of new mail, it was a lead after {took:.2f} s")
    assert took < 10

    emulator.ask("POST", f"/subscriptions/{first[0]}/lifecycle", json={"event": "subscriptionRemoved"})
    odoo.eventually(lambda: subscribed() not in ([], first), "it is made anew")
    comes("Told again")

    settings(False)
    assert subscribed() == []
    odoo.sql("UPDATE ir_cron SET interval_number = 5, nextcall = now() AT TIME ZONE 'UTC' WHERE id = %s", cron)


def test_no_token_and_no_secret_is_in_the_log_or_the_database(odoo: Odoo) -> None:
    log = odoo.log.read_text()
    rows = odoo.sql("SELECT access_token, refresh_token FROM microsoft_graph_account") + odoo.sql(
        "SELECT key, value FROM ir_config_parameter WHERE key LIKE 'microsoft_graph_mail.%'"
    )
    assert "odoo-secret" not in log + repr(rows)
    assert "eyJ" not in log + repr(rows), "the emulator's tokens are JWTs"
    assert all(value is None or value.startswith("sealed1:") for row in rows[:1] for value in row)
    assert os.stat(odoo.data / "microsoft_graph_mail.key").st_mode & 0o777 == 0o600


def test_nothing_of_all_this_was_an_error(odoo: Odoo) -> None:
    odoo.expected("FOR NO KEY UPDATE SKIP LOCKED")  # Fetch Now while the cron ends: Odoo logs it, and begins the request anew
    assert odoo.complaints() == []
