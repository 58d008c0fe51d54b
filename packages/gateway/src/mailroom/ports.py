"""The ports: what the gateway needs from the outside, as protocols. One contract suite runs over every implementation of each.

`Store` is blocking and is called in threads. Its clock is its own (a test can set it); every method that looks at leases or due
times uses that clock. `put`, `begin` and `settle` take batches: one call is one transaction, all or nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Protocol

from mailroom.conversations import Conversations
from mailroom.objects import Directory, Object, Suppression
from mailroom.users import Users
from mailroom_core.mime.source import ReadAt
from mailroom_core.model import AttemptId, DeliveryId, Kind, LaneName, MessageId, Outcome, Remote, Reply, State

Clock = Callable[[], datetime]
"""Aware UTC."""


# ---- messages -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    id: DeliveryId
    recipient: str
    server: str
    """Name of the outgoing server."""
    lane: LaneName
    state: State = State.QUEUED
    """QUEUED, or FAILED for a suppressed recipient."""
    due_at: datetime
    reply: Reply | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """Everything that one transaction makes durable. Exactly one of `raw` and `blob` carries the bytes."""

    id: MessageId
    accepted_at: datetime
    expires_at: datetime
    sender: str | None
    header_from: str
    header_message_id: str
    subject: str
    application: str
    kind: Kind
    size: int
    rewrite_from: str = ""
    """If the choice of the server demands another From: that header's new value; the stored bytes stay as they came."""
    raw: bytes | None = None
    blob: str = ""
    """A name that `Blobs.keep` gave, already synced."""
    deliveries: tuple[NewDelivery, ...]
    events: tuple[Event, ...] = ()
    idempotency_key: str = ""
    digest: str = ""
    """Of what came with the idempotency key, so that another body under the same key is noticed."""
    tags: tuple[str, ...] = ()
    source: str = ""
    """The incoming server that it was fetched by; empty on the way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    id: MessageId
    accepted_at: datetime
    sender: str | None
    header_from: str
    header_message_id: str
    subject: str
    application: str
    kind: Kind
    size: int
    rewrite_from: str
    tags: tuple[str, ...] = ()
    source: str = ""
    raw: bytes | None
    """The bytes where they lie in the row and were asked for."""
    blob: str
    """The blob's name where they lie in a file; both empty: the bytes are gone (retention)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    id: DeliveryId
    message_id: MessageId
    recipient: str
    server: str
    lane: LaneName
    state: State
    due_at: datetime | None
    """When it is looked at next; None if nothing is to be done."""
    expires_at: datetime
    """The end of its lifetime, which stands still while its lane is held."""
    attempts: int
    reply: Reply | None
    """The last one."""
    remote: Remote
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One row of a message's timeline."""

    at: datetime
    name: str
    """One of `observe.events`."""
    text: str
    """In words that an office person understands."""
    delivery_id: DeliveryId | None = None
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """One message with all that happened to it."""

    message: Message
    deliveries: tuple[Delivery, ...]
    attempts: tuple[Attempt, ...]
    events: tuple[Event, ...]


# ---- lanes and attempts ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lane:
    """A lease: until it ends, only its owner touches the lane. `epoch` grows with every new owner."""

    name: LaneName
    epoch: int


@dataclass(frozen=True, slots=True)
class LaneStatus:
    name: LaneName
    waiting: int
    """Deliveries that are queued or unsure."""
    due_at: datetime | None
    """The earliest."""
    held: str
    """Why it is held; empty if it is not."""
    owned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A message and its deliveries on one lane that are due together."""

    message: Message
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    id: AttemptId
    message_id: MessageId
    delivery_ids: tuple[DeliveryId, ...]
    lane: LaneName
    epoch: int
    started_at: datetime
    deadline: datetime
    marker: str
    facts: Mapping[str, str] = field(default_factory=dict)
    """For a second `/send` of the same draft: what the first attempt knew."""
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the provider called it, as the lane's owner of this epoch has learnt."""

    attempt_id: AttemptId
    lane: LaneName
    epoch: int
    facts: Mapping[str, str]
    left: Further | None = None
    """What leaves right after it, beyond the mail that the attempt itself counts as."""


@dataclass(frozen=True, slots=True)
class Further:
    """One more mail of an attempt: a look that sends its draft again, or a recipient who is tried alone."""

    recipients: int
    """Those that the attempt has not counted already."""


SENT_AGAIN = "sent_again"
"""The fact that a look is about to send a draft."""
TURN = "turn"
"""The fact that the next recipient's own mail is about to be sent."""
ALONE = "alone"
"""The fact that each recipient was tried by itself; what was noted of one of them then begins with its `Attempt.place`."""


class Resolution(Enum):
    OPEN = "open"
    """Bytes may be leaving right now."""
    UNSURE = "unsure"
    """It ended without an answer; the provider is to be asked."""
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    id: AttemptId
    message_id: MessageId
    delivery_ids: tuple[DeliveryId, ...]
    lane: LaneName
    epoch: int
    started_at: datetime
    deadline: datetime
    marker: str
    facts: Mapping[str, str]
    """What `note` committed on the way: draft_id, internet_message_id, conversation_id."""
    resolution: Resolution
    looks: int
    """How often the provider was asked what became of it."""
    ended_at: datetime | None
    text: str
    """The outcome in one line; empty while it is open."""

    def place(self, delivery: DeliveryId) -> str:
        """What this delivery's own facts begin with."""
        return f"{self.delivery_ids.index(delivery)}."

    def facts_of(self, delivery: DeliveryId) -> Mapping[str, str]:
        """What was noted of one delivery, by itself or together with the others."""
        if ALONE not in self.facts:
            return self.facts
        place = self.place(delivery)
        own = {name.removeprefix(place): value for name, value in self.facts.items() if name.startswith(place)}
        return {name: self.facts[name] for name in ("way", "through") if name in self.facts} | own


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """What one delivery becomes."""

    id: DeliveryId
    state: State
    due_at: datetime | None
    reply: Reply | None
    remote: Remote = field(default_factory=Remote)
    event: Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The end of an attempt, or of one look at it."""

    attempt_id: AttemptId
    lane: LaneName
    epoch: int
    text: str
    looked: bool = False
    """Count one more look."""
    deliveries: tuple[DeliveryResult, ...]
    suppress: tuple[Suppression, ...] = ()
    replies: tuple[NewMessage, ...] = ()
    """Mail of our own that this gives rise to (a DSN), stored in the same transaction."""
    outcomes: tuple[Outcome, ...] = ()
    """What the transport said; not stored."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What left through a lane in a span of time."""

    attempts: int
    recipients: int
    size: int


# ---- fetching -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """An incoming server, as the store knows it."""

    name: str
    lane: LaneName
    due_at: datetime
    """When it is looked at next."""
    cursor: str
    looked_at: datetime | None
    """When a look was last finished."""
    trouble: str
    """Why the last look did not end well; empty if it did."""


class Watch(Protocol):
    """When each incoming server is looked at. A part of the store, on its clock; each method is one transaction."""

    def over(self, servers: Mapping[str, LaneName]) -> None:
        """These are looked at, and no others; new ones at once. One whose lane has changed begins anew."""

    def all(self) -> list[Watched]: ...

    def due(self, lane: Lane) -> list[Watched]:
        """Those of a lane whose time has come; none for who does not own the lane any more."""

    def now(self, names: Sequence[str]) -> None:
        """Look at these as soon as their lanes allow it; during a look, once more after it."""

    def keep(self, lane: Lane, name: str, cursor: str) -> None:
        """What was before this cursor is safe. Nothing happens for who does not own the lane any more."""

    def looked(self, lane: Lane, seen: Watched, *, next_at: datetime, trouble: str = "") -> None:
        """A look has ended; if somebody wished for another one meanwhile, that one is due."""


# ---- looking and steering -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A selection of deliveries. All that is given must match."""

    message_id: MessageId | None = None
    delivery_id: DeliveryId | None = None
    states: frozenset[State] = frozenset()
    lane: str = ""
    account: str = ""
    application: str = ""
    text: str = ""
    """Part of a recipient, sender, subject, or the whole Message-ID; letter case does not count."""
    header_message_id: str = ""
    """With or without its angle brackets."""
    tag: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """Accepted before then."""


@dataclass(frozen=True, slots=True)
class Found:
    delivery: Delivery
    message: Message


class Action(Enum):
    RETRY = "retry"
    SEND_NOW = "send now"
    CANCEL = "cancel"
    IGNORE = "ignore"
    HOLD = "hold"


class Store(Protocol):
    """Messages, deliveries, attempts, lanes, objects and sealed secrets."""

    @property
    def users(self) -> Users:
        """People who sign in to the console."""

    @property
    def watch(self) -> Watch:
        """When each incoming server is looked at."""

    @property
    def conversations(self) -> Conversations:
        """The built-in inbox."""

    # -- way in
    def put(self, batch: Sequence[NewMessage]) -> Mapping[MessageId, MessageId]:
        """Make all of it durable, synced to the disk when this returns. Raises StoreError, StoreFull.

        Nothing is stored of a message whose application has used its idempotency key before; the answer names these, with the
        id of the first message.
        """

    def first_use(self, application: str, key: str) -> tuple[MessageId, str] | None:
        """The message that came with this idempotency key, and its digest."""

    # -- lanes
    def claim(self, owner: str, *, want: int, ttl: timedelta, but: Collection[LaneName] = ()) -> list[Lane]:
        """Lease up to `want` lanes that nobody holds a lease on, that are not held, and that have due or unresolved work.

        `but` are lanes that the owner is still busy with: a lease of its own that has lapsed is renewed, never claimed anew.
        """

    def renew(self, owner: str, lanes: Sequence[Lane], ttl: timedelta) -> set[LaneName]:
        """Those that are still ours, with a new end."""

    def release(self, owner: str, lanes: Sequence[Lane]) -> None: ...

    def end_leases(self, owners: str = "") -> int:
        """A new boot: every owner whose name begins with `owners` is dead, each and all without it. How many leases they had.

        Also lets the deadlines of their open attempts pass.
        """

    def hold_lane(self, lane: LaneName, reason: str, *, account: str = "") -> None:
        """Nothing of it is claimed until `free_lane`; expiry of its deliveries stands still. An empty lane may be held too.

        With an account, or a server that signs in by itself, webhooks are told that it needs a person, unless the lane is held already.
        """

    def free_lane(self, lane: LaneName) -> None:
        """Lift the hold; the lifetime of what waits grows by the time that the lane was held."""

    def defer_lane(self, lane: LaneName, epoch: int, until: datetime) -> None:
        """Nothing of it is due before `until` (the provider said so), or a longer pause wished before; survives a restart."""

    def lanes(self) -> list[LaneStatus]: ...

    def usage(self, lane: LaneName, since: datetime) -> Usage: ...

    def usage_history(self, lane: LaneName, edges: Sequence[datetime]) -> list[Usage]:
        """What left between each two neighbours of `edges`, oldest first: one less than there are edges."""

    # -- attempts
    def due(self, lane: Lane, *, limit: int, kind: Kind | None = None) -> list[Work]:
        """Queued deliveries whose time has come, transactional first, then oldest first.

        `limit` counts messages; a message's due deliveries come together. With the raw bytes where they lie in the row.
        """

    def unresolved(self, lane: Lane, *, limit: int) -> list[tuple[Attempt, Work]]:
        """Attempts of earlier epochs whose deadline has passed, and unsure ones whose deliveries are due for a look."""

    def begin(self, batch: Sequence[NewAttempt]) -> set[AttemptId]:
        """Record attempts before the wire; deliveries become SENDING.

        Those whose lane epoch is stale, or whose deliveries are not queued (or unsure) any more, are left out of the answer.
        """

    def note(self, note: Note) -> bool:
        """Commit what the provider called it, before the next step; facts are added to those that are known.

        False, and nothing is written, if the attempt has ended or its lane has another owner: then no next step may follow.
        """

    def settle(self, batch: Sequence[Settled]) -> None:
        """Write outcomes, states, due times, events and replies of our own.

        Checks `TRANSITIONS`. An attempt of a stale epoch is left out and logged: its new owner resolves it.
        """

    def record(self, *, notes: Sequence[Note], ended: Sequence[Settled], begun: Sequence[NewAttempt]) -> set[AttemptId]:
        """`settle`, `begin` and `note` in one transaction; answers which attempts may go on: those that have begun or were noted."""

    # -- looking and steering
    def find(self, query: Query, *, limit: int, after: str = "") -> tuple[list[Found], str]:
        """Newest first, and the cursor of the next page (empty at the end)."""

    def counts(self) -> dict[State, int]: ...

    def story(self, message: MessageId) -> Story | None: ...

    def act(self, query: Query, action: Action, *, by: str, limit: int = 1000) -> int:
        """Do it to all that match and may (`TRANSITIONS`), with an event each; how many were changed."""

    def read(self, message: MessageId) -> Message | None:
        """With its raw bytes, if they lie in the row."""

    # -- housekeeping
    def expired(self, *, limit: int) -> list[Work]:
        """Queued deliveries past their lifetime on lanes that are not held."""

    def fail_expired(self, batch: Sequence[DeliveryResult], replies: Sequence[NewMessage]) -> None:
        """All or nothing: if a person has acted on one of them meanwhile, nothing is written, and the next sweep sees the rest."""

    def forget(self, *, raw_before: datetime, rows_before: datetime, limit: int) -> tuple[bool, list[str]]:
        """Drop bytes, then rows, of messages that are final and unchanged since then, up to `limit` of each.

        Returns whether there was anything to drop (there may be more), and the names of blobs that nothing refers to any more.
        """

    def referred(self, blobs: Sequence[str]) -> set[str]:
        """Those of these blobs that a message refers to: the others are orphans, if they are not just on their way in."""

    # -- objects and secrets
    def directory(self) -> Directory: ...

    def directory_version(self) -> int: ...

    def apply(self, put: Sequence[Object], remove: Sequence[tuple[str, str]], *, by: str) -> int:
        """Change objects in one transaction; `remove` holds (kind, name), kinds as in `object_kind`. Returns the new version."""

    def suppressed(self, addresses: Sequence[str]) -> dict[str, Suppression]: ...

    def suppressions(self) -> list[Suppression]: ...

    def secret(self, name: str) -> bytes | None:
        """Sealed by the vault; the store never sees it open."""

    def secrets(self) -> list[str]: ...

    def put_secret(self, name: str, sealed: bytes | None) -> None:
        """None deletes it."""

    def lease(self, name: str, owner: str, ttl: timedelta) -> bool:
        """A lock between processes and machines, for example `token:<account>`."""

    def unlease(self, name: str, owner: str) -> None: ...

    # -- the store itself
    def node(self) -> int:
        """A number from 0 to 1023 for `Ids`, another one at each call."""

    def ping(self) -> None:
        """Raises StoreError if nothing can be written."""

    def close(self) -> None: ...


class Blobs(Protocol):
    """Bytes of large messages. A name is given once; what is kept never changes."""

    def keep(self, name: str, spooled: Path) -> None:
        """Take over a finished file: synced, file and directory, when this returns."""

    def open(self, name: str) -> OpenBlob: ...

    def drop(self, name: str) -> None: ...

    def names(self) -> Iterator[str]: ...


class OpenBlob(ReadAt, Protocol):
    def close(self) -> None: ...


# ---- the wire -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Job:
    """What a transport is asked to deliver: one message to some of its recipients in one go."""

    attempt: Attempt
    message: Message
    recipients: Mapping[DeliveryId, str]
    source: ReadAt


Remember = Callable[[Mapping[str, str]], Awaitable[None]]


class Transport(Protocol):
    """Delivers through one outgoing server. Knows its wire, not the queue."""

    @property
    def way(self) -> str:
        """How it would send now, noted as the fact `way` of every attempt that begins; `resolve` obeys what is noted there."""

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        """One try. `remember` returns when its facts are committed. Raises nothing that concerns the mail: that is an outcome."""

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        """Find out what became of an attempt that got no answer. `Unknown` means: not found yet."""

    async def close(self) -> None: ...


class Wakeup(Protocol):
    """A nudge between processes: there is work. Losing one costs a poll interval, nothing else."""

    def notify(self) -> None: ...

    async def wait(self, timeout: timedelta) -> None:
        """Returns at a nudge or after `timeout`."""

    def close(self) -> None: ...


class Vault(Protocol):
    """Secrets and tokens. Raises VaultError with what a person has to do."""

    def open(self, name: str) -> dict[str, str] | None: ...

    def seal(self, name: str, secret: Mapping[str, str] | None) -> None: ...

    async def token(self, account: str, *, refused: str = "") -> str:
        """An access token with at least 10 s left; `refused` is one that the provider has just answered 401 to."""
