"""Messages that are fetched, one rule at a time."""

import tempfile
from pathlib import Path
from unittest.mock import patch

import psycopg2
from odoo.tests import tagged
from odoo.tools import mute_logger

from mailroom_core.model import Arrived, Remote

from .tenant import MAILBOX, TenantCase

RAW = b"From: Kim <kim@customer.example>\r\nTo: info@contoso.example\r\nSubject: A question\r\nMessage-ID: <f@x>\r\n\r\nHello\r\n"


@tagged("post_install", "-at_install")
class TestFetching(TenantCase):
    def setUp(self):
        super().setUp()
        self.incoming = self.env["fetchmail.server"].create(
            {"name": "In", "server_type": "microsoft_graph", "user": MAILBOX, "object_id": self.env.ref("base.model_res_partner").id}
        )

    def process(self):
        """Whether the message is safe in Odoo."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "message.eml"
            path.write_bytes(RAW)
            return self.env["microsoft.graph.incoming"]._process(self.incoming, Arrived(Remote("one", "<f@x>", ""), None), path)

    def known(self):
        self.env.invalidate_all()
        found = self.env["microsoft.graph.incoming"].search([("server_id", "=", self.incoming.id)])
        return [(row.state, row.failures) for row in found]

    def hand_over(self, problem):
        return patch.object(type(self.env["microsoft.graph.incoming"]), "_hand_over", side_effect=problem)

    def test_a_record_that_somebody_else_changes_meanwhile_says_nothing_about_the_message(self):
        with self.hand_over(psycopg2.errors.SerializationFailure("could not serialize access due to concurrent update")):
            for _ in range(5):
                self.assertFalse(self.process())
        self.assertEqual(self.known(), [])
        self.assertTrue(self.process())
        self.assertEqual(self.known(), [("done", 0)])

    def test_a_server_that_was_fetched_from_elsewhere_until_this_moment_fails_no_job(self):
        trouble = psycopg2.errors.SerializationFailure("could not serialize access due to concurrent update")
        with self.registry.cursor() as cr, patch.object(type(self.incoming), "try_lock_for_update", side_effect=trouble):
            self.assertIsNone(self.incoming.with_env(self.env(cr=cr))._fetch_mail())

    @mute_logger("odoo.addons.microsoft_graph_mail.models.microsoft_graph_incoming")
    def test_a_message_that_fails_is_tried_three_times_and_set_aside(self):
        with self.hand_over(ValueError("there is something odd about it")):
            for expected in [("retry", 1), ("retry", 2), ("aside", 3)]:
                self.assertFalse(self.process())
                self.assertEqual(self.known(), [expected])
