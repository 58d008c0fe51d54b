"""Microsoft tells Odoo of new mail, where it can reach Odoo: one subscription for each incoming server.

A notification is a reason to look and nothing else: it makes one trigger of Odoo's own fetch cron, however many come. The rows are
written in transactions of their own, because the cron holds the server's row while it fetches.
"""

import logging
from datetime import datetime, timedelta, timezone

from odoo import _, api, fields, models
from odoo.exceptions import UserError
from odoo.tools import hmac

from mailroom_core.errors import VaultError
from mailroom_core.providers.graph import notifying, subscribing

from .app import is_safe
from .own_transaction import own_transaction

_logger = logging.getLogger(__name__)

NOTIFY = "/microsoft_graph_mail/notify"
LATER = timedelta(hours=1)
"""After trouble; meanwhile the cron fetches as it always does."""
_LOCK = 0x6D67706E


class MicrosoftGraphSubscription(models.Model):
    _name = "microsoft.graph.subscription"
    _description = "Change Notifications of Microsoft"
    _rec_name = "remote_id"

    server_id = fields.Many2one("fetchmail.server", "Incoming server", required=True, readonly=True, ondelete="cascade")
    remote_id = fields.Char("Microsoft's name for it", readonly=True)
    about = fields.Char(readonly=True, help="Account, folder and address that it was made for.")
    until = fields.Datetime(readonly=True)
    due_at = fields.Datetime(required=True, readonly=True, help="It is made, or renewed, at the first look after this.")
    problem = fields.Text(readonly=True)

    _server_uniq = models.Constraint("UNIQUE(server_id)", "A server has one subscription.")

    @api.model
    def _is_on(self):
        return self.env["microsoft.graph.app"]._setting("notifications") == "True" and is_safe(self._url())

    @api.model
    def _url(self):
        return self.env["ir.config_parameter"].sudo().get_param("web.base.url").rstrip("/") + NOTIFY

    @api.model
    def _state_of(self, owner):
        """What Microsoft sends along with each notification for this server; nobody else knows it."""
        return f"{owner}.{hmac(self.env(su=True), 'microsoft_graph_mail.notify', owner)}"

    # Being told

    @api.model
    def _hear(self, body):
        """Notifications have come: have the servers looked at that they are for, once."""
        found = notifying.read(body, self._state_of)
        if found.ignored:
            _logger.info("Microsoft Graph: %s notifications prove nothing, and were ignored", found.ignored)
        with own_transaction(self.env) as cr:
            known = [notice for notice in found.proven if self._known(cr, notice)]
            if known:
                self.with_env(self.env(cr=cr))._look()

    def _known(self, cr, notice):
        """Whether it is about a subscription that we have; what Microsoft says of the subscription itself is noted."""
        cr.execute(
            "SELECT subscription.id FROM microsoft_graph_subscription subscription JOIN fetchmail_server server"
            " ON server.id = subscription.server_id WHERE subscription.server_id = %s AND remote_id = %s AND active AND state = 'done'",
            [int(notice.owner), notice.subscription],
        )
        if not (row := cr.fetchone()):
            return False
        if notice.event == notifying.REMOVED:
            cr.execute(
                "UPDATE microsoft_graph_subscription SET remote_id = NULL, until = NULL, due_at = %s WHERE id = %s", [_now(), row[0]]
            )
        elif notice.event == notifying.REAUTHORIZE:
            cr.execute("UPDATE microsoft_graph_subscription SET due_at = %s WHERE id = %s", [_now(), row[0]])
        return True

    def _look(self):
        """One trigger of the fetch cron, unless one is waiting already; a trigger that a running cron is about to use up is locked."""
        cron = self.env.ref("mail.ir_cron_mail_gateway_action").sudo()
        self.env.cr.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if self.env.cr.fetchone()[0]:
            self.env.cr.execute(
                "SELECT 1 FROM ir_cron_trigger WHERE cron_id = %s AND call_at <= %s LIMIT 1 FOR UPDATE SKIP LOCKED", [cron.id, _now()]
            )
            if not self.env.cr.fetchone():
                cron._trigger()
                self.env.flush_all()
        self.env.cr.commit()

    # Asking to be told

    @api.model
    def _keep(self, server, account, mailbox):
        """Make or renew the subscription of a server that was just read, if it is time. Trouble is noted, and tried again."""
        about = f"{account.id} {mailbox.path} {server.microsoft_graph_folder} {self._url()}"
        row = self._row(server)
        if row and row["about"] == about and row["due_at"] > _now():
            return
        had = (row or {}).get("remote_id") or ""
        if had and row["about"] != about:
            server.microsoft_graph_subscription_ids._forget()
            had = ""
        try:
            folder = server._microsoft_graph_folder_id(account, mailbox, server.microsoft_graph_folder)
            state, now = self._state_of(str(server.id)), datetime.now(timezone.utc)
            found = account._run(subscribing.keep(mailbox, folder, had, url=self._url(), client_state=state, now=now))
        except (VaultError, UserError) as problem:
            self._note(server, about=about, problem=str(problem), due_at=_now() + LATER)
            return
        if not isinstance(found, subscribing.Subscription):
            why = found.reply.text if hasattr(found, "reply") else _("The folder is not there any more.")
            _logger.warning("Microsoft Graph: no notifications for incoming server %s: %s", server.id, why)
            self._note(server, about=about, problem=why, due_at=_now() + LATER)
            return
        until = found.until.replace(tzinfo=None)
        self._note(server, about=about, remote_id=found.id, until=until, problem=None, due_at=until - subscribing.RENEW)
        if found.id != had:  # mail may have come between the last look and now
            with own_transaction(self.env) as cr:
                self.with_env(self.env(cr=cr))._look()

    def _row(self, server):
        with own_transaction(self.env) as cr:
            cr.execute("SELECT remote_id, about, due_at FROM microsoft_graph_subscription WHERE server_id = %s", [server.id])
            return cr.dictfetchone()

    def _note(self, server, **values):
        names, changed = ", ".join(values), ", ".join(f"{name} = excluded.{name}" for name in values)
        with own_transaction(self.env) as cr:
            cr.execute(
                f"INSERT INTO microsoft_graph_subscription (server_id, {names}) VALUES (%s{', %s' * len(values)})"
                f" ON CONFLICT (server_id) DO UPDATE SET {changed}",
                [server.id, *values.values()],
            )
            cr.commit()
        self.invalidate_model()

    def _end(self):
        """Be told no more. Where Microsoft can't be asked, it ends by itself within six days, and what it tells is ignored."""
        for row in self.sudo():
            account = row.server_id.microsoft_graph_account_id
            if row.remote_id and account:
                try:
                    mailbox = account._mailbox(row.server_id._microsoft_graph_address())
                    trouble = account._run(subscribing.unsubscribe(mailbox, row.remote_id))
                except VaultError as problem:
                    trouble = problem
                if trouble is not None:
                    _logger.info("Microsoft Graph: the subscription of incoming server %s ends by itself: %s", row.server_id.id, trouble)

    def _forget(self):
        """Be told no more, and know nothing of it."""
        self._end()
        if self:
            with own_transaction(self.env) as cr:
                cr.execute("DELETE FROM microsoft_graph_subscription WHERE id = ANY(%s)", [self.ids])
                cr.commit()
            self.invalidate_model()


def _now():
    return datetime.utcnow()
