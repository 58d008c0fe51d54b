"""The incoming server "Microsoft Graph".

Odoo's own loop marks a message as handled also when its processing has failed, and so loses it. Here it stays unread in the mailbox, is
tried again, and after some failures set aside where the administrator sees it (`microsoft_graph_incoming`).
"""

import logging
import tempfile
from pathlib import Path

from odoo import _, api, fields, models
from odoo.addons.microsoft_graph_mail.driver.turn import turn
from odoo.exceptions import UserError
from psycopg2.extensions import TransactionRollbackError

from mailroom_core.errors import VaultError
from mailroom_core.model import After, Deferred, NotConvertible, NotThere
from mailroom_core.providers.graph import receiving

_logger = logging.getLogger(__name__)

BATCH = 50
LARGEST_PAGE = 1000


class FetchmailServer(models.Model):
    _name = "fetchmail.server"
    _inherit = ["fetchmail.server", "microsoft.graph.server"]

    server_type = fields.Selection(
        selection_add=[("microsoft_graph", "Microsoft Graph")],
        ondelete={"microsoft_graph": lambda servers: servers._microsoft_graph_retire()},
    )
    microsoft_graph_folder = fields.Char("Folder", default="Inbox", help="Its name as you see it; a folder in another one: Inbox/Invoices.")
    microsoft_graph_after = fields.Selection(
        [(After.READ.value, "Mark as read"), (After.MOVE.value, "Move to a folder"), (After.DELETE.value, "Delete")],
        "Afterwards",
        default=After.READ.value,
        help="What becomes of a message in the mailbox once it is safe in Odoo.",
    )
    microsoft_graph_move_to = fields.Char("Move to", default="Archive")
    microsoft_graph_aside_count = fields.Integer("Set aside", compute="_compute_microsoft_graph_aside_count")

    microsoft_graph_subscription_ids = fields.One2many("microsoft.graph.subscription", "server_id", groups="base.group_system")
    microsoft_graph_told = fields.Char("New mail", compute="_compute_microsoft_graph_told", groups="base.group_system")

    def _microsoft_graph_is_ours(self):
        return self.server_type == "microsoft_graph"

    def _microsoft_graph_retire(self):
        """Without the add-on: archived, not confirmed, and of a type that Odoo knows."""
        self.with_context(active_test=False).write({"active": False, "state": "draft", "server_type": "local"})

    def _compute_microsoft_graph_aside_count(self):
        for server in self:
            domain = [("server_id", "=", server.id), ("state", "=", "aside")]
            server.microsoft_graph_aside_count = self.env["microsoft.graph.incoming"].sudo().search_count(domain)

    @api.depends("server_type")
    def _compute_server_type_info(self):
        ours = self.filtered(lambda server: server._microsoft_graph_is_ours())
        ours.server_type_info = _("Mail is fetched from Microsoft 365 or Outlook.com by Microsoft Graph, without IMAP.")
        super(FetchmailServer, self - ours)._compute_server_type_info()

    @api.onchange("server_type", "is_ssl", "object_id")
    def onchange_server_type(self):
        super().onchange_server_type()
        if self._microsoft_graph_is_ours():
            self.server, self.port, self.is_ssl, self.password = False, 443, True, False

    def _compute_microsoft_graph_told(self):
        """How soon new mail is here."""
        is_on = self.env["microsoft.graph.subscription"]._is_on()
        for server in self:
            row = server.microsoft_graph_subscription_ids
            if not is_on or not row:
                server.microsoft_graph_told = False
            elif row.problem:
                server.microsoft_graph_told = _("Every five minutes; Microsoft does not tell of it: %s", row.problem)
            else:
                server.microsoft_graph_told = _("At once: Microsoft tells Odoo of it.")

    def write(self, vals):
        """Nobody is told for a server that fetches no more, or from elsewhere."""
        written = super().write(vals)
        if vals.keys() & {"active", "state", "server_type"}:
            stopped = self.filtered(lambda server: not (server.active and server.state == "done" and server._microsoft_graph_is_ours()))
            stopped.sudo().microsoft_graph_subscription_ids._forget()
        return written

    def unlink(self):
        self.sudo().microsoft_graph_subscription_ids._end()
        return super().unlink()

    def action_microsoft_graph_aside(self):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id("microsoft_graph_mail.action_microsoft_graph_incoming")
        return {**action, "domain": [("server_id", "=", self.id)], "context": {}}

    # Connecting

    def button_confirm_login(self):
        ours = self.filtered(lambda server: server._microsoft_graph_is_ours())
        for server in ours:
            server._microsoft_graph_confirm()
        return super(FetchmailServer, self - ours).button_confirm_login()

    def _microsoft_graph_confirm(self):
        """Whether the folders are there and may be read."""
        account, mailbox = self._microsoft_graph_path()
        try:
            with account._turn(self._microsoft_graph_address()):
                folder = self._microsoft_graph_folder_id(account, mailbox, self.microsoft_graph_folder)
                found = account._run(receiving.look_into(mailbox, folder))
                if self.microsoft_graph_after == After.MOVE.value:
                    self._microsoft_graph_folder_id(account, mailbox, self.microsoft_graph_move_to)
        except VaultError as problem:
            raise UserError(str(problem)) from None
        if not isinstance(found, receiving.Folder):
            raise self._microsoft_graph_trouble(found)
        self.write({"state": "done"})

    def _microsoft_graph_folder_id(self, account, mailbox, path):
        """Raises UserError if there is no such folder, or nobody tells."""
        found = account._run(receiving.folder_id(mailbox, path or "Inbox"))
        if isinstance(found, NotThere):
            raise UserError(_("There is no folder “%s” in the mailbox. Make it there, or enter another one.", path))
        if not isinstance(found, str):
            raise self._microsoft_graph_trouble(found)
        return found

    # Fetching

    def _fetch_mail(self, batch_limit=BATCH):
        ours = self.filtered(lambda server: server._microsoft_graph_is_ours())
        problem = super(FetchmailServer, self - ours)._fetch_mail(batch_limit) if self - ours else None
        for server in ours.with_context(fetchmail_cron_running=True):
            if not server._microsoft_graph_locked().filtered_domain([("state", "=", "done")]):
                _logger.info("Microsoft Graph: incoming server %s is being fetched from elsewhere", server.id)
                continue
            trouble = server._microsoft_graph_fetch(batch_limit)
            problem = trouble or problem
            server._microsoft_graph_note(trouble)
            self.env.cr.commit()
            if not self.env["ir.cron"]._commit_progress(1):
                break
        return problem

    def _microsoft_graph_locked(self):
        """Itself, if nobody else is at it, or was until this moment."""
        try:
            return self.try_lock_for_update(allow_referencing=True)
        except TransactionRollbackError:
            self.env.cr.rollback()
            return self.browse()

    def _microsoft_graph_note(self, trouble):
        values = {"date": fields.Datetime.now(), "error_date": False, "error_message": False}
        if trouble:
            _logger.warning("Microsoft Graph: incoming server %s: %s", self.id, trouble)
            values |= {"error_date": self.error_date or fields.Datetime.now(), "error_message": str(trouble)}
        self.write(values)

    def _microsoft_graph_fetch(self, most):
        """An exception, if something stood in the way."""
        try:
            account, mailbox = self._microsoft_graph_path()
            if self._microsoft_graph_waits_until():
                return None
            with self.env.registry.cursor() as cr, turn(cr, self._microsoft_graph_address()) as has_turn:
                if has_turn:
                    self._microsoft_graph_read(account, mailbox, most)
            subscriptions = self.env["microsoft.graph.subscription"].sudo()
            if subscriptions._is_on():
                subscriptions._keep(self, account, mailbox)
        except VaultError as problem:
            return UserError(str(problem))
        except UserError as problem:
            return problem
        return None

    def _microsoft_graph_read(self, account, mailbox, most):
        """The oldest unread messages, until there is none or the time is over. Raises UserError."""
        folder = self._microsoft_graph_folder_id(account, mailbox, self.microsoft_graph_folder)
        seen = set(self.env["microsoft.graph.incoming"]._aside(self))
        while most > 0:
            page = account._run(receiving.unread(mailbox, folder, most=min(receiving.PAGE + len(seen), LARGEST_PAGE)))
            if not isinstance(page, tuple):
                raise self._microsoft_graph_trouble(page)
            new = [message for message in page if message.remote.remote_id not in seen][:most]
            for message in new:
                seen.add(message.remote.remote_id)
                self._microsoft_graph_take(account, mailbox, message)
                if not self.env["ir.cron"]._commit_progress(1):
                    return
            if not new:
                return
            most -= len(new)

    def _microsoft_graph_trouble(self, trouble):
        """What stands in the way, as an exception; where Microsoft wants a pause, everybody makes one."""
        if isinstance(trouble, Deferred) and trouble.lane:
            self._microsoft_graph_pause(trouble)
        return UserError(trouble.reply.text if hasattr(trouble, "reply") else _("The folder is not there any more."))

    def _microsoft_graph_take(self, account, mailbox, message):
        """One message: fetch, process, commit, and only then let the mailbox forget it. Raises UserError if Graph can't be asked."""
        incoming = self.env["microsoft.graph.incoming"]
        with tempfile.TemporaryDirectory() as folder:
            into = Path(folder) / "message.eml"
            trouble = account._run(receiving.fetch(mailbox, message.remote.remote_id, str(into)))
            if isinstance(trouble, NotThere):
                return
            if isinstance(trouble, NotConvertible):
                incoming._failed(self, message, trouble.reply.text, at_once=True)
                return
            if trouble is not None:
                raise self._microsoft_graph_trouble(trouble)
            if not incoming._process(self, message, into):
                return
        self._microsoft_graph_acknowledge(account, mailbox, message)

    def _microsoft_graph_acknowledge(self, account, mailbox, message):
        after = After(self.microsoft_graph_after)
        folder = self._microsoft_graph_folder_id(account, mailbox, self.microsoft_graph_move_to) if after is After.MOVE else ""
        trouble = account._run(receiving.acknowledge(mailbox, message.remote.remote_id, after, folder))
        if trouble is not None:
            raise self._microsoft_graph_trouble(trouble)
        self.env["microsoft.graph.incoming"]._acknowledged(self, message)
