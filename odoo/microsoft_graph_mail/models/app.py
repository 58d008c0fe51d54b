"""The app registration at Microsoft, as the settings have it."""

from dataclasses import replace
from urllib.parse import urlsplit

from odoo import api, models, tools
from odoo.addons.microsoft_graph_mail.driver import certificate, vault

from mailroom_core.oauth.microsoft import CLOUDS, App, Assertion, Cloud, Secret
from mailroom_core.oauth.scopes import Tier

PREFIX = "microsoft_graph_mail."
CALLBACK = "/microsoft_graph_mail/callback"


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_safe(url):
    """Whether it is an address that Microsoft takes: https, or this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in LOOPBACK


class MicrosoftGraphApp(models.AbstractModel):
    _name = "microsoft.graph.app"
    _description = "App Registration at Microsoft"

    @api.model
    def _setting(self, name, default=""):
        return self.env["ir.config_parameter"].sudo().get_param(PREFIX + name) or default

    @api.model
    def _vault(self):
        return vault.load(tools.config["data_dir"], tools.config.get("microsoft_graph_mail_key") or "")

    @api.model
    def _set_sealed(self, name, plain):
        """Keep a secret in the settings; empty takes it away."""
        sealed = self._vault().seal(f"setting {name}", plain) if plain else False
        self.env["ir.config_parameter"].sudo().set_param(PREFIX + name, sealed)

    @api.model
    def _sealed(self, name):
        sealed = self._setting(name)
        return self._vault().open(f"setting {name}", sealed) if sealed else ""

    @api.model
    def _cloud(self) -> Cloud:
        cloud = CLOUDS[self._setting("cloud", "global")]
        return replace(cloud, login=self._setting("login_url", cloud.login), graph=self._setting("graph_url", cloud.graph))

    @api.model
    def _app(self) -> App | None:
        """The registration; None if there is no client id yet."""
        if not (client_id := self._setting("client_id")):
            return None
        app = App(client_id, self._setting("tenant", "common"), cloud=self._cloud())
        if pem := self._sealed("certificate"):
            return replace(app, proof=Assertion(lambda: certificate.sign(app, pem)))
        if secret := self._sealed("secret"):
            return replace(app, proof=Secret(secret))
        return app

    @api.model
    def _tier(self) -> Tier:
        return Tier(self._setting("tier", Tier.READ_WRITE.value))

    @api.model
    def _redirect_uri(self):
        return self.env["ir.config_parameter"].sudo().get_param("web.base.url").rstrip("/") + CALLBACK
