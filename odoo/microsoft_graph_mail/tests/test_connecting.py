"""Signing in: the state is for one user, once, for ten minutes; what is kept is sealed."""

from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.service.model import call_kw
from odoo.tests import new_test_user, tagged
from odoo.tools import mute_logger

from .tenant import MAILBOX, SECRET, TenantCase


@tagged("post_install", "-at_install")
class TestConnecting(TenantCase):
    def test_connecting_keeps_sealed_tokens_and_proposes_the_filter(self):
        page = self.connect(self.server, MAILBOX)
        self.assertEqual(page.headers["Location"], f"/odoo/ir.mail_server/{self.server.id}")
        account = self.server.microsoft_graph_account_id
        self.assertEqual((account.state, account.tier, account.addresses), ("connected", "Mail.ReadWrite", MAILBOX))
        self.assertEqual(self.server.from_filter, MAILBOX)
        self.env.cr.execute("SELECT access_token, refresh_token FROM microsoft_graph_account WHERE id = %s", [account.id])
        for token in self.env.cr.fetchone():
            self.assertTrue(token.startswith("sealed1:"))

    def test_a_state_is_good_once(self):
        self.authenticate("admin", "admin")
        back = self.press_connect(self.server.with_user(self.env.ref("base.user_admin")), MAILBOX)
        self.env.flush_all()
        self.assertEqual(self.url_open(back, allow_redirects=False).status_code, 303)
        self.assertIn("was not begun here by you", self.url_open(back).text)

    def test_a_state_is_worth_nothing_to_another_user(self):
        new_test_user(self.env, "mallory", groups="base.group_system")
        back = self.press_connect(self.server.with_user(self.env.ref("base.user_admin")), MAILBOX)
        self.env.flush_all()
        self.authenticate("mallory", "mallory")
        self.assertIn("was not begun here by you", self.url_open(back).text)
        self.assertFalse(self.server.microsoft_graph_account_id)

    def test_a_state_ends_after_ten_minutes(self):
        self.authenticate("admin", "admin")
        back = self.press_connect(self.server.with_user(self.env.ref("base.user_admin")), MAILBOX)
        begun = self.env["microsoft.graph.signin"].sudo().search([])
        self.assertLessEqual(begun.until, fields.Datetime.now() + timedelta(minutes=10, seconds=1))
        begun.until = fields.Datetime.now() - timedelta(seconds=1)
        self.env.flush_all()
        self.assertIn("older than ten minutes", self.url_open(back).text)

    def test_a_sign_in_that_the_key_does_not_open_any_more_says_what_to_do(self):
        self.authenticate("admin", "admin")
        back = self.press_connect(self.server.with_user(self.env.ref("base.user_admin")), MAILBOX)
        self.env["microsoft.graph.signin"].sudo().search([]).verifier = "sealed1:AAAA"
        self.env.flush_all()
        page = self.url_open(back)
        self.assertEqual(page.status_code, 200)
        self.assertIn("be opened with the key of this server", page.text)

    def test_a_state_that_was_made_up_is_refused(self):
        self.authenticate("admin", "admin")
        self.assertIn("was not begun here by you", self.url_open("/microsoft_graph_mail/callback?state=x&code=y").text)

    def test_who_declines_is_told_what_to_do(self):
        self.authenticate("admin", "admin")
        back = self.press_connect(self.server.with_user(self.env.ref("base.user_admin")), MAILBOX)
        self.env.flush_all()
        state = back.partition("state=")[2].partition("&")[0]
        page = self.url_open(f"/microsoft_graph_mail/callback?error=access_denied&state={state}")
        self.assertIn("the permissions were declined", page.text)

    def test_a_shared_mailbox_is_connected_by_who_has_rights_to_it(self):
        self.server.write({"smtp_user": "sales@contoso.example", "from_filter": False})
        self.connect(self.server, "mary@contoso.example")
        self.assertEqual(self.server.from_filter, "sales@contoso.example")
        self.assertEqual(self.server.microsoft_graph_account_id.addresses, "mary@contoso.example")

    def test_a_mailbox_of_somebody_else_is_not_connected(self):
        self.server.smtp_user = "tom@contoso.example"
        self.assertIn("has no rights to the mailbox", self.connect(self.server, "mary@contoso.example").text)
        self.assertFalse(self.server.microsoft_graph_account_id)
        self.env.cr.execute("SELECT count(*) FROM microsoft_graph_account WHERE refresh_token IS NOT NULL")
        self.assertEqual(self.env.cr.fetchone(), (0,))

    def test_a_personal_server_is_for_the_own_mailbox_alone(self):
        user = new_test_user(self.env, "mary", groups="base.group_user", email="mary@contoso.example")
        action = self.env["res.users"].with_user(user).action_setup_outgoing_mail_server("microsoft_graph")
        self.assertEqual(action["type"], "ir.actions.act_url")
        server = self.env["ir.mail_server"].with_context(active_test=False).search([("owner_user_id", "=", user.id)])
        self.assertFalse(server.active)
        self.authenticate("mary", "mary")
        back = self.press_connect(server.with_user(user).sudo(), "tom@contoso.example")
        self.env.flush_all()
        self.assertIn("Sign in with that address", self.url_open(back).text)
        back = self.press_connect(server.with_user(user).sudo(), "mary@contoso.example")
        self.env.flush_all()
        page = self.url_open(back, allow_redirects=False)
        self.env.invalidate_all()
        self.assertEqual(page.headers["Location"], f"/odoo/my-preferences/{user.id}")
        self.assertTrue(server.active)
        self.assertEqual((user.outgoing_mail_server_id, user.outgoing_mail_server_type), (server, "microsoft_graph"))
        self.assertEqual(server._get_personal_mail_servers_limit(), 30)

    def test_with_the_last_server_of_an_account_goes_its_sign_in(self):
        incoming = self.env["fetchmail.server"].create({"name": "In", "server_type": "microsoft_graph", "user": MAILBOX})
        self.connect(self.server, MAILBOX)
        self.connect(incoming, MAILBOX)
        account = self.server.microsoft_graph_account_id
        self.assertEqual(incoming.microsoft_graph_account_id, account)
        self.server.unlink()
        self.assertEqual(account.state, "connected")
        incoming.unlink()
        self.env.cr.execute("SELECT access_token, refresh_token, state FROM microsoft_graph_account WHERE id = %s", [account.id])
        self.assertEqual(self.env.cr.fetchone(), (None, None, "new"))

    def test_who_goes_back_to_the_server_of_all_takes_their_sign_in_along(self):
        user = new_test_user(self.env, "mary", groups="base.group_user", email="mary@contoso.example")
        users = self.env["res.users"].with_user(user)
        users.action_setup_outgoing_mail_server("microsoft_graph")
        server = self.env["ir.mail_server"].with_context(active_test=False).search([("owner_user_id", "=", user.id)])
        self.authenticate("mary", "mary")
        back = self.press_connect(server.with_user(user).sudo(), "mary@contoso.example")
        self.env.flush_all()
        self.url_open(back, allow_redirects=False)
        self.env.invalidate_all()
        account = server.microsoft_graph_account_id
        self.assertEqual(account.state, "connected")
        users.action_setup_outgoing_mail_server("default")
        self.assertFalse(server.exists())
        self.env.cr.execute("SELECT access_token, refresh_token, state FROM microsoft_graph_account WHERE id = %s", [account.id])
        self.assertEqual(self.env.cr.fetchone(), (None, None, "new"))

    def test_the_app_itself_connects_without_a_browser(self):
        self.server.microsoft_graph_app_only = True
        self.server.action_microsoft_graph_connect()
        self.env.invalidate_all()
        self.assertEqual(self.server.microsoft_graph_account_id.state, "connected")
        self.assertIn("may send, read and write", self.server.test_smtp_connection()["params"]["message"])

    def test_a_wrong_secret_says_what_to_do(self):
        self.env["microsoft.graph.app"]._set_sealed("secret", "wrong")
        self.assertIn("The client secret is wrong", self.connect(self.server, MAILBOX).text)

    def test_disconnecting_forgets_the_tokens(self):
        self.connect(self.server, MAILBOX)
        self.server.action_microsoft_graph_disconnect()
        self.env.cr.execute("SELECT access_token, refresh_token, state FROM microsoft_graph_account")
        self.assertEqual(self.env.cr.fetchone(), (None, None, "new"))
        with self.assertRaisesRegex(UserError, "is not connected"):
            self.server.test_smtp_connection()

    def test_the_secret_is_sealed_and_shown_to_nobody(self):
        kept = self.env["ir.config_parameter"].get_param("microsoft_graph_mail.secret")
        self.assertTrue(kept.startswith("sealed1:"))
        self.assertNotIn(SECRET, kept)
        values = self.env["res.config.settings"].create({}).read()[0]
        self.assertNotIn(SECRET, repr(values))
        self.assertTrue(values["microsoft_graph_has_secret"])
        self.env["res.config.settings"].create({}).execute()
        self.assertEqual(self.env["microsoft.graph.app"]._sealed("secret"), SECRET, "left empty, it stays")

    def test_an_account_that_is_read_shows_no_token_even_to_an_administrator(self):
        self.connect(self.server, MAILBOX)
        account = self.server.microsoft_graph_account_id.with_user(self.env.ref("base.user_admin"))
        self.assertFalse({"access_token", "refresh_token"} & set(account.read()[0]))
        with self.assertRaises(AccessError):
            account.read(["refresh_token"])

    @mute_logger("odoo.addons.base.models.ir_model")
    def test_no_button_is_there_for_those_without_rights(self):
        """Everybody who is signed in, customers too, may call every public method of every model, also for no record."""
        self.connect(self.server, MAILBOX)
        before = self.env["microsoft.graph.app"]._setting("secret")
        page = self.env["microsoft.graph.registration"]._the_one()
        buttons = [
            ("res.config.settings", [], "set_values"),
            ("res.config.settings", [], "action_microsoft_graph_registration"),
            ("res.config.settings", [], "action_microsoft_graph_new_inbound_key"),
            ("res.config.settings", [], "action_microsoft_graph_forget_secrets"),
            ("microsoft.graph.registration", [], "action_forget_secrets"),
            ("microsoft.graph.registration", page.ids, "action_forget_secrets"),
            ("microsoft.graph.registration", page.ids, "action_admin_consent"),
            ("microsoft.graph.incoming", [], "action_again"),
            ("ir.mail_server", self.server.ids, "action_microsoft_graph_connect"),
            ("ir.mail_server", self.server.ids, "action_microsoft_graph_disconnect"),
        ]
        for groups in ("base.group_portal", "base.group_user"):
            user = new_test_user(self.env, groups.replace("base.group", "bob"), groups=groups)
            for model, ids, button in buttons:
                with self.subTest(groups=groups, model=model, button=button), self.assertRaises(AccessError):
                    call_kw(self.env[model].with_user(user), button, [ids], {})
        app = self.env["microsoft.graph.app"]
        self.assertEqual((app._setting("secret"), app._setting("inbound_key")), (before, ""))
        self.assertEqual(self.server.microsoft_graph_account_id.state, "connected")

    @mute_logger("odoo.addons.base.models.ir_model")
    def test_nobody_but_the_system_group_sees_anything(self):
        user = new_test_user(self.env, "ann", groups="base.group_user")
        for model in ("account", "signin", "try", "incoming", "pushed"):
            with self.assertRaises(AccessError):
                self.env[f"microsoft.graph.{model}"].with_user(user).search([])
