"""The page that leads through the registration: each step's test says what is right, or what is wrong and what to do."""

import datetime

from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from markupsafe import escape
from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from .tenant import CLIENT, MAILBOX, SECRET, TENANT, TenantCase

PUBLIC = "0d00cccc-0000-0000-0000-000000000020"
SENDS_ONLY = "0d00cccc-0000-0000-0000-000000000021"


def certificate(days=30):
    """Certificate and key in one PEM, made for this run."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048, backend=default_backend())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Odoo")])
    now = datetime.datetime.utcnow()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256(), default_backend())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = made.public_bytes(serialization.Encoding.PEM)
    return public.decode(), (public + private).decode()


@tagged("post_install", "-at_install")
class TestRegistration(TenantCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.page = cls.env["microsoft.graph.registration"]._the_one()

    def tell(self, step, state, *words):
        """What the page says of a step after its button was pressed."""
        getattr(self.page, f"action_test_{step}")()
        self.told(step, state, *words)

    def told(self, step, state, *words):
        found = self.page.findings[step]
        self.assertEqual(found["state"], state, found["text"])
        for word in words:
            self.assertIn(word, found["text"])
            self.assertIn(str(escape(word)), str(self.page[f"{step}_told"]))
        self.assertNotIn(SECRET, found["text"])

    def sign_in(self, person):
        self.authenticate("admin", "admin")
        back = self.press(self.page.with_user(self.env.ref("base.user_admin")), "action_test_permissions", person)
        self.env.flush_all()
        page = self.url_open(back, allow_redirects=False)
        self.env.invalidate_all()
        return page

    def test_there_is_one_page_and_the_settings_lead_to_it(self):
        action = self.env["res.config.settings"].create({}).action_microsoft_graph_registration()
        self.assertEqual((action["res_model"], action["res_id"]), (self.page._name, self.page.id))
        self.assertEqual(self.env["microsoft.graph.registration"]._the_one(), self.page)
        self.assertEqual((self.page.client_id, self.page.tenant, self.page.has_secret), (CLIENT, TENANT, True))

    def test_nobody_but_an_administrator_sees_it(self):
        user = new_test_user(self.env, "ann", groups="base.group_user")
        with self.assertRaises(AccessError):
            self.page.with_user(user).read(["client_id"])

    # 1

    def test_a_registration_that_microsoft_knows(self):
        self.tell("app", "ok", "Microsoft knows the app")

    def test_a_client_id_that_the_tenant_does_not_know(self):
        self.page.client_id = "0d00cccc-0000-0000-0000-00000000dead"
        self.tell("app", "wrong", "does not know the app", "AADSTS700016")

    def test_a_tenant_that_there_is_not(self):
        self.page.tenant = "nobody.example"
        self.tell("app", "wrong", "no such tenant", "AADSTS90002")

    def test_a_single_tenant_app_wants_its_tenant(self):
        self.page.tenant = "common"
        self.tell("app", "wrong", "one organisation only", "AADSTS50194")

    def test_the_app_itself_wants_a_tenant(self):
        self.page.write({"way": "app", "tenant": "common"})
        self.tell("app", "wrong", "enter its Directory (tenant) ID")

    def test_no_client_id_yet(self):
        self.page.client_id = False
        for step in ("app", "redirect", "permissions"):
            self.page.way = "app"
            self.tell(step, "wrong", "Enter the Application (client) ID first")

    def test_a_login_that_does_not_answer_is_no_verdict(self):
        self.env["ir.config_parameter"].set_param("microsoft_graph_mail.login_url", "http://127.0.0.1:1")
        self.tell("app", "unclear", "gave no answer", "check network, proxy and DNS")

    # 2

    def test_a_redirect_address_that_is_registered(self):
        self.tell("redirect", "ok", "Microsoft sends people back to this address")

    def test_a_redirect_address_that_is_not(self):
        self.control("PATCH", f"/apps/{CLIENT}", json={"redirect_uris": ["https://odoo.example/elsewhere"]})
        self.addCleanup(self.control, "PATCH", f"/apps/{CLIENT}", json={"redirect_uris": [self.page.redirect_uri]})
        self.tell("app", "ok", "Microsoft knows the app")
        self.tell("redirect", "wrong", "The redirect address is not registered", "AADSTS50011")

    def test_an_address_without_https_is_told_before_microsoft_refuses_it(self):
        self.env["ir.config_parameter"].set_param("web.base.url", "http://odoo.example")
        self.page.invalidate_recordset()
        self.tell("redirect", "wrong", "https", "web.base.url")

    # 3

    def test_a_secret_that_is_accepted(self):
        self.tell("proof", "ok", "The secret is accepted")

    def test_a_secret_that_is_wrong(self):
        self.page.secret = "made-up-value"
        self.assertFalse(self.page.secret)
        self.tell("proof", "wrong", "The client secret is wrong", "AADSTS7000215")

    def test_a_secret_that_has_expired(self):
        self.control("PATCH", f"/apps/{CLIENT}", json={"expire_secrets": True})
        self.addCleanup(self.control, "PATCH", f"/apps/{CLIENT}", json={"secret": SECRET})
        self.tell("proof", "wrong", "has expired", "AADSTS7000222")

    def test_a_certificate_that_is_accepted_says_until_when(self):
        public, both = certificate()
        self.control("POST", f"/apps/{CLIENT}/certificates", data=public)
        self.page.certificate = both
        self.assertTrue(self.page.has_certificate)
        self.tell("proof", "ok", "It ends on")

    def test_a_certificate_that_is_not_uploaded_or_has_ended_or_is_none(self):
        self.page.certificate = certificate()[1]
        self.tell("proof", "wrong", "Upload the certificate", "AADSTS700027")
        self.page.certificate = certificate(days=-1)[1]
        self.tell("proof", "wrong", "has ended on")
        self.page.certificate = "no certificate"
        self.tell("proof", "wrong", "can't be read")

    def test_a_secret_without_a_tenant_is_tried_by_signing_in(self):
        self.page.tenant = "common"
        self.tell("proof", "unclear", "the next step shows it")

    def test_a_public_client_keeps_nothing_secret(self):
        self.page.way = "public"
        self.tell("proof", "wrong", "Forget secret and certificate")
        self.page.action_forget_secrets()
        self.assertFalse(self.page.has_secret)
        self.tell("proof", "unclear", "shows when somebody signs in")
        self.page.way = "person"
        self.tell("proof", "wrong", "Enter a secret or a certificate first")

    # 4

    def test_who_signs_in_is_told_what_was_agreed_to(self):
        self.page.mailbox = MAILBOX
        self.assertEqual(self.sign_in(MAILBOX).headers["Location"], f"/odoo/microsoft.graph.registration/{self.page.id}")
        self.told("permissions", "ok", f"Signed in as {MAILBOX}", "Mail.ReadWrite.Shared")

    def test_a_public_client_signs_in_without_a_secret(self):
        redirects = [self.page.redirect_uri]
        self.control("POST", "/apps", json={"client_id": PUBLIC, "public": True, "redirect_uris": redirects})
        self.page.write({"way": "public", "client_id": PUBLIC, "mailbox": MAILBOX})
        self.page.action_forget_secrets()
        self.tell("app", "ok", "Microsoft knows the app")
        self.tell("redirect", "ok", "sends people back")
        self.sign_in(MAILBOX)
        self.told("permissions", "ok", "Mail.ReadWrite")
        self.tell("mailbox", "ok", "May send", "May read")

    def test_a_public_client_that_is_registered_as_a_web_app_is_told(self):
        self.page.write({"way": "public", "mailbox": MAILBOX})
        self.page.action_forget_secrets()
        self.sign_in(MAILBOX)
        self.told("permissions", "wrong", "demands a secret or a certificate", "AADSTS7000218")

    def test_a_secret_for_a_public_client_is_told(self):
        self.control("POST", "/apps", json={"client_id": PUBLIC, "public": True, "redirect_uris": [self.page.redirect_uri]})
        self.page.write({"client_id": PUBLIC, "mailbox": MAILBOX})
        self.sign_in(MAILBOX)
        self.told("permissions", "wrong", "AADSTS700025")

    def test_somebody_without_rights_to_the_mailbox_is_told(self):
        self.page.mailbox = "tom@contoso.example"
        self.sign_in("mary@contoso.example")
        self.told("permissions", "wrong", "mary@contoso.example", "has no rights to the mailbox")

    def test_who_declines_is_told_on_the_page(self):
        self.page.mailbox = MAILBOX
        self.authenticate("admin", "admin")
        back = self.press(self.page.with_user(self.env.ref("base.user_admin")), "action_test_permissions", MAILBOX)
        state = back.partition("state=")[2].partition("&")[0]
        self.env.flush_all()
        self.url_open(f"/microsoft_graph_mail/callback?error=access_denied&state={state}", allow_redirects=False)
        self.env.invalidate_all()
        self.told("permissions", "wrong", "the permissions were declined")

    def test_an_administrator_agrees_for_everybody(self):
        self.control("POST", "/apps", json={
            "client_id": SENDS_ONLY, "secret": SECRET, "roles": [], "requested_roles": ["Mail.Send", "Mail.ReadWrite"],
            "redirect_uris": [self.page.redirect_uri],
        })  # fmt: skip
        self.page.write({"way": "app", "client_id": SENDS_ONLY})
        self.tell("permissions", "wrong", "Mail.Send, Mail.ReadWrite", "Grant admin consent")
        self.authenticate("admin", "admin")
        back = self.press(self.page.with_user(self.env.ref("base.user_admin")), "action_admin_consent", "")
        self.env.flush_all()
        answer = self.url_open(back, allow_redirects=False)
        self.assertEqual(answer.headers["Location"], f"/odoo/microsoft.graph.registration/{self.page.id}")
        self.env.invalidate_all()
        self.told("permissions", "unclear", "Test them now")
        self.tell("permissions", "ok", "Mail.Send, Mail.ReadWrite")

    def test_an_app_that_may_send_alone_is_told_what_it_lacks(self):
        self.control("POST", "/apps", json={"client_id": SENDS_ONLY, "secret": SECRET, "roles": ["Mail.Send"], "redirect_uris": []})
        self.page.write({"way": "app", "client_id": SENDS_ONLY})
        self.tell("permissions", "wrong", "has not been given: Mail.ReadWrite", "Application permissions")
        self.page.mailbox = MAILBOX
        self.tell("mailbox", "wrong", "✓ May send", "✗ May not read", "✗ May not write")
        self.page.tier = "Mail.Send"
        self.tell("permissions", "ok", "Mail.Send")
        self.tell("mailbox", "ok", "✓ May send")

    # 5

    def test_the_app_itself_goes_the_whole_way_without_a_browser(self):
        self.page.write({"way": "app", "mailbox": MAILBOX})
        self.tell("app", "ok")
        self.tell("proof", "ok")
        self.tell("permissions", "ok", "Mail.ReadWrite")
        self.tell("mailbox", "ok", "✓ May read: Inbox has 0 messages", "✓ May send", "✓ May write")
        self.assertTrue(self.page.is_ready)
        self.server.unlink()
        for action, model in ((self.page.action_outgoing_server, "ir.mail_server"), (self.page.action_incoming_server, "fetchmail.server")):
            opened = action()
            server = self.env[model].browse(opened["res_id"])
            self.assertEqual(
                (opened["res_model"], server.microsoft_graph_state, server.microsoft_graph_app_only), (model, "connected", True)
            )
            self.assertEqual(action()["res_id"], server.id, "there is one already")

    def test_a_mailbox_that_there_is_not(self):
        self.page.write({"way": "app", "mailbox": "nobody@contoso.example"})
        self.tell("mailbox", "wrong", "✗ May not send", "no such mailbox")
        self.assertFalse(self.page.is_ready)

    def test_a_mailbox_outside_of_what_the_app_may_reach(self):
        self.control("PATCH", f"/apps/{CLIENT}", json={"only_mailboxes": ["mary@contoso.example"]})
        self.addCleanup(self.control, "PATCH", f"/apps/{CLIENT}", json={"only_mailboxes": None})
        self.page.write({"way": "app", "mailbox": MAILBOX})
        self.tell("permissions", "ok")
        self.tell("mailbox", "wrong", "✗ May not read", "if access of apps is limited")

    def test_no_mailbox_and_nobody_signed_in(self):
        self.tell("mailbox", "wrong", "Enter the address of a mailbox first")
        self.page.mailbox = MAILBOX
        self.tell("mailbox", "wrong", "Sign in first")

    # What was found out counts for what was entered

    def test_a_change_makes_what_follows_untold_again(self):
        self.tell("app", "ok")
        self.tell("proof", "ok")
        self.page.secret = "another"
        self.assertEqual(set(self.page.findings), {"app"})
        self.tell("proof", "wrong")
        self.env["res.config.settings"].create({"microsoft_graph_client_id": "0d00cccc-0000-0000-0000-00000000dead"}).execute()
        self.assertFalse(self.page.findings)

    def test_no_secret_is_read_back(self):
        self.page.secret = "a-secret-of-mine"
        self.page.invalidate_recordset()
        self.assertNotIn("a-secret-of-mine", repr(self.page.read()))
        self.assertEqual(self.env["microsoft.graph.app"]._sealed("secret"), "a-secret-of-mine")
        self.page.write({"tenant": TENANT})
        self.assertEqual(self.env["microsoft.graph.app"]._sealed("secret"), "a-secret-of-mine", "left empty, it stays")

    def test_what_microsoft_says_is_shown_as_text(self):
        self.page.findings = {"app": {"state": "wrong", "text": "<script>alert(1)</script>\nsecond"}}
        self.assertNotIn("<script>", str(self.page.app_told))
        self.assertIn("<br/>second", str(self.page.app_told))
