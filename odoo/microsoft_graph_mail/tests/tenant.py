"""A tenant at Microsoft for the tests: the emulator, as a process beside Odoo."""

import os
from unittest.mock import patch
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests
from odoo.tests import HttpCase

CLIENT, SECRET = "0d00cccc-0000-0000-0000-000000000019", "odoo-secret"
TENANT = "11111111-1111-1111-1111-111111111111"
MAILBOX = "notifications@contoso.example"


class TenantCase(HttpCase):
    """Odoo's settings as an administrator makes them, with the emulator in the place of Microsoft."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.emulator = os.environ.get("MICROSOFT_GRAPH_MAIL_EMULATOR")
        if not cls.emulator:
            cls.skipTest(cls, "needs MICROSOFT_GRAPH_MAIL_EMULATOR, the address of a running mailroom-emulator; see make test-odoo")
        cls.control("POST", "/reset")
        redirects = [f"{cls.base_url()}/microsoft_graph_mail/callback"]
        cls.control(
            "POST",
            "/apps",
            json={"client_id": CLIENT, "secret": SECRET, "roles": ["Mail.Send", "Mail.ReadWrite"], "redirect_uris": redirects},
        )
        for name in ("login_url", "graph_url"):
            cls.env["ir.config_parameter"].set_param(f"microsoft_graph_mail.{name}", cls.emulator)
        values = {"microsoft_graph_client_id": CLIENT, "microsoft_graph_tenant": TENANT, "microsoft_graph_secret": SECRET}
        cls.env["res.config.settings"].create({"external_email_server_default": True, **values}).execute()
        domain = cls.env["mail.alias.domain"].create({"name": "contoso.example", "default_from": "notifications"})
        cls.env.company.alias_domain_id = domain
        cls.env["ir.mail_server"].search([]).active = False
        cls.server = cls.env["ir.mail_server"].create(
            {"name": "Notifications", "smtp_authentication": "microsoft_graph", "smtp_user": MAILBOX, "smtp_encryption": "none"}
        )

    @classmethod
    def control(cls, method, path, **options):
        """One call of the emulator's control API."""
        answer = requests.request(method, f"{cls.emulator}/_emulator{path}", timeout=30, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def arrived(self, subject):
        return sorted(copy["to"] for copy in self.control("GET", "/outside?limit=10000")["messages"] if copy["subject"] == subject)

    def sending(self):
        """Odoo sends nothing in tests; here it does."""
        return patch.object(type(self.env["ir.mail_server"]), "_disable_send", lambda self: False)

    def press_connect(self, server, person):
        return self.press(server, "action_microsoft_graph_connect", person)

    def press(self, record, button, person):
        """Where Microsoft sends the browser back to after this person has signed in."""
        url = urlsplit(getattr(record, button)()["url"])
        query = {**dict(parse_qsl(url.query)), "login_hint": person, "emulator_auto": "1"}
        return requests.get(urlunsplit(url._replace(query=urlencode(query))), allow_redirects=False, timeout=30).headers["location"]

    def connect(self, server, person):
        """The whole way, as the administrator: the page where the browser ends."""
        self.authenticate("admin", "admin")
        back = self.press_connect(server.with_user(self.env.ref("base.user_admin")), person)
        self.env.flush_all()
        page = self.url_open(back, allow_redirects=False)
        self.env.invalidate_all()
        return page
