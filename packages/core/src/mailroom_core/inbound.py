"""The nouns of the way in: what a received mail says of itself, before anybody decides what becomes of it.

`mime.incoming` and `mime.bounce` make these values from bytes, `policy.routing` and `policy.bounces` judge them; neither knows
the other. Message-IDs are with their angle brackets and without blanks, addresses as they are spelt in the mail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

Mailboxes = tuple[tuple[str, str], ...]
"""Names and addresses."""

LOOP_HEADER = "X-Mailroom-Loop"
"""Its value is the mark of the installation that has written or forwarded the mail."""
ANSWER_TAG = "-mailroom-answer@"
"""Part of the Message-ID of every automatic answer of ours, as Odoo has `-loop-detection-bounce-email@` in its own."""
ANSWER_TAGS = (ANSWER_TAG, "-loop-detection-bounce-email@")


@dataclass(frozen=True, slots=True)
class Authentication:
    """What one server found out about the sender (RFC 8601): `header.from` and the like are in `properties`."""

    server: str
    results: tuple[AuthenticationResult, ...]

    def proves(self, address: str) -> bool:
        """Whether the domain of this From address is authenticated: DMARC, or an aligned DKIM signature or SPF.

        Aligned means the same domain, or one of them below the other (RFC 7489 3.1 in its relaxed form, without a list of
        public suffixes: a receiving server has looked at those for `dmarc`). Of a field that says of DMARC both that it passed and
        that it failed, somebody else has written a part.
        """
        domain = address.rpartition("@")[2].lower()
        if any(result.method == "dmarc" and result.result == "fail" for result in self.results):
            return False
        passed = [result for result in self.results if result.result == "pass"]
        for result in passed:
            if result.method == "dmarc" and result.properties.get("header.from", domain).lower() == domain:
                return True
        names = {"dkim": ("header.d", "header.i"), "spf": ("smtp.mailfrom",)}
        found = [result.properties.get(name, "") for result in passed for name in names.get(result.method, ())]
        return any(aligned(each.rpartition("@")[2].lower(), domain) for each in found)


@dataclass(frozen=True, slots=True)
class AuthenticationResult:
    """One method, such as `dkim`, and its result, such as `pass`; properties such as `header.d`."""

    method: str
    result: str
    properties: dict[str, str]


def aligned(one: str, other: str) -> bool:
    """Whether two domains, in lower case, are one, or one of them is below the other."""
    if not one or "." not in one or "." not in other:
        return False
    return one == other or one.endswith("." + other) or other.endswith("." + one)


class Automatic(Enum):
    """What kind of machine has written a mail; the value says it in words."""

    NO = "a person"
    REPLY = "an automatic answer"
    LIST = "a mailing list or a bulk mailing"
    GENERATED = "a program"
    """Such as monitoring or a form on a web site. It may open records like a person; nobody answers it automatically."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the head of a received mail says."""

    message_id: str = ""
    """Empty if it has none."""
    from_: Mailboxes = ()
    reply_to: Mailboxes = ()
    to: Mailboxes = ()
    cc: Mailboxes = ()
    resent: Mailboxes = ()
    """Resent-To and Resent-Cc."""
    delivered_to: tuple[str, ...] = ()
    """Delivered-To, X-Original-To and what else names the envelope's recipient, in the order of the head."""
    received_for: tuple[str, ...] = ()
    """The `for` of the Received fields, newest first: where an address in Bcc may still be seen."""
    return_path: str | None = None
    """Empty for the null sender; None if the mail does not say."""
    subject: str = ""
    date: str = ""
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    """The newest ones, oldest first."""
    thread_index: str = ""
    """What Exchange's conversation id is made of: the first 22 bytes of Thread-Index, in base64; it is equal in all mails of a thread."""
    automatic: Automatic = Automatic.NO
    automatic_why: str = ""
    """The field that says so, for a person."""
    answerable: str = ""
    """Why no automatic answer may be sent to this mail (RFC 3834 2); empty if one may."""
    hops: int = 0
    """Received fields."""
    authentication: Authentication | None = None
    loop_marks: tuple[str, ...] = ()
    content_type: str = "text/plain"
    report_type: str = ""
    defect: str = ""
    """Why the head can't be trusted: it ends at a line that is no field, and other readers may see more fields."""

    @property
    def sender(self) -> str:
        """The first address of From; empty if it has none."""
        return self.from_[0][1] if self.from_ else ""

    @property
    def ids(self) -> tuple[str, ...]:
        """The mails that this one may answer, the likeliest first: In-Reply-To, then References from the newest on; each once."""
        return tuple(dict.fromkeys((*self.in_reply_to, *reversed(self.references))))


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a received mail; its bytes are read by offset, with `index.decoded`."""

    name: str
    content_type: str
    size: int
    """Decoded, in bytes."""
    number: int
    """Its place in `Part.walk()`, by which it is found again."""
    inline: bool = False
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    """What people read. `text` is made from the HTML where the mail has no other; `reply` is without quotes and signature."""

    text: str
    html: str
    reply: str
    attachments: tuple[Attachment, ...]
    sealed: bool = False
    """Signed or encrypted as a whole: it is handed on untouched."""
    cut: bool = False
    """A text was longer than what is shown."""


# Reports (RFC 3464, RFC 5965, RFC 8098) and what is written instead of them


class Action(Enum):
    """What a report says of one recipient (RFC 3464 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
    COMPLAINED = "complained"
    """Not of RFC 3464: the recipient has called the mail spam (ARF, RFC 5965)."""


class ReportKind(Enum):
    """By what a report was recognised."""

    STANDARD = "a delivery report (RFC 3464)"
    EXCHANGE = "an Exchange report in HTML"
    COMPLAINT = "a spam complaint (ARF)"
    RECEIPT = "a read receipt"
    INFORMAL = "a bounce in words"


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """One recipient of a report. `address` is the one that was written to, as far as the report knows it; `status` an enhanced code of
    RFC 3463, empty if there is none."""

    address: str
    action: Action
    status: str = ""
    diagnostic: str = ""
    """What the remote server said, in one line."""
    final_address: str = ""
    """Where it had been passed on to, if that is another one."""
    remote_mta: str = ""


@dataclass(frozen=True, slots=True)
class Original:
    """The mail that a report is about, as far as the report returns it."""

    ids: tuple[str, ...] = ()
    """All its Message-IDs, surest first: that of the returned head, `X-Microsoft-Original-Message-ID`, then In-Reply-To and References
    of the report."""
    recipients: tuple[str, ...] = ()
    """Those of its To."""
    marker: str = ""
    """The value of `X-Mailroom-Attempt`."""
    envelope_id: str = ""
    """RFC 3464 2.2.1."""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A mail about a mail of ours. It may be about several recipients."""

    kind: ReportKind
    recipients: tuple[ReportedRecipient, ...]
    original: Original
    sent_to: tuple[str, ...] = ()
    """Where the report went: a VERP address among them names the delivery."""
    reporting_mta: str = ""
    text: str = ""
    """What it says to people: the beginning, in lines."""

    @property
    def failures(self) -> tuple[ReportedRecipient, ...]:
        return tuple(each for each in self.recipients if each.action in (Action.FAILED, Action.COMPLAINED))


def spelling(address: str) -> str:
    """An address as far as two spellings of it are the same: lower-case, the local part only if it is ASCII."""
    local, at, domain = address.strip().rpartition("@")
    return (local.lower() if local.isascii() else local) + at + domain.lower()


def unique(addresses: Iterable[str]) -> tuple[str, ...]:
    """Each address once, in its first spelling."""
    found: dict[str, str] = {}
    for address in addresses:
        found.setdefault(spelling(address), address)
    return tuple(found.values())
