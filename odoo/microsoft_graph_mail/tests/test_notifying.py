"""Microsoft tells of new mail: who proves nothing changes nothing, and however many come, one look is enough."""

import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

from odoo import fields
from odoo.addons.microsoft_graph_mail.hooks import uninstall_hook
from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .tenant import MAILBOX, TenantCase

PATH = "/microsoft_graph_mail/notify"


class Echo(BaseHTTPRequestHandler):
    """Shakes hands in the place of Odoo, which answers nobody else while a test is running."""

    def do_POST(self):
        said = parse_qs(urlsplit(self.path).query).get("validationToken", [""])[0].encode()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200 if said else 202)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_words):
        pass


@tagged("post_install", "-at_install")
class TestNotifying(TenantCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        echo = HTTPServer(("127.0.0.1", 0), Echo)
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        cls.addClassCleanup(echo.server_close)
        cls.addClassCleanup(echo.shutdown)
        subscriptions = type(cls.env["microsoft.graph.subscription"])
        cls.startClassPatcher(patch.object(subscriptions, "_url", lambda self: f"http://127.0.0.1:{echo.server_port}/"))
        cls.cron = cls.env.ref("mail.ir_cron_mail_gateway_action")

    def setUp(self):
        super().setUp()
        self.control("DELETE", "/faults")
        self.incoming = self.env["fetchmail.server"].create(
            {"name": "In", "server_type": "microsoft_graph", "user": MAILBOX, "microsoft_graph_app_only": True}
        )
        self.incoming.action_microsoft_graph_connect()
        self.incoming.button_confirm_login()
        self.settings(microsoft_graph_notifications=True)

    def tearDown(self):
        self.env["microsoft.graph.subscription"].search([])._forget()
        super().tearDown()

    def settings(self, **values):
        self.env["res.config.settings"].create({"external_email_server_default": True, **values}).execute()

    def fetched(self):
        """Its subscription, after a look."""
        self.assertIsNone(self.incoming._microsoft_graph_fetch(50))
        self.env.invalidate_all()
        return self.incoming.microsoft_graph_subscription_ids

    def at_microsoft(self):
        return [each["id"] for each in self.control("GET", "/subscriptions")["subscriptions"]]

    def post(self, *notices, **options):
        self.env.flush_all()
        body = options.pop("body", None) or json.dumps({"value": notices})
        answer = self.url_open(PATH, data=body, headers={"Content-Type": "application/json"}, **options)
        self.env.invalidate_all()
        return answer.status_code

    def notice(self, row, **more):
        state = row._state_of(str(self.incoming.id))
        return {"subscriptionId": row.remote_id, "clientState": state, "changeType": "created", **more}

    def triggers(self):
        return self.env["ir.cron.trigger"].search_count([("cron_id", "=", self.cron.id)])

    def no_triggers(self):
        self.env["ir.cron.trigger"].search([("cron_id", "=", self.cron.id)]).unlink()

    # The route

    def test_where_it_is_off_there_is_nothing(self):
        row = self.fetched()
        notice = self.notice(row)
        self.settings(microsoft_graph_notifications=False)
        self.no_triggers()
        self.assertEqual(self.post(notice), 404)
        self.assertEqual(self.url_open(f"{PATH}?validationToken=x", data=" ").status_code, 404)
        self.assertEqual(self.triggers(), 0)

    def test_the_handshake_answers_with_the_token_as_harmless_text(self):
        answer = self.url_open(f"{PATH}?validationToken=%3Cscript%3E+1", data=" ")
        self.assertEqual((answer.status_code, answer.text), (200, "&lt;script&gt; 1"))
        self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
        self.assertEqual(self.url_open(f"{PATH}?validationToken={'x' * 2001}", data=" ").status_code, 400)
        self.assertEqual(self.url_open(PATH).status_code, 405, "nobody reads here")

    def test_what_proves_nothing_triggers_nothing(self):
        row = self.fetched()
        self.no_triggers()
        good = self.notice(row)
        for wrong in (
            {**good, "clientState": good["clientState"][:-1]},
            {**good, "clientState": f"{self.incoming.id + 1}.{good['clientState'].partition('.')[2]}"},
            {**good, "clientState": None},
            {**good, "subscriptionId": "another"},
        ):
            self.assertEqual(self.post(wrong), 202)
        for body in ("", "no json", "[]", '{"value": 7}'):
            self.assertEqual(self.post(body=body or " "), 202)
        self.assertEqual(self.triggers(), 0)

    def test_a_flood_is_one_trigger_and_fetches_nothing_in_the_request(self):
        row = self.fetched()
        self.no_triggers()
        with patch.object(type(self.incoming), "_fetch_mail", side_effect=AssertionError("not in the request")):
            for _ in range(10):
                self.assertEqual(self.post(*[self.notice(row)] * 50), 202)
        self.assertEqual(self.triggers(), 1)

    def test_for_a_server_that_fetches_no_more_nothing_is_triggered(self):
        row = self.fetched()
        notice = self.notice(row)
        self.env.flush_all()
        self.env.cr.execute("UPDATE fetchmail_server SET active = false WHERE id = %s", [self.incoming.id])
        self.no_triggers()
        self.assertEqual((self.post(notice), self.triggers()), (202, 0))

    # The life of a subscription

    def test_it_is_made_by_the_first_look_and_looked_once_more(self):
        self.no_triggers()
        row = self.fetched()
        self.assertEqual(self.at_microsoft(), [row.remote_id])
        self.assertEqual(self.triggers(), 1, "mail may have come before it was made")
        self.assertGreater(row.until, fields.Datetime.now() + timedelta(days=5))
        self.assertIn("At once", self.incoming.microsoft_graph_told)
        self.assertEqual(self.fetched().remote_id, row.remote_id)
        self.assertEqual(self.triggers(), 1)

    def test_it_is_renewed_in_time(self):
        row = self.fetched()
        self.assertLessEqual(row.due_at, row.until - timedelta(days=1, hours=23))
        row.sudo().write({"due_at": fields.Datetime.now(), "until": fields.Datetime.now()})
        self.env.flush_all()
        again = self.fetched()
        self.assertEqual((again.remote_id, self.at_microsoft()), (row.remote_id, [row.remote_id]))
        self.assertGreater(again.until, fields.Datetime.now() + timedelta(days=5))

    def test_what_has_ended_at_microsoft_is_made_anew(self):
        row = self.fetched()
        old = row.remote_id
        self.assertEqual(self.post(self.notice(row, lifecycleEvent="subscriptionRemoved")), 202)
        self.assertFalse(row.remote_id)
        new = self.fetched().remote_id
        self.assertTrue(new and new != old)
        self.incoming.microsoft_graph_subscription_ids.sudo().write({"remote_id": "gone-meanwhile", "due_at": fields.Datetime.now()})
        self.env.flush_all()
        self.assertNotIn(self.fetched().remote_id, (old, new, "gone-meanwhile"))

    def test_who_must_authorize_again_does_so_at_the_next_look(self):
        row = self.fetched()
        due = row.due_at
        self.no_triggers()
        self.assertEqual(self.post(self.notice(row, lifecycleEvent="reauthorizationRequired")), 202)
        self.assertLess(row.due_at, due)
        self.assertEqual(self.triggers(), 1)
        self.assertGreater(self.fetched().due_at, fields.Datetime.now() + timedelta(days=3))

    def test_what_was_missed_is_looked_for(self):
        row = self.fetched()
        self.no_triggers()
        self.assertEqual(self.post(self.notice(row, lifecycleEvent="missed")), 202)
        self.assertEqual(self.triggers(), 1)

    def test_another_folder_is_another_subscription(self):
        row = self.fetched()
        old = row.remote_id
        self.incoming.microsoft_graph_folder = "Drafts"
        new = self.fetched().remote_id
        self.assertNotEqual(new, old)
        self.assertEqual(self.at_microsoft(), [new])

    @mute_logger("odoo.addons.microsoft_graph_mail.models.microsoft_graph_subscription")
    def test_trouble_with_it_stops_no_fetching_and_is_told(self):
        self.control("POST", "/faults", json={
            "match": {"operation": "createSubscription"}, "times": None,
            "action": {"kind": "answer", "status": 403, "code": "ErrorAccessDenied"},
        })  # fmt: skip
        row = self.fetched()
        self.assertIn("Every five minutes", self.incoming.microsoft_graph_told)
        self.assertIn("has no right", row.problem)
        self.assertGreater(row.due_at, fields.Datetime.now() + timedelta(minutes=50))
        self.assertFalse(self.incoming.error_message)

    # Its end

    def test_it_is_removed_with_what_it_was_for(self):
        ends = {
            "switched off": lambda: self.settings(microsoft_graph_notifications=False),
            "archived": lambda: self.incoming.write({"active": False}),
            "not confirmed": lambda: self.incoming.set_draft(),
            "disconnected": lambda: self.incoming.action_microsoft_graph_disconnect(),
            "uninstalled": lambda: uninstall_hook(self.env),
            "deleted": lambda: self.incoming.unlink(),
        }
        for name, end in ends.items():
            with self.subTest(name), self.env.cr.savepoint() as savepoint:
                self.fetched()
                self.assertEqual(len(self.at_microsoft()), 1)
                end()
                self.assertEqual(self.at_microsoft(), [])
                self.assertFalse(self.env["microsoft.graph.subscription"].search([]))
                savepoint.rollback()
                self.env.invalidate_all()
                self.env.registry.clear_all_caches()

    def test_it_wants_https(self):
        with patch.object(type(self.env["microsoft.graph.subscription"]), "_url", lambda self: "http://odoo.example/notify"):
            with self.assertRaisesRegex(UserError, "https alone"):
                self.settings(microsoft_graph_notifications=True)
            self.assertFalse(self.env["microsoft.graph.subscription"]._is_on())
