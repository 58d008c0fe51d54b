"""A mailbox at Microsoft, as its limits count: whether it may be asked anything now.

Microsoft's limits are those of one mailbox (`mailroom_core`'s `limits`), so a pause is the mailbox's as well, whichever account and
server it came from; the other mailboxes of an account go on. Written in transactions of their own: everybody must see a pause at once.
"""

import random
from datetime import datetime

from odoo import api, fields, models

from mailroom_core.policy import retry

from .own_transaction import own_transaction


class MicrosoftGraphLane(models.Model):
    _name = "microsoft.graph.lane"
    _description = "Mailbox at Microsoft"
    _rec_name = "mailbox"
    _order = "mailbox"

    mailbox = fields.Char(required=True, readonly=True)
    paused_until = fields.Datetime("Waits until", readonly=True, help="Microsoft wants us to slow down until then.")
    paused_why = fields.Char("Why it waits", readonly=True)

    _mailbox_uniq = models.Constraint("UNIQUE(mailbox)", "A mailbox has one lane.")

    @api.model
    def _pause(self, mailbox, outcome):
        """Microsoft wants us to slow down, or can't be asked: nobody sends from this mailbox or reads it until then. Of two pauses the
        longer one counts."""
        until = datetime.utcnow() + retry.wait(1, outcome.retry_after, random.random())  # noqa: S311
        with own_transaction(self.env) as cr:
            cr.execute(
                "INSERT INTO microsoft_graph_lane (mailbox, paused_until, paused_why) VALUES (%s, %s, %s) ON CONFLICT (mailbox) DO UPDATE"
                " SET paused_until = excluded.paused_until, paused_why = excluded.paused_why"
                " WHERE coalesce(microsoft_graph_lane.paused_until, '-infinity') < excluded.paused_until",
                [mailbox, until, outcome.reply.text],
            )
            cr.commit()
        self.invalidate_model()

    @api.model
    def _free(self, mailboxes):
        """Somebody has connected it anew: what held it up may be over."""
        with own_transaction(self.env) as cr:
            cr.execute("UPDATE microsoft_graph_lane SET paused_until = NULL, paused_why = NULL WHERE mailbox = ANY(%s)", [list(mailboxes)])
            cr.commit()
        self.invalidate_model()

    @api.model
    def _waits_until(self, mailbox):
        """Until when nothing may be asked of it; None if it may."""
        with self.env.registry.cursor() as cr:
            cr.execute("SELECT paused_until FROM microsoft_graph_lane WHERE mailbox = %s", [mailbox])
            row = cr.fetchone()
        return row[0] if row and row[0] and row[0] > datetime.utcnow() else None
