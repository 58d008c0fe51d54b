"""What became of a copy, in Odoo's own words: its kind of failure and the reason that people read."""

from mailroom_core.model import Failed, Held, Outcome, Unknown

_TYPES = {"ErrorSendAsDenied": "mail_from_invalid", "ErrorInvalidRecipients": "mail_email_invalid"}
OF_AN_ADDRESS = frozenset({"mail_email_invalid", "mail_email_missing"})
CONNECTION = "mail_smtp"
"""Something is wrong with the account: what failed by it may be sent once it is connected again."""


def failure_type(outcome: Outcome) -> str:
    """One of `mail.mail.failure_type`. A reply that Odoo itself has made bears it as its name."""
    if isinstance(outcome, Unknown):
        return "unknown"
    if outcome.reply.name.startswith("mail_") or outcome.reply.name == "unknown":
        return outcome.reply.name
    if isinstance(outcome, Failed) and outcome.bad_address:
        return "mail_email_invalid"
    if isinstance(outcome, Held) and outcome.lane:
        return CONNECTION
    return _TYPES.get(outcome.reply.name, "unknown")


def reason(outcome: Outcome) -> str:
    return outcome.why if isinstance(outcome, Unknown) else outcome.reply.text
