"""Mail that a gateway has pushed: each once, with a typed answer."""

import json
import logging
import zlib
from datetime import timedelta

from odoo import SUPERUSER_ID, api, fields, models, tools
from odoo.addons.microsoft_graph_mail.driver.arrival import LeftBehind, kept_apart, on_disk, whole

from mailroom_core.errors import MimeError
from mailroom_core.mime.bounce import read_report
from mailroom_core.mime.incoming import head as read_head
from mailroom_core.mime.index import index
from mailroom_core.mime.index import read_head as read_fields
from mailroom_core.mime.source import InMemory

_logger = logging.getLogger(__name__)

KEPT = timedelta(days=14)
_LOCK = 0x6D677069
"""A class of advisory locks of our own: two pushes of one mail come one after the other."""


class MicrosoftGraphPushed(models.Model):
    _name = "microsoft.graph.pushed"
    _description = "Mail Handed in by a Gateway"

    key = fields.Char(required=True, help="The gateway's own name for the mail.")
    answer = fields.Char(required=True)

    _key_uniq = models.Constraint("UNIQUE(key)", "A mail is handed in once.")

    @api.model
    def _take(self, path, recipients, model, key, values=None):
        """HTTP status and answer for the mail in a file. `recipients` are those of the envelope; what has one `key` is processed once.

        A record that becomes of the mail because of `model`, and not by an alias, gets the `values`.
        """
        with self.env.registry.cursor() as cr:
            lock = [_LOCK, zlib.crc32(key.encode()) - 2**31]
            cr.execute("SELECT pg_advisory_lock(%s, %s)", lock)
            cr.commit()  # what we look at from here on includes what the one before us has committed
            try:
                return self.with_env(api.Environment(cr, SUPERUSER_ID, {}))._taken(path, recipients, model, key, values)
            finally:
                cr.rollback()
                cr.execute("SELECT pg_advisory_unlock(%s, %s)", lock)
                cr.commit()

    def _taken(self, path, recipients, model, key, values):
        if known := self.search([("key", "=", key)], limit=1):
            return 200, {**json.loads(known.answer), "result": "duplicate"}
        try:
            with on_disk(path) as source:
                answer = self._processed(source, recipients, model, values)
            if answer["result"] not in ("loop", "dropped"):  # they have left nothing here: they may be judged anew
                self.create({"key": key, "answer": json.dumps(answer)})
            self.env.cr.commit()
        except ValueError as problem:
            self.env.cr.rollback()
            if "No possible route" in str(problem):
                return 422, {"result": "no_route", "text": "No alias, no record and no fallback model takes this mail"}
            return self._failed(problem)
        except Exception as problem:  # noqa: BLE001 (any add-on may raise anything)
            self.env.cr.rollback()
            return self._failed(problem)
        return 200, answer

    def _failed(self, problem):
        _logger.warning("Microsoft Graph: a mail that was pushed can't be processed", exc_info=True)
        return 500, {"result": "error", "text": tools.exception_to_unicode(problem)}

    def _processed(self, source, recipients, model, values):
        incoming, thread, messages = self.env["microsoft.graph.incoming"], self.env["mail.thread"], self.env["mail.message"]
        try:
            root = index(source)
            head = read_head(read_fields(source, root))
            report = read_report(source, root, head)
            if report is not None and report.failures and thread._microsoft_graph_bounced(report, whole(source)):
                return {"result": "bounced"}
            small, apart = kept_apart(source, root)
            raw = incoming._as_odoo_knows_it(InMemory(small), head, "", recipients)
        except MimeError as problem:
            raise UserWarning(f"The mail can't be read: {problem}") from None
        if head.message_id and messages.search_count([("message_id", "=", head.message_id)], limit=1):
            return {"result": "duplicate"}
        told = []
        thread = thread.with_context(microsoft_graph_told=told)
        try:
            record = thread.with_context(microsoft_graph_apart=apart).message_process(model, raw, custom_values=values)
        except LeftBehind:
            raw = incoming._as_odoo_knows_it(source, head, "", recipients)
            record = thread.message_process(model, raw, custom_values=values)
        if record is None:
            return {"result": "loop"}
        if not record:
            return {"result": told[-1] if told else "dropped"}
        made = messages.search([("res_id", "=", record), ("message_type", "=", "email")], order="id desc", limit=1)
        opened = self.env[made.model].browse(record).create_date >= self.env.cr.now().replace(microsecond=0)
        return {"result": "created" if opened else "updated", "model": made.model, "id": record}

    @api.autovacuum
    def _gc_pushed(self):
        self.sudo().search([("create_date", "<", fields.Datetime.now() - KEPT)]).unlink()
