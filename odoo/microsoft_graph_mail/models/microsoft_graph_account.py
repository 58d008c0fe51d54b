"""An identity at Microsoft that we hold a grant for: who signed in, or the app itself.

What is stored of it is written in transactions of their own, the tokens under a lock on the row: so workers refresh one at a time, and a
rotated refresh token is never lost because a business transaction was rolled back. No business transaction writes to these rows.
"""

import logging
from contextlib import contextmanager
from datetime import datetime, timedelta

from odoo import _, api, fields, models, modules
from odoo.addons.microsoft_graph_mail.driver.http import Http
from odoo.addons.microsoft_graph_mail.driver.turn import turn
from odoo.tools import format_datetime

from mailroom_core.errors import VaultError
from mailroom_core.flow import run
from mailroom_core.oauth import microsoft
from mailroom_core.oauth.microsoft import Grant, Identity
from mailroom_core.oauth.problems import ProblemKind, TokenProblem
from mailroom_core.oauth.scopes import Tier, delegated_scopes
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.probe import Rights, probe

from .own_transaction import own_transaction

_logger = logging.getLogger(__name__)

SPARE = timedelta(seconds=10)
"""A token with less than this left is refreshed first."""
COLUMNS = frozenset({"access_token", "refresh_token", "expires_at", "scope", "state", "problem", "addresses", "tier"})


class MicrosoftGraphAccount(models.Model):
    _name = "microsoft.graph.account"
    _description = "Microsoft Account"
    _order = "name, id"

    name = fields.Char("Account", required=True, help="The address that signs in, or a name for the app itself.")
    app_only = fields.Boolean("The app itself", help="No person signs in: the app has permissions that an administrator has given it.")
    addresses = fields.Char("Signed in as", readonly=True, copy=False)
    state = fields.Selection(
        [("new", "Not connected"), ("connected", "Connected"), ("broken", "Connect again")], default="new", readonly=True, copy=False
    )
    problem = fields.Text("What is wrong", readonly=True, copy=False)
    tier = fields.Selection([(Tier.SEND.value, "Send"), (Tier.READ_WRITE.value, "Send, read and write")], "May", readonly=True, copy=False)
    scope = fields.Char(readonly=True, copy=False)
    refresh_token = fields.Char(groups=fields.NO_ACCESS, copy=False, prefetch=False)
    access_token = fields.Char(groups=fields.NO_ACCESS, copy=False, prefetch=False)
    expires_at = fields.Datetime(groups=fields.NO_ACCESS, copy=False, prefetch=False)
    waiting = fields.Text("Mailboxes that wait", compute="_compute_waiting")
    server_ids = fields.One2many("ir.mail_server", "microsoft_graph_account_id", "Outgoing servers", context={"active_test": False})
    incoming_ids = fields.One2many("fetchmail.server", "microsoft_graph_account_id", "Incoming servers", context={"active_test": False})

    # Conversations

    def _http(self):
        self.ensure_one()
        return Http(_Tokens(self))

    def _run(self, flow):
        """Drive a conversation that has nothing to commit on its way. Raises VaultError if no token can be had."""
        return run(flow, self._http(), _forget)

    @contextmanager
    def _turn(self, address):
        """Around what is asked of a mailbox where somebody waits for it. Raises VaultError if the turn does not come."""
        with self.env.registry.cursor() as cr, turn(cr, address) as has_turn:
            if not has_turn:
                raise VaultError(_("Others are using the mailbox %s. Try it again in a minute", address), transient=True)
            yield

    def _mailbox(self, address):
        """The mailbox with this address as the account reaches it: its own, or another's that it has rights on."""
        self.ensure_one()
        own = not self.app_only and address and address.lower() in (self.addresses or "").split(", ")
        return Mailbox.of(self.env["microsoft.graph.app"]._cloud().graph, "" if own else address)

    def _scopes(self):
        app = self.env["microsoft.graph.app"]
        return delegated_scopes(app._cloud().resource, app._tier(), shared=app._setting("shared", "True") == "True")

    # Tokens

    def _token(self, refused="", fresh=False):
        """An access token, another one than `refused`, and until when it may be used. Raises VaultError."""
        self.ensure_one()
        with own_transaction(self.env) as cr:
            cr.execute(
                "SELECT access_token, refresh_token, expires_at, app_only FROM microsoft_graph_account WHERE id = %s FOR NO KEY UPDATE",
                [self.id],
            )
            row = cr.fetchone()
            if row is None:
                raise VaultError("The Microsoft account was deleted; choose another one in the mail server")
            sealed, sealed_refresh, expires_at, app_only = row
            current = self._open("access token", sealed) if sealed else ""
            if current and not fresh and current != refused and expires_at - SPARE > _now():
                return current, expires_at - SPARE
            grant = self._asked(app_only, self._open("refresh token", sealed_refresh) if sealed_refresh else "")
            if isinstance(grant, TokenProblem):
                self._note(grant, cr)
                raise VaultError(str(grant), transient=grant.kind is ProblemKind.TRANSIENT)
            self._keep(grant, cr)
            return grant.access_token, _now() + grant.expires_in - SPARE

    def _asked(self, app_only, refresh_token):
        app = self.env["microsoft.graph.app"]._app()
        if app is None:
            raise VaultError(_("Enter the application's client id first: Settings, General Settings, Microsoft Graph"))
        if app_only:
            return run(microsoft.client_credentials(app), Http(), _forget)
        if not refresh_token:
            raise VaultError(_("The account %s is not connected. Open the mail server and press Connect", self.name))
        return run(microsoft.refresh(app, refresh_token=refresh_token, scopes=self._scopes()), Http(), _forget)

    def _keep(self, grant: Grant, cr=None):
        """Committed before anybody uses it: the refresh token of before may be spent."""
        values = {
            "access_token": self._seal("access token", grant.access_token),
            "expires_at": _now() + grant.expires_in,
            "state": "connected",
            "problem": None,
        }
        if grant.refresh_token:
            values["refresh_token"] = self._seal("refresh token", grant.refresh_token)
        if grant.scope:
            values["scope"] = grant.scope
        self._store(values, cr)

    def _note(self, problem: TokenProblem, cr=None):
        passing = problem.kind is ProblemKind.TRANSIENT
        log = _logger.warning if problem.unmapped or not passing else _logger.info
        log("Microsoft Graph: no token for account %s: %s", self.id, problem)
        if not passing:
            self._store({"state": "broken", "problem": str(problem)}, cr)

    def _store(self, values, cr=None):
        """Write to the row in a transaction of its own, or in that of `cr`, which holds the row's lock; committed here."""
        self.ensure_one()
        assert values.keys() <= COLUMNS
        if cr is None:
            with own_transaction(self.env) as own:
                return self._store(values, own)
        assignments = ", ".join(f"{name} = %s" for name in values)
        cr.execute(f"UPDATE microsoft_graph_account SET {assignments} WHERE id = %s", [*values.values(), self.id])
        cr.commit()
        self.invalidate_recordset(list(values))
        return None

    def _seal(self, name, plain):
        return self.env["microsoft.graph.app"]._vault().seal(f"{name} of account {self.id}", plain)

    def _open(self, name, sealed):
        return self.env["microsoft.graph.app"]._vault().open(f"{name} of account {self.id}", sealed)

    # Connecting

    def _signed_in(self, grant: Grant, identity: Identity):
        self._keep(grant)
        self._store({"addresses": ", ".join(identity.addresses)})
        self.env["microsoft.graph.lane"].sudo()._free(self._mailboxes())
        commit(self.env)

    def _find_out(self, mailbox) -> Rights:
        """Ask Graph what the account may do in a mailbox, and keep it. Raises VaultError if there is no token, or no turn."""
        self.ensure_one()
        with self._turn(mailbox):
            rights = self._run(probe(self._mailbox(mailbox), self.scope or ""))
        if rights.tier is not None:
            self._store({"tier": rights.tier.value})
            commit(self.env)
        return rights

    def _mailboxes(self):
        """Those that it is used for."""
        servers = [*self.sudo().server_ids, *self.sudo().incoming_ids]
        return {self.name.lower(), *(server._microsoft_graph_address() for server in servers)}

    def _compute_waiting(self):
        for account in self:
            domain = [("mailbox", "in", sorted(account._mailboxes())), ("paused_until", ">", fields.Datetime.now())]
            waiting = self.env["microsoft.graph.lane"].sudo().search(domain)
            lines = [
                _("%(mailbox)s waits until %(until)s: %(why)s",
                  mailbox=lane.mailbox, until=format_datetime(self.env, lane.paused_until), why=lane.paused_why)
                for lane in waiting
            ]  # fmt: skip
            account.waiting = "\n".join(lines)

    def _disconnect(self):
        gone = dict.fromkeys(("refresh_token", "access_token", "expires_at", "problem", "addresses", "tier", "scope"))
        for account in self:
            account.sudo().incoming_ids.microsoft_graph_subscription_ids._forget()
            account._store({**gone, "state": "new"})

    def _let_go(self):
        """Forget the tokens of those that nothing uses any more."""
        for account in self:
            tried = self.env["microsoft.graph.registration"].sudo().search_count([("microsoft_graph_account_id", "=", account.id)])
            if not (account.server_ids or account.incoming_ids or tried):
                account._disconnect()

    @api.model
    def _for(self, mailbox, app_only=False):
        """The account that is meant for a mailbox, a new one if there is none. It is committed: others must see it."""
        found = self.sudo().search([("name", "=ilike", mailbox), ("app_only", "=", app_only)], limit=1)
        if not found:
            found = self.sudo().create({"name": mailbox.lower(), "app_only": app_only})
            commit(self.env)
        return found


class _Tokens:
    """Asks for a token once, and again when it was refused or is about to end."""

    def __init__(self, account):
        self._account = account
        self._kept = ""
        self._until = datetime.min

    def __call__(self, refused):
        if refused or self._until <= _now():
            self._kept, self._until = self._account._token(refused)
        return self._kept


def commit(env):
    """Let transactions of their own see what this one did, and this one what they did. In a test all share one."""
    env.flush_all()
    if not modules.module.current_test:
        env.cr.commit()
    env.invalidate_all()


def _forget(note):
    raise AssertionError("this conversation has nothing to commit")


def _now():
    return datetime.utcnow()
