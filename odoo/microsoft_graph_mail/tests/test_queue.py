"""The mail queue, one rule at a time."""

import time
from datetime import timedelta
from unittest.mock import patch

import psycopg2
from odoo import fields
from odoo.addons.microsoft_graph_mail.models.microsoft_graph_try import Journal
from odoo.tests import tagged
from odoo.tools import mute_logger

from mailroom_core.model import Deferred, Reply

from .tenant import MAILBOX, TenantCase


@tagged("post_install", "-at_install")
class TestQueue(TenantCase):
    def setUp(self):
        super().setUp()
        self.connect(self.server, MAILBOX)
        self.control("DELETE", "/faults")

    def mail(self, subject, *addresses, **values):
        partners = self.env["res.partner"].create([{"name": address, "email": address} for address in addresses])
        return self.env["mail.mail"].create(
            {
                "subject": subject,
                "body_html": "<p>Hello</p>",
                "email_from": MAILBOX,
                "recipient_ids": partners.ids,
                "auto_delete": False,
                **values,
            }
        )

    def send(self, mail):
        with self.sending():
            mail.send()
        self.env.invalidate_all()

    def fault(self, operation, skip=0, times=1, **action):
        self.control("POST", "/faults", json={"match": {"operation": operation}, "skip": skip, "times": times, "action": action})

    def states(self, mail):
        return self.env["microsoft.graph.try"].search([("mail_id", "=", mail.id)], order="id").mapped("state")

    def test_each_recipient_gets_one_copy_whoever_else_stands_in_to(self):
        mail = self.mail(
            "One each", "a@customer.example", "b@customer.example", headers="{'X-Msg-To-Add': 'a@customer.example, b@customer.example'}"
        )
        self.send(mail)
        self.assertEqual(self.arrived("One each"), ["a@customer.example", "b@customer.example"])
        self.assertEqual((mail.state, self.states(mail)), ("sent", ["sent", "sent"]))

    def test_a_forged_to_and_a_block_list_are_those_of_odoo(self):
        """`X-Forge-To` says what stands in To, and who is in the block list gets nothing, as by SMTP."""
        mail = self.mail("Forged", "a@customer.example", "b@customer.example", headers="{'X-Forge-To': 'All <all@elsewhere.example>'}")
        self.send(mail.with_context(send_smtp_skip_to=["b@customer.example"]))
        self.assertEqual(self.arrived("Forged"), ["a@customer.example"])

    def test_what_was_sent_before_a_rollback_is_not_sent_again(self):
        mail = self.mail("Rolled back", "a@customer.example")
        self.send(mail)
        mail.state = "outgoing"  # as after a rollback, or a crash before the commit
        self.send(mail)
        self.assertEqual(self.arrived("Rolled back"), ["a@customer.example"])
        self.assertEqual(mail.state, "sent")

    def test_trouble_with_the_database_is_no_fault_of_the_mail(self):
        mail = self.mail("Trouble", "a@customer.example")
        trouble = psycopg2.errors.SerializationFailure("could not serialize access due to concurrent update")
        with self.sending(), self.registry.cursor() as cr, patch.object(Journal, "entry", side_effect=trouble):
            mail.with_env(self.env(cr=cr)).send(auto_commit=True)
        self.env.invalidate_all()
        self.assertEqual((mail.state, mail.failure_reason, self.arrived("Trouble")), ("outgoing", False, []))
        self.send(mail)
        self.assertEqual((mail.state, self.arrived("Trouble")), ("sent", ["a@customer.example"]))

    def test_a_lost_answer_puts_the_mail_back_and_the_next_run_finds_it(self):
        mail = self.mail("Lost answer", "a@customer.example")
        self.fault("send", kind="drop", when="after")
        self.send(mail)
        self.assertEqual((mail.state, self.states(mail)), ("outgoing", ["open"]))
        self.assertGreater(mail.scheduled_date, fields.Datetime.now())
        self.send(mail)
        self.assertEqual((mail.state, self.states(mail)), ("sent", ["sent"]))
        self.assertEqual(self.arrived("Lost answer"), ["a@customer.example"])

    def test_a_send_that_never_took_place_is_made_up_for_with_the_same_draft(self):
        mail = self.mail("Not sent", "a@customer.example")
        self.fault("send", kind="answer", status=504)
        self.send(mail)
        self.send(mail)
        self.assertEqual((mail.state, self.states(mail)), ("sent", ["sent"]))
        self.assertEqual(self.arrived("Not sent"), ["a@customer.example"])

    def test_a_draft_that_nobody_knows_is_swept_and_the_mail_begins_anew(self):
        mail = self.mail("Orphan", "a@customer.example")
        self.fault("createDraft", kind="drop", when="after")
        self.send(mail)
        self.send(mail)
        self.assertEqual((mail.state, self.states(mail)), ("sent", ["gone", "sent"]))
        self.assertEqual(self.arrived("Orphan"), ["a@customer.example"])
        self.assertFalse(self.control("GET", f"/accounts/{MAILBOX}/folders/drafts")["messages"])

    def test_what_can_not_be_found_is_told_after_some_looks_and_sent_again_by_a_person_alone(self):
        mail = self.mail("Vanished", "a@customer.example")
        self.fault("send", kind="answer", status=504)
        self.send(mail)
        self.fault("getMessage", times=None, kind="answer", status=404, code="ErrorItemNotFound")
        self.fault("list", times=None, kind="answer", status=200, body='{"value": []}')
        for _ in range(6):
            self.assertEqual(mail.state, "outgoing")
            self.send(mail)
        self.assertEqual((mail.state, self.states(mail)), ("exception", ["told"]))
        self.assertIn("Look into the Sent Items", mail.failure_reason)
        self.assertEqual(self.arrived("Vanished"), [])
        self.control("DELETE", "/faults")
        mail.action_retry()
        self.send(mail)
        self.assertEqual((mail.state, self.arrived("Vanished")), ("sent", ["a@customer.example"]))

    def lane(self, mailbox=MAILBOX):
        return self.env["microsoft.graph.lane"].search([("mailbox", "=", mailbox)])

    def test_throttling_pauses_the_mailbox_and_everything_of_it_waits_with_a_date(self):
        first, second = self.mail("Throttled 1", "a@customer.example"), self.mail("Throttled 2", "b@customer.example")
        self.fault("createDraft", kind="answer", status=429, retry_after=90)
        self.send(first + second)
        self.assertGreater(self.lane().paused_until, fields.Datetime.now() + timedelta(seconds=80))
        for mail in first + second:
            self.assertEqual(mail.state, "outgoing")
            self.assertGreater(mail.scheduled_date, fields.Datetime.now() + timedelta(seconds=80))
        cron = self.env.ref("mail.ir_cron_mail_scheduler_action")
        self.assertTrue(self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id), ("call_at", ">=", self.lane().paused_until)]))
        self.assertIn(f"{MAILBOX} waits until", self.server.microsoft_graph_account_id.waiting)
        self.lane()._free([MAILBOX])
        self.send(first + second)
        self.assertEqual(self.arrived("Throttled 1") + self.arrived("Throttled 2"), ["a@customer.example", "b@customer.example"])

    def test_the_other_mailboxes_of_an_account_go_on(self):
        self.server.write({"smtp_user": "info@contoso.example", "from_filter": "info@contoso.example"})
        self.connect(self.server, "mary@contoso.example")
        other = self.server.copy({"smtp_user": "sales@contoso.example", "from_filter": "sales@contoso.example"})
        other.microsoft_graph_account_id = self.server.microsoft_graph_account_id
        slow = self.mail("Slow", "a@customer.example", email_from="info@contoso.example")
        quick = self.mail("Quick", "a@customer.example", email_from="sales@contoso.example")
        self.fault("createDraft", kind="answer", status=429, retry_after=90)
        self.send(slow)
        self.send(quick)
        self.assertEqual((slow.state, quick.state), ("outgoing", "sent"))
        self.assertEqual((self.arrived("Slow"), self.arrived("Quick")), ([], ["a@customer.example"]))
        self.assertEqual(
            self.env["microsoft.graph.lane"].search([("paused_until", "!=", False)]).mapped("mailbox"), ["info@contoso.example"]
        )

    def test_of_two_pauses_the_longer_one_counts(self):
        self.server._microsoft_graph_pause(Deferred(Reply(0, "long"), timedelta(hours=1), lane=True))
        self.server._microsoft_graph_pause(Deferred(Reply(0, "short"), timedelta(seconds=1), lane=True))
        self.assertEqual(self.lane().paused_why, "long")
        self.connect(self.server, MAILBOX)
        self.assertIsNone(self.server._microsoft_graph_waits_until(), "who connects anew begins anew")

    def test_a_throttled_send_goes_on_with_its_draft(self):
        mail = self.mail("Throttled send", "a@customer.example")
        self.fault("send", kind="answer", status=429, retry_after=1)
        self.send(mail)
        self.assertEqual((mail.state, self.states(mail)), ("outgoing", ["open"]))
        self.lane()._free([MAILBOX])
        self.send(mail)
        self.assertEqual((mail.state, self.arrived("Throttled send")), ("sent", ["a@customer.example"]))

    def test_a_failed_recipient_is_retried_alone(self):
        mail = self.mail("Two of three", "a@customer.example", "b@customer.example", "c@customer.example")
        self.fault("createDraft", skip=1, kind="answer", status=403, code="ErrorAccessDenied")
        self.send(mail)
        self.assertEqual((mail.state, mail.failure_type), ("exception", "mail_smtp"))
        self.assertEqual(self.states(mail), ["sent", "told", "sent"])
        mail.action_retry()
        self.send(mail)
        self.assertEqual(mail.state, "sent")
        self.assertEqual(self.arrived("Two of three"), ["a@customer.example", "b@customer.example", "c@customer.example"])

    def test_who_may_not_send_as_this_sender_is_told_how_to(self):
        mail = self.mail("Spoofed", "a@customer.example", email_from="tom@contoso.example", mail_server_id=self.server.id)
        self.send(mail)
        self.assertEqual((mail.state, mail.failure_type), ("exception", "mail_from_invalid"))
        self.assertIn("Send As", mail.failure_reason)

    def test_who_has_send_as_sends_as_another_from_their_own_mailbox(self):
        self.server.write({"smtp_user": "mary@contoso.example", "from_filter": "mary@contoso.example, sales@contoso.example"})
        self.connect(self.server, "mary@contoso.example")
        self.assertEqual(self.server.from_filter, "mary@contoso.example, sales@contoso.example")
        mail = self.mail("As sales", "a@customer.example", email_from="sales@contoso.example")
        self.send(mail)
        copy = next(each for each in self.control("GET", "/outside?limit=10000")["messages"] if each["subject"] == "As sales")
        self.assertEqual((mail.state, copy["envelope_from"]), ("sent", "sales@contoso.example"))
        kept = self.control("GET", "/accounts/mary@contoso.example/folders/sentitems")["messages"]
        self.assertIn("As sales", [each["subject"] for each in kept])

    @mute_logger("odoo.addons.microsoft_graph_mail.models.mail_mail")
    def test_a_recipient_without_an_address_is_missing_and_stops_nobody(self):
        nobody = self.env["res.partner"].create({"name": "Nobody"})
        mail = self.mail("No address", "a@customer.example")
        mail.recipient_ids += nobody
        self.send(mail)
        self.assertEqual((mail.state, self.arrived("No address")), ("sent", ["a@customer.example"]))

    def test_with_mail_send_alone_a_lost_answer_is_told_at_once_and_never_sent_again(self):
        self.server.microsoft_graph_account_id._store({"tier": "Mail.Send"})
        self.env.invalidate_all()
        mail = self.mail("Send only", "a@customer.example")
        self.fault("sendMail", kind="drop", when="after")
        self.send(mail)
        self.assertEqual(mail.state, "exception")
        self.assertIn("Mail.Send alone", mail.failure_reason)
        self.assertEqual(self.arrived("Send only"), ["a@customer.example"])

    def test_a_401_refreshes_the_token_once_and_nobody_notices(self):
        mail = self.mail("Refused token", "a@customer.example")
        self.fault("createDraft", kind="answer", status=401, code="InvalidAuthenticationToken")
        self.send(mail)
        self.assertEqual((mail.state, self.arrived("Refused token")), ("sent", ["a@customer.example"]))

    def test_a_mail_of_five_days_ends_with_the_reason(self):
        mail = self.mail("Too old", "a@customer.example")
        self.env.cr.execute("UPDATE mail_mail SET create_date = create_date - interval '6 days' WHERE id = %s", [mail.id])
        self.env.invalidate_all()
        self.fault("createDraft", kind="answer", status=503)
        self.send(mail)
        self.assertEqual(mail.state, "exception")
        self.assertIn("Graph is in trouble", mail.failure_reason)

    def test_where_exchange_says_that_the_day_is_used_up_the_mail_waits_for_hours(self):
        mail = self.mail("Used up", "a@customer.example")
        self.fault("send", kind="answer", status=429, code="ErrorExceededMessageLimit")
        self.send(mail)
        self.assertEqual((mail.state, self.arrived("Used up")), ("outgoing", []))
        self.assertGreater(mail.scheduled_date, fields.Datetime.now() + timedelta(minutes=50))
        self.assertIn("daily limit", mail.failure_reason)
        self.lane()._free([MAILBOX])
        self.send(mail)
        self.assertEqual((mail.state, self.arrived("Used up")), ("sent", ["a@customer.example"]))

    def test_the_recipients_of_a_day_are_counted(self):
        self.env.cr.execute(
            "INSERT INTO microsoft_graph_try (mail_id, recipients, mailbox, marker, state, create_date)"
            " SELECT -n, repeat('x@y.example ', 99) || 'x@y.example', %s, 'm' || n, 'sent', now() AT TIME ZONE 'UTC'"
            " FROM generate_series(1, 100) n",
            [MAILBOX],
        )
        mail = self.mail("Tomorrow", "a@customer.example")
        self.send(mail)
        self.assertEqual((mail.state, self.arrived("Tomorrow")), ("outgoing", []))
        self.assertIn("recipients of a day", mail.failure_reason)

    def test_what_there_is_no_time_for_stays_in_the_queue_which_is_called_at_once(self):
        mails = self.mail("In time", "a@customer.example") + self.mail("Too late", "b@customer.example")
        done = []
        with self.sending(), self.registry.cursor() as cr:
            long_ago = self.env(cr=cr, context={"cron_end_time": time.monotonic() - 3600})
            mails.with_env(long_ago).send(auto_commit=True, post_send_callback=done.extend)
        self.env.invalidate_all()
        self.assertEqual(mails.mapped("state"), ["sent", "outgoing"])
        self.assertEqual((self.arrived("In time"), self.arrived("Too late")), (["a@customer.example"], []))
        self.assertFalse(mails[1].scheduled_date)
        self.assertEqual(set(done), set(mails.ids), "the job is over for Odoo, and begins anew")
        cron = self.env.ref("mail.ir_cron_mail_scheduler_action")
        self.assertTrue(self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id), ("call_at", "<=", fields.Datetime.now())]))
        self.send(mails[1])
        self.assertEqual(self.arrived("Too late"), ["b@customer.example"])
