"""What we say to those whose mail we don't take: in an SMTP session as a reply, else as a mail.

The words are for the outside: what happened and what to do, and nothing of who else may write or what exists here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mailroom_core.inbound import ANSWER_TAG, Head


class AnswerKind(Enum):
    """Code, enhanced code (RFC 3463) and words for the sender."""

    CATCHALL = (550, "5.7.1", "This address is only for answers to our mail. Please write to one of our other addresses")
    NOT_ALLOWED = (550, "5.7.1", "This address does not take mail from you. Please reach the person that you know there in another way")
    NOT_AUTHENTICATED = (
        550,
        "5.7.26",
        "This address only takes mail whose sender is proven (DMARC, DKIM or SPF). Please show this to your administrator",
    )
    MISCONFIGURED = (451, "4.3.5", "This address can't take mail at present, which is no fault of yours. Please try again later")
    TOO_MANY = (550, "5.7.0", "You have sent too many mails in a short time. Please wait some hours, and look whether a program sent them")
    LATER = (450, "4.7.1", "You have sent too many mails in a short time. Please try again later: they are taken then")
    ROUND_IN_CIRCLES = (554, "5.4.6", "This mail has passed too many servers; it seems to go round in circles")
    UNKNOWN = (550, "5.1.1", "There is no such address here. Please check how it is written")

    @property
    def marked(self) -> bool:
        """Whether the answer names our mark in its References, so that a program's answer to it is known for a loop."""
        return self in (AnswerKind.CATCHALL, AnswerKind.TOO_MANY)


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say, to whom. As a mail it leaves with the null sender and `Auto-Submitted: auto-replied` (RFC 3834 5)."""

    kind: AnswerKind
    to: str
    code: int
    enhanced: str
    text: str
    subject: str
    references: tuple[str, ...]


def answer(kind: AnswerKind, mail: Head, words: str) -> Answer:
    """The answer to a mail: with `words` of the alias or the company instead of ours, or for the catchall behind ours."""
    code, enhanced, text = kind.value
    words = " ".join(words.split())
    if words:
        text = f"{text}. {words}" if kind is AnswerKind.CATCHALL else words
    return Answer(
        kind=kind,
        to=mail.return_path or mail.sender,
        code=code,
        enhanced=enhanced,
        text=text,
        subject=f"Re: {mail.subject}" if mail.subject else "Re: your mail",
        references=(mail.message_id,) if mail.message_id else (),
    )


def answer_id(name: str, host: str) -> str:
    """The Message-ID of an automatic answer, by which it is known when something comes back. `name` is unique, such as an id of ours."""
    return f"<{name}{ANSWER_TAG}{host}>"
