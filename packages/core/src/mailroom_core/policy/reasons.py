"""Why mail does not arrive: about thirty reasons, each with words for people who are no administrators."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Blame(Enum):
    """Whose failure it is, and so what it says about the next mail to that address."""

    ADDRESS = "the address"
    """It is dead: nothing more should be sent there."""
    MAILBOX = "the mailbox at present"
    MAIL = "this mail"
    SENDER = "us, as the recipient's server sees it"
    WAY = "the way there"


@dataclass(frozen=True, slots=True)
class Meaning:
    """`what` continues "The mail did not arrive: ", `advice` says what to do."""

    what: str
    advice: str
    blame: Blame


_CHECK = "Please check the address with the recipient in another way, and correct it."
_LATER = "You need not do anything now. If it happens again, reach the recipient in another way."
_ADMIN = "Please show this to your administrator: the recipients' servers must learn to trust yours."
_ASK = "Please ask the recipient to allow your address, or reach them in another way."


class Reason(Enum):
    """Why a mail did not arrive. The names are stable: programs get them."""

    NO_SUCH_MAILBOX = Meaning("there is no such mailbox", _CHECK, Blame.ADDRESS)
    NO_SUCH_DOMAIN = Meaning("the part behind the @ does not exist, or takes no mail", _CHECK, Blame.WAY)
    BAD_ADDRESS = Meaning("the address is not well-formed", _CHECK, Blame.ADDRESS)
    MAILBOX_DISABLED = Meaning("the mailbox is switched off", _CHECK, Blame.ADDRESS)
    MAILBOX_MOVED = Meaning("the recipient has another address now", _CHECK, Blame.ADDRESS)
    MAILBOX_FULL = Meaning("the mailbox is full", "Please try again in some days, or reach the recipient in another way.", Blame.MAILBOX)
    MAILBOX_BUSY = Meaning("the mailbox takes no mail at present", _LATER, Blame.MAILBOX)
    MEMBERS_ONLY = Meaning("the address takes mail from its members or its own company alone", _ASK, Blame.SENDER)
    RECIPIENT_REFUSES = Meaning("the recipient takes no mail from you", _ASK, Blame.SENDER)
    COMPLAINT = Meaning(
        "the recipient has called the mail spam", "Please don't write to this address again without being asked.", Blame.ADDRESS
    )
    TOO_LARGE = Meaning("the mail is too large for the recipient", "Please send a smaller mail, or a link to the file.", Blame.MAIL)
    TOO_MANY_RECIPIENTS = Meaning("the mail has too many recipients", "Please send it to fewer people at once.", Blame.MAIL)
    SPAM = Meaning("the mail was taken for spam", "Please word it differently, and look at the links in it.", Blame.MAIL)
    VIRUS = Meaning("the mail was taken for dangerous", "Please check the files in it with a virus scanner.", Blame.MAIL)
    ATTACHMENT = Meaning("a file in the mail is not allowed there", "Please send it in another format, or as a link.", Blame.MAIL)
    CONTENT = Meaning(
        "the recipient's server can't process the mail", "Please send it as a simple text, without unusual files.", Blame.MAIL
    )
    UNICODE_ADDRESS = Meaning(
        "a server on the way can't handle letters outside of English in addresses",
        "Please use another address of the recipient.",
        Blame.WAY,
    )
    SENDER_BLOCKED = Meaning("your mail server, or your domain, is on a block list", _ADMIN, Blame.SENDER)
    REVERSE_DNS = Meaning("your mail server has no proper name in the DNS (reverse lookup)", _ADMIN, Blame.SENDER)
    NOT_AUTHENTICATED = Meaning("your domain could not be verified (SPF, DKIM, DMARC)", _ADMIN, Blame.SENDER)
    SENDER_REFUSED = Meaning("the address that you send from is not accepted", _ADMIN, Blame.SENDER)
    POLICY = Meaning("a rule of the recipient's company refused the mail", _ASK, Blame.SENDER)
    RELAY_DENIED = Meaning("the server that was asked is not responsible for this address", _CHECK, Blame.WAY)
    SIGN_IN_WANTED = Meaning("the server wants a sign-in first", _ADMIN, Blame.SENDER)
    ENCRYPTION_WANTED = Meaning("the server demands an encryption that could not be had", _ADMIN, Blame.WAY)
    GREYLISTED = Meaning("the recipient's server wants to see the mail a second time", _LATER, Blame.WAY)
    TOO_MANY_MAILS = Meaning("too many mails were sent in a short time", "Please send fewer mails at once, or later.", Blame.SENDER)
    OUR_LIMIT = Meaning(
        "your mailbox or company may send no more mail today", "Please wait until tomorrow, or ask your administrator.", Blame.SENDER
    )
    UNREACHABLE = Meaning("the recipient's server could not be reached", _LATER, Blame.WAY)
    SERVER_TROUBLE = Meaning("the recipient's server has a problem of its own", _LATER, Blame.WAY)
    LOOP = Meaning("the mail went round in circles", "Please show this to the recipient's administrator.", Blame.WAY)
    EXPIRED = Meaning("it could not be delivered for days", "Please check the address, or reach the recipient in another way.", Blame.WAY)
    UNKNOWN = Meaning(
        "the server gave no reason that we know", "If its own words don't help, please show them to your administrator.", Blame.WAY
    )

    @property
    def words(self) -> str:
        """For people who work with mail and not with servers: what happened, and what to do."""
        return f"{self.value.what[0].upper()}{self.value.what[1:]}. {self.value.advice}"
