"""What stands in the place of an SMTP connection: Odoo's mail queue, and everything else that sends, hands its mails to it."""

import secrets

from odoo.addons.microsoft_graph_mail.driver import letter

from mailroom_core.errors import VaultError
from mailroom_core.flow import run
from mailroom_core.model import Deferred, Held, Outcome, Reply, Sent, Unknown
from mailroom_core.oauth.scopes import Tier
from mailroom_core.providers.graph import looking

from .microsoft_graph_try import Entry, Journal

LOOKS = 6
"""How often Graph is asked what became of a mail, minutes apart, before a person is."""
_LOOK_YOURSELF = "Look into the Sent Items of the mailbox: if the mail is not there, press Retry"


class NotSent(Exception):
    """For who sends without the mail queue: the mail did not leave, or nobody knows."""


class GraphSession:
    """One outgoing server. While the mail queue sends a mail, `journal` is set: then nothing is raised, `outcome` says what became of
    it, and what was tried before counts; if something breaks, `problem` is what. Without, a mail is sent at once, as by SMTP."""

    def __init__(self, server, smtp_from):
        self.server = server.sudo()
        self.from_filter = server.from_filter
        self.smtp_from = smtp_from
        self.account, self.mailbox = self.server._microsoft_graph_path()
        self.tier = Tier(self.account.tier or Tier.SEND.value)
        self.journal: Journal | None = None
        self.outcome: Outcome | None = None
        self.problem: Exception | None = None
        self.files = {}
        self._http = self.account._http()

    @property
    def can_look(self):
        """Whether Graph tells what became of what it sends."""
        return self.tier is Tier.READ_WRITE

    def send_message(self, message, smtp_from, smtp_to_list):
        raw = message.as_bytes()
        if self.journal is None:
            self._send_alone(raw, smtp_from, smtp_to_list)
        else:
            try:
                self.outcome = self._send(raw, smtp_from, smtp_to_list, self.journal.entry(message["Message-Id"], smtp_to_list))
            except Exception as problem:
                self.problem = problem  # Odoo makes every one an error of the mail
                raise

    def quit(self):
        """Nothing to close: connections are kept for the next mail."""

    close = quit

    def _send(self, raw, smtp_from, recipients, entry: Entry) -> Outcome:
        """Never sent twice: what an earlier try left open is cleared up at Graph first."""
        if (known := entry.known) is not None:
            return known
        try:
            if entry.is_open:
                outcome = self._resolved(entry, recipients)
                entry.settle(outcome, after_look=True)
                if not _begins_anew(outcome):
                    return outcome
            entry.begin()
            outcome = self._conversation(raw, smtp_from, recipients, entry.marker, entry.remember)
        except VaultError as problem:
            outcome = _no_token(problem)
        if isinstance(outcome, Unknown) and not entry.can_look:
            outcome = Held(Reply(0, f"{outcome.why}. With the permission Mail.Send alone nobody can ask. {_LOOK_YOURSELF}"))
        entry.settle(outcome)
        return outcome

    def _resolved(self, entry: Entry, recipients) -> Outcome:
        if not entry.can_look:
            return Held(Reply(0, f"The sending was cut off, and with the permission Mail.Send alone nobody can ask. {_LOOK_YOURSELF}"))
        outcome = run(looking.resolve(self.mailbox, entry.facts, entry.marker, recipients), self._http, entry.remember)
        if isinstance(outcome, Unknown) and entry.looks + 1 >= LOOKS:
            return Held(Reply(0, f"Microsoft gave no answer, and the mail is {outcome.why}. {_LOOK_YOURSELF}"))
        return outcome

    def _send_alone(self, raw, smtp_from, recipients):
        """Inside somebody's transaction, with nothing to remember: as with SMTP, a crash may send it again."""
        try:
            with self.account._turn(self.server._microsoft_graph_address()):
                outcome = self._conversation(raw, smtp_from, recipients, secrets.token_hex(12), lambda note: None)
        except VaultError as problem:
            outcome = _no_token(problem)
        if not isinstance(outcome, Sent):
            raise NotSent(outcome.why if isinstance(outcome, Unknown) else str(outcome.reply))

    def _conversation(self, raw, smtp_from, recipients, marker, remember) -> Outcome:
        flow = letter.send(self.mailbox, raw, smtp_from, recipients, tier=self.tier, marker=marker, files=self.files)
        return run(flow, self._http, remember)


def _begins_anew(outcome: Outcome) -> bool:
    """The core's word for: nothing was sent of it, and nothing is left of it."""
    return isinstance(outcome, Deferred) and outcome.retry_after is not None and not outcome.retry_after


def _no_token(problem: VaultError) -> Outcome:
    reply = Reply(0, str(problem))
    return Deferred(reply, lane=True) if problem.transient else Held(reply, lane=True)
