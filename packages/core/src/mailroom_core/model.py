"""The nouns: message, envelope, delivery, attempt, outcome; and the table of states.

Times are aware UTC `datetime`, sizes are `int` bytes, message content is `bytes` with CRLF.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NewType

MessageId = NewType("MessageId", int)
"""Ours, 63 bits, growing with time; people see it as 13 characters (`show_id`). Not the header Message-ID."""
DeliveryId = NewType("DeliveryId", int)
AttemptId = NewType("AttemptId", int)
Address = NewType("Address", str)
"""An address as `policy.addresses.normalize` leaves it."""
LaneName = NewType("LaneName", str)
"""What a provider's limit counts: `graph:<account>:<mailbox>`, `smarthost:<server>:<shard>`, ..."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def show_id(number: int) -> str:
    """An id as people see it: 13 characters, no letters that look like digits."""
    pairs = "".join([_PAIRS[(number >> shift) & 1023] for shift in (50, 40, 30, 20, 10, 0)])
    return _ALPHABET[(number >> 60) & 31] + pairs


def read_id(text: str) -> int:
    """The reverse of `show_id`. Raises ValueError."""
    digits = [_ALPHABET.find(char) for char in text.lower()]
    if len(digits) != 13 or -1 in digits:
        raise ValueError(f"{text!r} is not an id: it has 13 digits and letters (never i, l, o or u), as shown by `mailroom queue`")
    number = 0
    for digit in digits:
        number = number * 32 + digit
    return number


def seek_id(text: str) -> int:
    """The id that somebody asks for; -1, which nothing has, for what is none."""
    try:
        number = read_id(text)
    except ValueError:
        return -1
    return number if number < 2**63 else -1


class Kind(Enum):
    """Transactional mail goes first; bulk mail never delays it."""

    TRANSACTIONAL = "transactional"
    BULK = "bulk"


class After(Enum):
    """What becomes of a message in its mailbox when it is safe with us."""

    READ = "read"
    MOVE = "move"
    DELETE = "delete"
    NOTHING = "nothing"
    """It stays as it is; for who may only read."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who gets it (RFC 5321 2.3.1): the only truth about recipients. `sender` None is the null reverse-path."""

    sender: str | None
    recipients: tuple[str, ...]


class State(Enum):
    """Where a delivery stands."""

    QUEUED = "queued"
    SENDING = "sending"
    UNSURE = "unsure"
    HELD = "held"
    SENT = "sent"
    FAILED = "failed"
    BOUNCED = "bounced"
    CANCELLED = "cancelled"
    IGNORED = "ignored"


TRANSITIONS: dict[State, dict[State, str]] = {
    State.QUEUED: {
        State.SENDING: "an attempt begins",
        State.FAILED: "its lifetime is over, or its recipient is suppressed",
        State.HELD: "a person, or a rule, holds it",
        State.CANCELLED: "a person cancels it",
    },
    State.SENDING: {
        State.SENT: "the next hop took responsibility",
        State.QUEUED: "the next hop deferred it",
        State.FAILED: "the next hop refused it for good",
        State.UNSURE: "no answer came: nobody knows whether it was sent",
        State.HELD: "it can't go on without a person",
    },
    State.UNSURE: {
        State.SENT: "the provider has it in Sent Items",
        State.QUEUED: "the provider knows nothing of it, or two copies are the lesser evil",
        State.SENDING: "the same draft is sent again",
        State.UNSURE: "not found yet: look again later",
        State.HELD: "it can't be found out: a person decides",
        State.FAILED: "the provider refused it for good",
        State.BOUNCED: "a bounce came back, so it was sent",
        State.IGNORED: "a person has dealt with it",
    },
    State.HELD: {
        State.QUEUED: "a person sends it again",
        State.CANCELLED: "a person cancels it",
        State.IGNORED: "a person has dealt with it",
        State.SENT: "a person found it delivered",
        State.FAILED: "its lifetime is over",
    },
    State.SENT: {State.BOUNCED: "a bounce came back"},
    State.FAILED: {
        State.QUEUED: "a person sends it again",
        State.IGNORED: "a person has dealt with it",
    },
    State.BOUNCED: {
        State.QUEUED: "a person sends it again",
        State.IGNORED: "a person has dealt with it",
    },
    State.CANCELLED: {State.QUEUED: "a person sends it after all"},
    State.IGNORED: {},
}
"""From -> to -> why. The store checks it, the documents draw it, the property tests walk it."""

FINAL = frozenset({State.SENT, State.FAILED, State.BOUNCED, State.CANCELLED, State.IGNORED})


@dataclass(frozen=True, slots=True)
class Reply:
    """What the next hop said: an SMTP or HTTP code, the provider's own code, one line of text."""

    code: int
    text: str
    enhanced: str = ""
    """RFC 3463, for example 5.1.1; empty if the next hop has none."""
    name: str = ""
    """The provider's own code, for example `ErrorSendAsDenied`."""

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.code, self.enhanced, self.name, self.text) if part)


@dataclass(frozen=True, slots=True)
class Sent:
    """The next hop took responsibility. That is no proof of arrival."""

    reply: Reply
    remote_id: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now. `retry_after` is the next hop's own wish; `lane` means that every mail of the lane must wait as well.

    `unmapped`: no table of ours knows the answer; whoever drives the provider logs it.
    """

    reply: Reply
    retry_after: timedelta | None = None
    lane: bool = False
    unmapped: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """Never. `bad_address` blames the recipient's address and may suppress it."""

    reply: Reply
    bad_address: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """Bytes left and no answer came back: it may have been sent.

    As the result of a look: not found yet. `looked` is False if the provider could not be asked; such a look does not count.
    `waits` means that one thing is known: it lies ready at the provider and was not sent, because its turn did not come.
    """

    why: str
    looked: bool = True
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """It can't go on without a person: a dead grant, a missing right. Fails nothing; `lane` holds the whole lane."""

    reply: Reply
    lane: bool = False


Outcome = Sent | Deferred | Failed | Unknown | Held

Trouble = Deferred | Failed | Held
"""Every outcome of a request that did not do what it was for."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Every name that a provider has for what we sent; answers and bounces are matched against all of them."""

    remote_id: str = ""
    internet_message_id: str = ""
    conversation_id: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message in a mailbox, by every name that its provider has for it."""

    remote: Remote
    received_at: datetime | None
    sender: str = ""
    """Empty too if the mailbox does not say."""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class NotThere:
    """The message, or the folder, is gone."""


@dataclass(frozen=True, slots=True)
class NotConvertible:
    """The provider can't make a mail of this item."""

    reply: Reply
