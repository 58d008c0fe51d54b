"""The page that leads through the registration at Microsoft: what to do in each step, and a test that says whether it is done.

There is one of it. What is entered goes into the settings, secrets sealed; kept here is what the tests found out.
"""

import re

from markupsafe import Markup
from odoo import _, api, fields, models

from mailroom_core.oauth.microsoft import CLOUDS
from mailroom_core.oauth.scopes import Tier

from . import registration_tests
from .app import PREFIX
from .registration_tests import OK, UNCLEAR, WRONG, Finding
from .res_config_settings import CLOUD_NAMES

STEPS = ("app", "redirect", "proof", "permissions", "mailbox")
_COLOURS = {OK: "success", WRONG: "danger", UNCLEAR: "warning"}
_FROM = {"secret": "proof", "certificate": "proof", "tier": "permissions", "shared": "permissions", "mailbox": "mailbox"}
"""The first step that a change makes untold again; every other one begins anew."""


class MicrosoftGraphRegistration(models.Model):
    _name = "microsoft.graph.registration"
    _inherit = ["microsoft.graph.server"]
    _description = "Registration at Microsoft"
    _email_field = "mailbox"

    way = fields.Selection(
        [
            ("person", "A person signs in, and the app proves itself by a secret or a certificate"),
            ("public", "A person signs in, and nothing is secret (public client)"),
            ("app", "The app itself signs in, with permissions that an administrator gives it"),
        ],
        "Who signs in?",
        required=True,
        default="person",
    )
    client_id = fields.Char("Application (client) ID", compute="_compute_settings", inverse=lambda pages: pages._keep("client_id"))
    tenant = fields.Char("Directory (tenant) ID", compute="_compute_settings", inverse=lambda pages: pages._keep("tenant"))
    cloud = fields.Selection(
        [(name, CLOUD_NAMES[name]) for name in CLOUDS], compute="_compute_settings", inverse=lambda pages: pages._keep("cloud")
    )
    tier = fields.Selection(
        [(Tier.READ_WRITE.value, "Send, read and write (recommended)"), (Tier.SEND.value, "Send only")],
        "Permissions",
        compute="_compute_settings",
        inverse=lambda pages: pages._keep("tier"),
    )
    shared = fields.Boolean("Shared mailboxes", compute="_compute_settings", inverse=lambda pages: pages._keep("shared"))
    secret = fields.Char("Client secret", compute="_compute_settings", inverse=lambda pages: pages._seal("secret"))
    certificate = fields.Text("Certificate with key (PEM)", compute="_compute_settings", inverse=lambda pages: pages._seal("certificate"))
    has_secret = fields.Boolean(compute="_compute_settings")
    has_certificate = fields.Boolean(compute="_compute_settings")
    redirect_uri = fields.Char("Redirect address", compute="_compute_settings")
    mailbox = fields.Char(help="One that Odoo shall send from or read.")
    findings = fields.Json(readonly=True, copy=False)
    app_told = fields.Html(compute="_compute_told", sanitize=False)
    redirect_told = fields.Html(compute="_compute_told", sanitize=False)
    proof_told = fields.Html(compute="_compute_told", sanitize=False)
    permissions_told = fields.Html(compute="_compute_told", sanitize=False)
    mailbox_told = fields.Html(compute="_compute_told", sanitize=False)
    is_ready = fields.Boolean(compute="_compute_told", help="The mailbox may be used.")

    @api.model
    def _the_one(self):
        return self.sudo().search([], limit=1) or self.sudo().create({})

    def _compute_display_name(self):
        self.display_name = _("Registration at Microsoft")

    def _microsoft_graph_is_ours(self):
        return True

    # What is entered

    def _compute_settings(self):
        app = self.env["microsoft.graph.app"]
        for page in self:
            page.client_id = app._setting("client_id")
            page.tenant = app._setting("tenant", "common")
            page.cloud = app._setting("cloud", "global")
            page.tier = app._tier().value
            page.shared = app._setting("shared", "True") == "True"
            page.secret = page.certificate = False
            page.has_secret = bool(app._setting("secret"))
            page.has_certificate = bool(app._setting("certificate"))
            page.redirect_uri = app._redirect_uri()

    def _keep(self, name):
        set_param = self.env["ir.config_parameter"].sudo().set_param
        for page in self:
            value = page[name]
            set_param(PREFIX + name, str(value) if name == "shared" else (value or "").strip())

    def _seal(self, name):
        """Left empty, what there is stays."""
        for page in self:
            if page[name]:
                self.env["microsoft.graph.app"]._set_sealed(name, page[name].strip())

    def write(self, vals):
        written = super().write(vals)
        entered = vals.keys() & {"way", "client_id", "tenant", "cloud", *_FROM}
        if entered:
            self._forget(min((_FROM.get(name, STEPS[0]) for name in entered), key=STEPS.index))
            self.invalidate_recordset()
        return written

    def _forget(self, first=STEPS[0]):
        """What was found out from this step on is not known any more."""
        gone = STEPS[STEPS.index(first) :]
        for page in self:
            page.findings = {step: found for step, found in (page.findings or {}).items() if step not in gone}

    def action_forget_secrets(self):
        self.check_access("write")
        for name in ("secret", "certificate"):
            self.env["microsoft.graph.app"]._set_sealed(name, "")
        self._forget("proof")

    # What was found out

    @api.depends("findings")
    def _compute_told(self):
        for page in self:
            for step in STEPS:
                found = (page.findings or {}).get(step)
                page[f"{step}_told"] = _shown(found) if found else False
            page.is_ready = ((page.findings or {}).get("mailbox") or {}).get("state") == OK

    def _tell(self, step, found: Finding):
        for page in self:
            page.findings = {**(page.findings or {}), step: {"state": found.state, "text": found.text}}

    def action_test_app(self):
        self._tell("app", registration_tests.app(self))

    def action_test_redirect(self):
        self._tell("redirect", registration_tests.redirect(self))

    def action_test_proof(self):
        self._tell("proof", registration_tests.proof(self))

    def action_test_permissions(self):
        """The app's own are asked for at once; a person's show when that person has signed in."""
        if self.way == "app":
            self._tell("permissions", registration_tests.roles(self))
            return None
        self._forget("permissions")
        self.microsoft_graph_app_only = False
        return self.action_microsoft_graph_connect()

    def action_test_mailbox(self):
        found, account = registration_tests.mailbox(self)
        if account:
            self.microsoft_graph_account_id = account
        self._tell("mailbox", found)

    def action_admin_consent(self):
        """Where an administrator agrees for everybody, and comes back from."""
        self.check_access("write")
        return {"type": "ir.actions.act_url", "url": self.env["microsoft.graph.signin"]._begin_consent(self), "target": "self"}

    # Coming back from Microsoft

    def _microsoft_graph_connected(self, account, rights):
        self.microsoft_graph_account_id = account
        self._tell("permissions", registration_tests.granted_scopes(account))

    def _microsoft_graph_not_connected(self, text):
        self._tell("permissions", Finding(WRONG, text))
        return True

    def _microsoft_graph_consented(self):
        text = _("An administrator has agreed to the permissions of the registration, for everybody. Test them now.")
        self._tell("permissions", Finding(UNCLEAR, text))

    # The way on

    def action_outgoing_server(self):
        """The outgoing server of this mailbox; made, and connected, if there is none."""
        domain = [("smtp_authentication", "=", "microsoft_graph"), ("smtp_user", "=ilike", self.mailbox)]
        values = {"name": self.mailbox, "smtp_authentication": "microsoft_graph", "smtp_user": self.mailbox, "smtp_encryption": "none"}
        return self._microsoft_graph_server("ir.mail_server", domain, values)

    def action_incoming_server(self):
        domain = [("server_type", "=", "microsoft_graph"), ("user", "=ilike", self.mailbox)]
        values = {"name": self.mailbox, "server_type": "microsoft_graph", "user": self.mailbox}
        return self._microsoft_graph_server("fetchmail.server", domain, values)

    def _microsoft_graph_server(self, model, domain, values):
        server = self.env[model].search(domain, limit=1)
        if not server:
            server = self.env[model].create({**values, "microsoft_graph_app_only": self.way == "app"})
            server._microsoft_graph_connected(self.microsoft_graph_account_id, None)
        return {"type": "ir.actions.act_window", "res_model": model, "res_id": server.id, "view_mode": "form", "views": [(False, "form")]}


def _shown(found):
    """An alert with one line for each sentence that stands on its own; everything in it is text."""
    lines = Markup("<br/>").join(re.split(r"\n+", found["text"]))
    return Markup('<div class="alert alert-%s mb-0" role="status">%s</div>') % (_COLOURS[found["state"]], lines)
