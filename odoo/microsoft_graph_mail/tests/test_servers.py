"""Our servers among Odoo's: chosen as any other, archived when the add-on goes, harmless in a copy of the database."""

from pathlib import Path

from odoo.addons.microsoft_graph_mail.hooks import uninstall_hook
from odoo.exceptions import UserError
from odoo.tests import tagged

from .tenant import MAILBOX, TenantCase


@tagged("post_install", "-at_install")
class TestServers(TenantCase):
    def test_a_server_without_an_account_says_what_to_do(self):
        with self.sending(), self.assertRaisesRegex(UserError, "press Connect"):
            self.env["ir.mail_server"]._connect__(mail_server_id=self.server.id, smtp_from=MAILBOX)

    def test_it_is_chosen_by_the_filter_as_any_other(self):
        self.connect(self.server, MAILBOX)
        other = self.env["ir.mail_server"].create(
            {"name": "SMTP", "smtp_host": "smtp.example", "from_filter": "other.example", "sequence": 1}
        )
        find = self.env["ir.mail_server"]._find_mail_server
        self.assertEqual(find(MAILBOX)[0], self.server)
        self.assertEqual(find("a@other.example")[0], other)

    def test_a_password_is_refused_and_a_mailbox_is_wanted(self):
        with self.assertRaisesRegex(UserError, "needs no password"):
            self.server.smtp_pass = "secret"
        with self.assertRaisesRegex(UserError, "Enter the address of the mailbox"):
            self.server.smtp_user = False

    def test_large_mail_is_not_turned_into_links_too_early(self):
        self.assertEqual(self.server._get_max_email_size(), 35.0)
        self.server.max_email_size = 100
        self.assertEqual(self.server._get_max_email_size(), 100)

    def test_uninstalling_archives_the_servers_and_leaves_no_secret(self):
        self.connect(self.server, MAILBOX)
        incoming = self.env["fetchmail.server"].create(
            {
                "name": "In",
                "server_type": "microsoft_graph",
                "user": MAILBOX,
                "microsoft_graph_account_id": self.server.microsoft_graph_account_id.id,
            }
        )
        incoming.button_confirm_login()
        uninstall_hook(self.env)
        self.assertEqual((self.server.active, self.server.smtp_authentication), (False, "login"))
        self.assertEqual((incoming.active, incoming.state, incoming.server_type), (False, "draft", "local"))
        self.assertFalse(self.env["ir.config_parameter"].search([("key", "=like", "microsoft_graph_mail.%")]))

    def test_a_neutralized_copy_can_neither_send_nor_fetch_nor_connect(self):
        self.connect(self.server, MAILBOX)
        self.env.flush_all()
        self.env.cr.execute((Path(__file__).parents[1] / "data" / "neutralize.sql").read_text())
        self.env.invalidate_all()
        self.env.registry.clear_all_caches()
        self.assertFalse(self.server.active)
        self.env.cr.execute("SELECT access_token, refresh_token, state FROM microsoft_graph_account")
        self.assertEqual(self.env.cr.fetchone(), (None, None, "new"))
        self.assertFalse(self.env["microsoft.graph.app"]._sealed("secret"))

    def test_a_folder_that_is_not_there_is_told_at_test_and_confirm(self):
        self.connect(self.server, MAILBOX)
        incoming = self.env["fetchmail.server"].create(
            {
                "name": "In",
                "server_type": "microsoft_graph",
                "user": MAILBOX,
                "microsoft_graph_folder": "Inbox/Nowhere",
                "microsoft_graph_account_id": self.server.microsoft_graph_account_id.id,
            }
        )
        with self.assertRaisesRegex(UserError, "There is no folder “Inbox/Nowhere”"):
            incoming.button_confirm_login()

    def test_code_that_sends_directly_gets_its_mail_out_and_its_error(self):
        self.connect(self.server, MAILBOX)
        mail_server = self.env["ir.mail_server"]
        with self.sending():
            message = mail_server._build_email__(MAILBOX, ["direct@customer.example"], "Directly", "Hello")
            self.assertEqual(mail_server.send_email(message), message["Message-Id"])
            self.assertEqual(self.arrived("Directly"), ["direct@customer.example"])
            self.control(
                "POST",
                "/faults",
                json={"match": {"operation": "send"}, "action": {"kind": "answer", "status": 403, "code": "ErrorSendAsDenied"}},
            )
            refused = mail_server._build_email__(MAILBOX, ["direct@customer.example"], "Refused", "Hello")
            with self.assertRaisesRegex(Exception, "may not send as this sender"):
                mail_server.send_email(refused)
        self.assertEqual(self.arrived("Refused"), [])
