"""What a gateway pushes: a key, a size, a typed answer, and nothing twice."""

import base64
import random
from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import mute_logger

from .tenant import MAILBOX, TenantCase

PATH = "/microsoft_graph_mail/inbound"


def raw(subject, to="info@contoso.example", message_id="", more=""):
    head = f"From: Kim <kim@customer.example>\r\nTo: {to}\r\nSubject: {subject}\r\n{more}"
    return f"{head}Message-ID: <{message_id or subject.replace(' ', '.')}@customer.example>\r\n\r\nHello\r\n".encode()


def with_file(subject, content, kind="multipart/mixed", sender="kim@customer.example"):
    head = (
        f"From: {sender}\r\nTo: info@contoso.example\r\nSubject: {subject}\r\nMessage-ID: <{subject}@customer.example>\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: {kind}; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHere it is\r\n--b\r\n"
        "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment; filename=plan.pdf\r\n\r\n"
    )
    return head.encode() + base64.encodebytes(content).replace(b"\n", b"\r\n") + b"--b--\r\n"


@tagged("post_install", "-at_install")
class TestInbound(TenantCase):
    def setUp(self):
        super().setUp()
        self.key = self.env["microsoft.graph.app"]._new_inbound_key()
        team = self.env["crm.team"].search([], limit=1)
        team.alias_id.write({"alias_name": "info", "alias_domain_id": self.env.company.alias_domain_id.id, "alias_contact": "everyone"})
        self.env.flush_all()

    def push(self, body, key=None, **headers):
        names = {"Content-Type": "message/rfc822", "Authorization": f"Bearer {self.key if key is None else key}", **headers}
        answer = self.url_open(PATH, data=body, headers=names)
        self.env.invalidate_all()
        return answer.status_code, answer.json()

    def test_a_wrong_key_is_refused_and_so_is_none(self):
        for key in ("", "wrong", self.key[:-1]):
            self.assertEqual(self.push(raw("Secret"), key=key)[0], 401)
        self.env["ir.config_parameter"].set_param("microsoft_graph_mail.inbound_key", False)
        self.env.flush_all()
        self.assertEqual(self.push(raw("Secret"))[0], 401)

    def test_the_key_is_kept_as_a_hash(self):
        self.assertNotIn(self.key, self.env["ir.config_parameter"].get_param("microsoft_graph_mail.inbound_key"))

    def test_new_mail_to_an_alias_makes_a_record_and_comes_in_once(self):
        status, answer = self.push(raw("New business"))
        self.assertEqual((status, answer["result"], answer["model"]), (200, "created", "crm.lead"))
        self.assertEqual(self.env["crm.lead"].browse(answer["id"]).name, "New business")
        self.assertEqual(self.push(raw("New business"))[1]["result"], "duplicate")
        self.assertEqual(self.push(raw("New business", more="X-Other: way\r\n"))[1]["result"], "duplicate")
        self.assertEqual(self.env["crm.lead"].search_count([("name", "=", "New business")]), 1)

    def test_the_gateway_s_own_name_for_a_mail_counts(self):
        one, two = raw("Named", message_id="one"), raw("Named", message_id="two")
        self.assertEqual(self.push(one, **{"Idempotency-Key": "m1"})[1]["result"], "created")
        self.assertEqual(self.push(two, **{"Idempotency-Key": "m1"})[1]["result"], "duplicate")
        self.assertEqual(self.push(two, **{"Idempotency-Key": "m2"})[1]["result"], "created")

    def test_the_envelope_decides_and_not_the_header(self):
        body = raw("Bcc to us", to="somebody@else.example")
        self.assertEqual(self.push(body)[1]["result"], "no_route")
        self.assertEqual(self.push(body, **{"X-Envelope-To": "info@contoso.example"})[1]["result"], "created")

    @mute_logger("odoo.addons.mail.models.mail_thread")
    def test_what_nobody_takes_is_no_route(self):
        self.assertEqual(
            self.push(raw("Nowhere", to="nobody@contoso.example")), (422, self.push(raw("Nowhere", to="nobody@contoso.example"))[1])
        )
        self.assertEqual(self.push(raw("Nowhere", to="nobody@contoso.example"))[1]["result"], "no_route")
        status, answer = self.push(raw("Fallback", to="nobody@contoso.example"), **{"X-Fallback-Model": "crm.lead"})
        self.assertEqual((status, answer["result"]), (200, "created"))
        self.assertEqual(self.push(raw("Fallback 2"), **{"X-Fallback-Model": "no.such.model"})[0], 422)

    @mute_logger("odoo.addons.microsoft_graph_mail.models.microsoft_graph_pushed")
    def test_a_record_of_the_fallback_gets_the_values_and_one_of_an_alias_its_own(self):
        fallback = {"X-Fallback-Model": "crm.lead", "X-Default-Values": '{"priority": "2", "color": 3}'}
        made = self.push(raw("Values", to="nobody@contoso.example"), **fallback)[1]
        lead = self.env["crm.lead"].browse(made["id"])
        self.assertEqual((made["result"], lead.name, lead.priority, lead.color), ("created", "Values", "2", 3))
        made = self.push(raw("By alias"), **fallback)[1]
        self.assertEqual(self.env["crm.lead"].browse(made["id"]).color, 0)
        for wrong in ("[]", "{", '"x"'):
            self.assertEqual(self.push(raw("Wrong"), **{"X-Default-Values": wrong})[0], 422)
        for values in ('{"no_such_field": 1}', '{"priority": 7}', '{"stage_id": 999999}'):
            answer = self.push(raw("Unfit", to="nobody@contoso.example"), **{**fallback, "X-Default-Values": values})
            self.assertEqual((answer[0], answer[1]["result"]), (500, "error"), answer)
            self.assertRegex(answer[1]["text"], "Invalid field|Wrong value for|foreign key", values)

    def test_an_answer_updates_its_record(self):
        lead = self.env["crm.lead"].create({"name": "Asked"})
        message = lead.message_post(body="Our offer", message_type="comment")
        self.env.flush_all()
        status, answer = self.push(raw("Re: Asked", message_id="answer", more=f"In-Reply-To: {message.message_id}\r\n"))
        self.assertEqual((status, answer), (200, {"result": "updated", "model": "crm.lead", "id": lead.id}))

    def test_an_answer_to_our_own_automatic_mail_is_a_loop(self):
        body = raw("Loop", more="References: <1-loop-detection-bounce-email@contoso.example>\r\n")
        self.assertEqual(self.push(body)[1]["result"], "loop")
        self.assertEqual(self.push(body)[1]["result"], "loop", "whoever tries it again must not hear that Odoo has it")

    def test_a_report_about_mail_of_ours_is_a_bounce(self):
        self.connect(self.server, MAILBOX)
        partner = self.env["res.partner"].create({"name": "Unknown", "email": "unknown@customer.example"})
        lead = self.env["crm.lead"].create({"name": "Bounced", "partner_id": partner.id})
        with self.sending():
            message = lead.message_post(
                body="Offer", subject="Bounces", partner_ids=partner.ids, message_type="comment", subtype_xmlid="mail.mt_comment"
            )
        self.env.flush_all()
        report = next(
            mail for mail in self.control("GET", f"/accounts/{MAILBOX}/folders/inbox")["messages"] if "Bounces" in mail["subject"]
        )
        account = self.server.microsoft_graph_account_id
        from mailroom_core.flow import Request

        url = account._mailbox(MAILBOX).url("messages", report["id"], "$value")
        body = account._http()(Request("GET", url)).body
        self.assertEqual(self.push(body)[1]["result"], "bounced")
        notification = message.notification_ids.filtered(lambda each: each.res_partner_id == partner)
        self.assertEqual((notification.notification_status, notification.failure_type), ("bounce", "mail_bounce"))
        self.assertIn("There is no such mailbox", notification.failure_reason)

    def test_a_foreign_report_is_a_bounce_and_what_an_alias_refuses_is_not(self):
        report = raw("Undelivered").replace(b"Kim <kim@", b"<mailer-daemon@")
        self.assertEqual(self.push(report)[1], {"result": "bounced"})
        team = self.env["crm.team"].search([("alias_name", "=", "info")])
        team.alias_id.alias_contact = "partners"
        self.env.flush_all()
        self.assertEqual(self.push(raw("A stranger"))[1], {"result": "refused"})
        self.assertEqual(self.push(raw("A stranger"))[1], {"result": "duplicate"})
        self.assertEqual(self.push(raw("To all", to="catchall@contoso.example"))[1], {"result": "refused"})

    def test_what_odoo_drops_without_a_word_may_be_judged_anew(self):
        leads = type(self.env["crm.lead"])
        with patch.object(leads, "_routing_check_route", lambda *_, **__: False):
            for _ in range(2):
                self.assertEqual(self.push(raw("Dropped"))[1], {"result": "dropped"})
        self.assertEqual(self.push(raw("Dropped"))[1]["result"], "created")

    def test_a_large_file_comes_in_whole(self):
        content = random.Random(4).randbytes(1_000_000)
        self.assertEqual(self.push(with_file("Large", content))[1]["result"], "created")
        lead = self.env["crm.lead"].search([("name", "=", "Large")])
        attachment = self.env["ir.attachment"].search([("res_model", "=", "crm.lead"), ("res_id", "=", lead.id)])
        self.assertEqual((attachment.name, attachment.mimetype, attachment.raw), ("plan.pdf", "application/pdf", content))

    def test_a_large_file_that_odoo_does_not_look_at_stands_in_nobody_s_way(self):
        """Of what it takes for a bounce it reads the first text alone."""
        body = with_file("Undelivered", bytes(1_000_000), kind="multipart/report", sender="mailer-daemon@customer.example")
        self.assertEqual(self.push(body)[1]["result"], "bounced")

    def test_what_is_no_mail_is_refused(self):
        self.assertEqual(self.push(raw("Text"), **{"Content-Type": "text/plain"})[0], 415)

    @mute_logger("odoo.sql_db", "odoo.addons.microsoft_graph_mail.models.microsoft_graph_pushed")
    def test_an_error_of_odoo_is_told_and_can_be_tried_again(self):
        self.env.cr.execute("ALTER TABLE crm_lead ADD CONSTRAINT no_odd_ones CHECK (name != 'Odd one')")
        self.assertEqual((self.push(raw("Odd one"))[0], self.push(raw("Odd one"))[1]["result"]), (500, "error"))
        self.env.cr.execute("ALTER TABLE crm_lead DROP CONSTRAINT no_odd_ones")
        self.assertEqual(self.push(raw("Odd one"))[1]["result"], "created")
