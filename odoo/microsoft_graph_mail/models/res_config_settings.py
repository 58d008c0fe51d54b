from odoo import api, fields, models
from odoo.exceptions import UserError

from mailroom_core.oauth.microsoft import CLOUDS
from mailroom_core.oauth.scopes import Tier

from .app import PREFIX, is_safe

_REGISTRATION = ("client_id", "tenant", "cloud", "tier", "shared", "secret", "certificate")
CLOUD_NAMES = {"global": "Global", "usgov": "US Government (GCC High)", "dod": "US Government (DoD)", "china": "China (21Vianet)"}


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    microsoft_graph_client_id = fields.Char("Application (client) ID", config_parameter=PREFIX + "client_id")
    microsoft_graph_tenant = fields.Char("Directory (tenant) ID", config_parameter=PREFIX + "tenant", default="common")
    microsoft_graph_cloud = fields.Selection(
        [(name, CLOUD_NAMES[name]) for name in CLOUDS], "Cloud", config_parameter=PREFIX + "cloud", default="global"
    )
    microsoft_graph_tier = fields.Selection(
        [(Tier.READ_WRITE.value, "Send, read and write (recommended)"), (Tier.SEND.value, "Send only")],
        "Permissions",
        config_parameter=PREFIX + "tier",
        default=Tier.READ_WRITE.value,
    )
    microsoft_graph_shared = fields.Boolean("Shared mailboxes", default=True)
    microsoft_graph_secret = fields.Char("Client secret")
    microsoft_graph_certificate = fields.Text("Certificate with key (PEM)")
    microsoft_graph_has_secret = fields.Boolean()
    microsoft_graph_has_certificate = fields.Boolean()
    microsoft_graph_has_inbound_key = fields.Boolean()
    microsoft_graph_notifications = fields.Boolean(
        "Let Microsoft tell Odoo of new mail",
        config_parameter=PREFIX + "notifications",
        help="Microsoft must be able to reach Odoo at web.base.url by https. Without, new mail is looked for every five minutes.",
    )
    microsoft_graph_redirect_uri = fields.Char("Redirect address", readonly=True)

    @api.model
    def get_values(self):
        app = self.env["microsoft.graph.app"]
        return {
            **super().get_values(),
            "microsoft_graph_has_secret": bool(app._setting("secret")),
            "microsoft_graph_has_certificate": bool(app._setting("certificate")),
            "microsoft_graph_has_inbound_key": bool(app._setting("inbound_key")),
            "microsoft_graph_shared": app._setting("shared", "True") == "True",
            "microsoft_graph_redirect_uri": app._redirect_uri(),
        }

    def set_values(self):
        """A secret is shown to nobody: left empty, it stays."""
        self.check_access("write")
        app = self.env["microsoft.graph.app"]
        subscriptions = self.env["microsoft.graph.subscription"].sudo()
        if self.microsoft_graph_notifications and not is_safe(subscriptions._url()):
            raise UserError(
                self.env._(
                    "Microsoft tells of new mail by https alone. Serve Odoo by https, and set the system parameter web.base.url to it."
                )
            )
        was_on = subscriptions._is_on()
        before = [app._setting(name) for name in _REGISTRATION]
        super().set_values()
        self.env["ir.config_parameter"].sudo().set_param(PREFIX + "shared", str(self.microsoft_graph_shared))
        if self.microsoft_graph_secret:
            app._set_sealed("secret", self.microsoft_graph_secret)
        if self.microsoft_graph_certificate:
            app._set_sealed("certificate", self.microsoft_graph_certificate)
        if was_on and not self.microsoft_graph_notifications:
            subscriptions.search([])._forget()
        elif subscriptions._is_on() and not was_on:
            self.env.ref("mail.ir_cron_mail_gateway_action").sudo()._trigger()
        if before != [app._setting(name) for name in _REGISTRATION]:
            self.env["microsoft.graph.registration"]._the_one()._forget()

    def action_microsoft_graph_registration(self):
        """The page that leads through the registration at Microsoft."""
        self.check_access("write")
        page = self.env["microsoft.graph.registration"]._the_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": page._name,
            "res_id": page.id,
            "view_mode": "form",
            "views": [(False, "form")],
        }

    def action_microsoft_graph_new_inbound_key(self):
        """Shown this once; a key of before is worth nothing any more."""
        self.check_access("write")
        key = self.env["microsoft.graph.app"]._new_inbound_key()
        text = self.env._("Enter this key in the gateway now; it is not shown again: %s", key)
        return {"type": "ir.actions.client", "tag": "display_notification", "params": {"message": text, "type": "warning", "sticky": True}}

    def action_microsoft_graph_forget_secrets(self):
        """Back to a public client with PKCE."""
        self.check_access("write")
        for name in ("secret", "certificate"):
            self.env["microsoft.graph.app"]._set_sealed(name, "")
        return {"type": "ir.actions.client", "tag": "soft_reload"}
