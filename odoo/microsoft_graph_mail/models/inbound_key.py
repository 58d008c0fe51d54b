"""The key by which a gateway hands mail in: 256 random bits, of which only the hash is kept."""

import hashlib
import secrets

from odoo import api, models

from .app import PREFIX


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


class InboundKey(models.AbstractModel):
    _inherit = "microsoft.graph.app"

    @api.model
    def _new_inbound_key(self):
        """A new key, shown once; the one of before is worth nothing from now on."""
        key = secrets.token_urlsafe(32)
        self.env["ir.config_parameter"].sudo().set_param(PREFIX + "inbound_key", digest(key))
        return key
