"""A sign-in that has begun: what its answer must match. It is good for ten minutes, for one user, once."""

import hashlib
import secrets
from datetime import datetime, timedelta

from odoo import api, fields, models

from mailroom_core.oauth.microsoft import admin_consent_url, authorize_url

from .own_transaction import own_transaction

LIFE = timedelta(minutes=10)


class MicrosoftGraphSignin(models.Model):
    _name = "microsoft.graph.signin"
    _description = "Sign-in at Microsoft"

    state_hash = fields.Char(required=True, index=True)
    verifier = fields.Char(required=True, groups=fields.NO_ACCESS)
    user_id = fields.Many2one("res.users", required=True, ondelete="cascade")
    account_id = fields.Many2one("microsoft.graph.account", ondelete="cascade", help="None: an administrator agrees for everybody.")
    model = fields.Char(required=True)
    res_id = fields.Integer(required=True)
    redirect_uri = fields.Char(required=True)
    until = fields.Datetime(required=True)

    @api.model
    def _begin(self, server, account):
        """Where to send the browser of the person who connects an account for a mail server."""
        app = self.env["microsoft.graph.app"]._app()
        state, verifier, redirect_uri = self._remember(server, account)
        return authorize_url(
            app, redirect_uri=redirect_uri, scopes=account._scopes(), state=state, verifier=verifier, login_hint=account.name
        )

    @api.model
    def _begin_consent(self, server):
        """Where to send the browser of an administrator who agrees to the app's permissions for everybody."""
        state, _verifier, redirect_uri = self._remember(server, self.env["microsoft.graph.account"])
        return admin_consent_url(self.env["microsoft.graph.app"]._app(), redirect_uri=redirect_uri, state=state)

    def _remember(self, server, account):
        """State, verifier and redirect address of a sign-in that begins now."""
        app_model = self.env["microsoft.graph.app"]
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        redirect_uri = app_model._redirect_uri()
        self.sudo().create(
            {
                "state_hash": _hash(state),
                "verifier": app_model._vault().seal(f"verifier {_hash(state)}", verifier),
                "user_id": self.env.uid,
                "account_id": account.id,
                "model": server._name,
                "res_id": server.id,
                "redirect_uri": redirect_uri,
                "until": datetime.utcnow() + LIFE,
            }
        )
        return state, verifier, redirect_uri

    @api.model
    def _take(self, state):
        """What belongs to a state that came back, as a dictionary; None if nothing does. It can be taken once: that is committed."""
        with own_transaction(self.env) as cr:
            cr.execute(
                "DELETE FROM microsoft_graph_signin WHERE state_hash = %s"
                " RETURNING verifier, user_id, account_id, model, res_id, redirect_uri, until",
                [_hash(state or "")],
            )
            found = cr.dictfetchone()
            cr.commit()
        if found is None or found["user_id"] != self.env.uid or found["until"] < datetime.utcnow():
            return None
        return {**found, "verifier": self.env["microsoft.graph.app"]._vault().open(f"verifier {_hash(state)}", found["verifier"])}

    @api.autovacuum
    def _gc_signins(self):
        self.sudo().search([("until", "<", fields.Datetime.now())]).unlink()


def _hash(state):
    return hashlib.sha256(state.encode()).hexdigest()
