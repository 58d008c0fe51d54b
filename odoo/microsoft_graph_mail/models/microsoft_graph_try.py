"""The add-on's own memory of what it has tried to send.

A try is committed before the first byte leaves, and the draft's immutable id before `/send`, in transactions of their own: what becomes
of the mail's own transaction changes nothing about it. There is no foreign key to the mail, which may be deleted.
"""

import json
import secrets
from datetime import timedelta

from odoo import api, fields, models

from mailroom_core.inbound import Original
from mailroom_core.model import Deferred, Failed, Held, Outcome, Reply, Sent, Unknown
from mailroom_core.providers.graph.limits import RECIPIENTS_PER_DAY

from .failures import failure_type, reason

KEPT = timedelta(days=400)
"""How long answers and bounces are still matched to what was sent."""


class MicrosoftGraphTry(models.Model):
    _name = "microsoft.graph.try"
    _description = "Sending by Microsoft Graph"
    _order = "id desc"
    _rec_name = "message_id"

    mail_id = fields.Integer("Mail", readonly=True, help="Number of the mail in the queue; it may have been deleted since.")
    mail_message_id = fields.Integer("Message", readonly=True, index=True)
    message_id = fields.Char("Message-Id", readonly=True, index=True)
    recipients = fields.Char(required=True, readonly=True, help="Those of the envelope.")
    account_id = fields.Many2one("microsoft.graph.account", "Microsoft account", readonly=True, ondelete="set null")
    mailbox = fields.Char(readonly=True)
    marker = fields.Char(required=True, readonly=True, index=True)
    can_look = fields.Boolean(readonly=True, help="It goes by a draft, whose fate Graph tells.")
    facts = fields.Text(readonly=True)
    internet_message_id = fields.Char("Message-Id at Microsoft", readonly=True, index=True)
    conversation_id = fields.Char("Conversation", readonly=True, index=True)
    state = fields.Selection(
        [
            ("open", "Not known yet"),
            ("sent", "Sent"),
            ("failed", "Failed"),
            ("told", "Failed, and its sender was told"),
            ("gone", "Nothing was sent"),
        ],
        required=True,
        readonly=True,
        index=True,
    )
    looks = fields.Integer(readonly=True, help="How often Graph was asked in vain what became of it.")
    failure_type = fields.Char(readonly=True)
    reason = fields.Text(readonly=True)

    _mail_recipients_idx = models.Index("(mail_id, recipients)")
    _mailbox_idx = models.Index("(mailbox, create_date)")

    @api.model
    def _reported(self, original: Original):
        """The try that a report is about: by our marker, else by any of the Message-IDs, the surest first."""
        if original.marker and (found := self.search([("marker", "=", original.marker)], limit=1)):
            return found
        for name in original.ids:
            if found := self.search(["|", ("message_id", "=", name), ("internet_message_id", "=", name)], limit=1):
                return found
        return self.browse()

    @api.model
    def _ours(self, names):
        """Message-Ids of the provider's, and those under which Odoo knows the same mails."""
        found = self.search([("internet_message_id", "in", list(names))])
        return {each.internet_message_id: each.message_id for each in found if each.internet_message_id != each.message_id}

    @api.model
    def _of_conversation(self, conversation_id, sender):
        """The Message-Id of our last mail in a conversation of the mailbox, if the sender has got it; else empty. Conversations alone
        prove nothing: Exchange has been seen to give one id to unrelated mails (microsoft-graph-docs#869)."""
        if not conversation_id or not sender:
            return ""
        found = self.search([("conversation_id", "=", conversation_id), ("state", "=", "sent")])
        return next((each.message_id for each in found if sender.lower() in each.recipients.split()), "")

    @api.autovacuum
    def _gc_tries(self):
        old = [("create_date", "<", fields.Datetime.now() - KEPT), ("state", "!=", "open")]
        self.sudo().search(old, limit=100_000).unlink()


class Journal:
    """The tries of one mail, written through a cursor of its own."""

    def __init__(self, cr, *, mail, account, mailbox, can_look):
        self._cr = cr
        self._mail = mail
        self._account = account
        self._mailbox = mailbox
        self._can_look = can_look

    def entry(self, message_id, recipients):
        """The last try of the copy for these recipients, or a new one that has not begun."""
        key = " ".join(sorted(address.lower() for address in recipients))
        self._cr.execute(
            "SELECT id, marker, can_look, facts, state, looks, failure_type, reason FROM microsoft_graph_try"
            " WHERE mail_id = %s AND recipients = %s ORDER BY id DESC LIMIT 1",
            [self._mail.id, key],
        )
        new = {
            "mail_id": self._mail.id,
            "mail_message_id": self._mail.mail_message_id.id,
            "message_id": message_id,
            "recipients": key,
            "account_id": self._account.id,
            "mailbox": self._mailbox,
            "can_look": self._can_look,
        }
        return Entry(self._cr, new, self._cr.dictfetchone())

    def told(self):
        """The sender knows of what failed: the next time it is tried anew."""
        self._cr.execute("UPDATE microsoft_graph_try SET state = 'told' WHERE mail_id = %s AND state = 'failed'", [self._mail.id])
        self._cr.commit()

    def tries(self):
        """How often the copy that was tried most was tried, or looked for."""
        self._cr.execute(
            "SELECT max(times) FROM (SELECT count(*) + sum(looks) AS times FROM microsoft_graph_try WHERE mail_id = %s GROUP BY recipients)"
            " AS copies",
            [self._mail.id],
        )
        return int(self._cr.fetchone()[0] or 1)

    def day_is_full(self):
        """Exchange counts the recipients of a mailbox over a day."""
        self._cr.execute(
            "SELECT coalesce(sum(length(recipients) - length(replace(recipients, ' ', '')) + 1), 0) FROM microsoft_graph_try"
            " WHERE mailbox = %s AND state IN ('open', 'sent') AND create_date > now() AT TIME ZONE 'UTC' - interval '1 day'",
            [self._mailbox],
        )
        return self._cr.fetchone()[0] >= RECIPIENTS_PER_DAY


class Entry:
    """One copy of a mail: its last try."""

    def __init__(self, cr, new, row):
        self._cr = cr
        self._new = new
        self._row = row or {"state": "gone"}
        self.facts = json.loads(self._row.get("facts") or "{}")

    @property
    def is_open(self):
        return self._row["state"] == "open"

    @property
    def marker(self):
        return self._row["marker"]

    @property
    def can_look(self):
        return self._row["can_look"]

    @property
    def looks(self):
        return self._row.get("looks") or 0

    @property
    def known(self) -> Outcome | None:
        """What became of it, if that is settled."""
        if self._row["state"] == "sent":
            return Sent(Reply(0, "sent before"))
        if self._row["state"] == "failed":
            return Failed(Reply(0, self._row["reason"] or "", name=self._row["failure_type"] or "unknown"))
        return None

    def begin(self):
        """Committed before anything leaves. The marker tells everybody's tries apart and says nothing."""
        values = {**self._new, "marker": secrets.token_hex(12), "facts": "{}", "state": "open", "looks": 0}
        self._cr.execute(
            f"INSERT INTO microsoft_graph_try ({', '.join(values)}, create_date, write_date)"
            f" VALUES ({', '.join(['%s'] * len(values))}, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC') RETURNING id",
            list(values.values()),
        )
        values["id"] = self._cr.fetchone()[0]
        self._cr.commit()
        self._row, self.facts = values, {}

    def remember(self, note):
        """What must be committed before the conversation goes on."""
        self.facts.update(note.facts)
        names = {name: self.facts[name] for name in ("internet_message_id", "conversation_id") if name in self.facts}
        self._update({**names, "facts": json.dumps(self.facts)})

    def settle(self, outcome: Outcome, *, after_look=False):
        """What is not sent for certain, and may still be, stays open: the next run asks Graph first."""
        match outcome:
            case Sent():
                self._update({"state": "sent", "failure_type": None, "reason": None})
            case Failed() | Held():
                self._update({"state": "failed", "failure_type": failure_type(outcome), "reason": reason(outcome)})
            case Deferred():
                lies_ready = bool(self.facts.get("draft_id")) and self.facts.get("ready") == "yes"
                self._update({"state": "open" if lies_ready else "gone", "reason": reason(outcome)})
            case Unknown(_, looked):
                self._update({"state": "open", "reason": reason(outcome), "looks": self.looks + bool(after_look and looked)})

    def _update(self, values):
        self._row.update(values)
        assignments = ", ".join(f"{name} = %s" for name in values)
        self._cr.execute(
            f"UPDATE microsoft_graph_try SET {assignments}, write_date = now() AT TIME ZONE 'UTC' WHERE id = %s",
            [*values.values(), self._row["id"]],
        )
        self._cr.commit()
