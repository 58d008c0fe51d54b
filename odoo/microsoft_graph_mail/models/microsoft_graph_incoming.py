"""Messages on their way in: processed but not yet marked in the mailbox, failed, or set aside."""

import logging
from contextlib import suppress

from odoo import _, api, fields, models, tools
from odoo.addons.microsoft_graph_mail.driver.arrival import LeftBehind, kept_apart, on_disk, whole
from odoo.exceptions import UserError
from psycopg2.extensions import TransactionRollbackError

from mailroom_core.errors import MimeError, VaultError
from mailroom_core.mime.bounce import read_report
from mailroom_core.mime.incoming import head as read_head
from mailroom_core.mime.incoming import read_head_of
from mailroom_core.mime.index import index
from mailroom_core.mime.index import read_head as read_head_fields
from mailroom_core.mime.restore import restored
from mailroom_core.mime.source import InMemory
from mailroom_core.model import Arrived, Remote

from .own_transaction import own_transaction

_logger = logging.getLogger(__name__)

TRIES = 3
"""How often a message is tried before it is set aside."""


class MicrosoftGraphIncoming(models.Model):
    _name = "microsoft.graph.incoming"
    _description = "Message on its Way In"
    _order = "id desc"
    _rec_name = "subject"

    server_id = fields.Many2one("fetchmail.server", "Incoming server", required=True, readonly=True, ondelete="cascade")
    remote_id = fields.Char(required=True, readonly=True)
    internet_message_id = fields.Char("Message-Id", readonly=True)
    conversation_id = fields.Char(readonly=True)
    received_at = fields.Datetime("Received", readonly=True)
    sender = fields.Char("From", readonly=True)
    subject = fields.Char(readonly=True)
    state = fields.Selection(
        [("done", "Processed"), ("retry", "Tried again"), ("aside", "Set aside")], required=True, readonly=True, index=True
    )
    failures = fields.Integer(readonly=True)
    reason = fields.Text("What went wrong", readonly=True)

    _remote_uniq = models.Constraint("UNIQUE(server_id, remote_id)", "A message is known once.")

    @api.model
    def _aside(self, server):
        return self.sudo().search([("server_id", "=", server.id), ("state", "=", "aside")]).mapped("remote_id")

    @api.model
    def _known(self, server, message):
        return self.sudo().search([("server_id", "=", server.id), ("remote_id", "=", message.remote.remote_id)], limit=1)

    @api.model
    def _process(self, server, message: Arrived, path):
        """Hand the message in a file to Odoo, in a transaction of its own that also remembers it. Whether it is safe now."""
        with self.env.registry.cursor() as cr, on_disk(path) as source:
            env = self.with_env(self.env(cr=cr)).env
            here, server = env["microsoft.graph.incoming"], server.with_env(env)
            known = here._known(server, message)
            if known.state == "done":
                return True
            try:
                here._hand_over(server, source, message.remote.conversation_id)
                known.unlink()
                here.sudo().create({**_names(server, message), "state": "done"})
                cr.commit()
            except TransactionRollbackError:
                # Somebody else has changed the record meanwhile: it says nothing about the message, which the next run takes again.
                _logger.info("Microsoft Graph: a message of incoming server %s is processed by the next run", server.id)
                return False
            except Exception as problem:
                _logger.warning("Microsoft Graph: a message of incoming server %s can't be processed", server.id, exc_info=True)
                cr.rollback()
                here._failed(server, message, tools.exception_to_unicode(problem), source)
                cr.commit()
                return False
        return True

    @api.model
    def _hand_over(self, server, source, conversation_id):
        """A report about mail of ours turns its envelope red; everything else is a mail as any other."""
        thread = self.env["mail.thread"].with_context(default_fetchmail_server_id=server.id)
        options = {"save_original": server.original, "strip_attachments": not server.attach}
        try:
            root = index(source)
            head = read_head(read_head_fields(source, root))
            report = read_report(source, root, head)
            if report is not None and report.failures and thread._microsoft_graph_bounced(report, whole(source)):
                return
            if not server.original:
                small, apart = kept_apart(source, root)
                known = self._as_odoo_knows_it(InMemory(small), head, conversation_id)
                with suppress(LeftBehind):
                    thread.with_context(microsoft_graph_apart=apart).message_process(server.object_id.model, known, **options)
                    return
            raw = self._as_odoo_knows_it(source, head, conversation_id)
        except MimeError as problem:
            _logger.info("Microsoft Graph: incoming server %s: Odoo reads a message that we can't: %s", server.id, problem)
            raw = whole(source)
        thread.message_process(server.object_id.model, raw, **options)

    @api.model
    def _as_odoo_knows_it(self, source, head, conversation_id, recipients=None):
        """The mail with Odoo's Message-Ids in the place of the provider's, so that an answer finds its record; and with the envelope's
        recipients, where they are known. Raises MimeError."""
        tries = self.env["microsoft.graph.try"].sudo()
        ids = tries._ours(head.ids)
        known = self.env["mail.message"].sudo().search_count([("message_id", "in", [ids.get(each, each) for each in head.ids])], limit=1)
        answers = "" if known or not head.ids else tries._of_conversation(conversation_id, head.sender)
        if not ids and not answers and not recipients:
            return whole(source)
        return b"".join(restored(source, ids, answers=answers, delivered_to=recipients or None).chunks())

    @api.model
    def _failed(self, server, message, reason, source=None, at_once=False):
        known = self._known(server, message)
        failures = known.failures + 1
        state = "aside" if at_once or failures >= TRIES else "retry"
        values = {**_names(server, message), **(_head(source) if source else {}), "state": state, "failures": failures, "reason": reason}
        if known:
            known.write(values)
        else:
            self.sudo().create(values)

    @api.model
    def _acknowledged(self, server, message):
        with own_transaction(self.env) as cr:
            self.with_env(self.env(cr=cr))._known(server, message).unlink()

    def action_again(self):
        """Process them once more, now."""
        self.check_access("read")
        for row in self.sudo():
            server = row.server_id
            account, mailbox = server._microsoft_graph_path()
            message = Arrived(Remote(row.remote_id, row.internet_message_id or "", row.conversation_id or ""), row.received_at)
            try:
                with account._turn(server._microsoft_graph_address()):
                    server._microsoft_graph_take(account, mailbox, message)
            except VaultError as problem:
                raise UserError(str(problem)) from None
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "message": _("Processed; what failed again is still here."),
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }


def _names(server, message):
    return {
        "server_id": server.id,
        "remote_id": message.remote.remote_id,
        "internet_message_id": message.remote.internet_message_id,
        "conversation_id": message.remote.conversation_id,
        "received_at": message.received_at.replace(tzinfo=None) if message.received_at else False,
    }


def _head(source):
    """By what a person recognises it."""
    try:
        head = read_head_of(source)
    except MimeError:
        return {}
    return {"sender": head.sender, "subject": head.subject}
