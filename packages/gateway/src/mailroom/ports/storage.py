"""Where everything is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from mailroom.audit import Change, Wanted
from mailroom.conversations import Conversations
from mailroom.objects import Directory, Object, Suppression
from mailroom.ports.attempts import Attempt, DeliveryResult, Lane, LaneStatus, NewAttempt, Note, Settled, Usage, Work
from mailroom.ports.budgets import Budgets
from mailroom.ports.cutover import Cutovers
from mailroom.ports.diagnoses import Diagnoses
from mailroom.ports.fetching import Watch
from mailroom.ports.looking import Action, CameBack, Found, Lately, Move, Query, Story
from mailroom.ports.messages import Event, Message, NewDelivery, NewMessage
from mailroom.users import Users
from mailroom_core.mime.source import ReadAt
from mailroom_core.model import AttemptId, DeliveryId, Kind, LaneName, MessageId, State


class Store(Protocol):
    """Messages, deliveries, attempts, lanes, objects and sealed secrets."""

    @property
    def users(self) -> Users:
        """People who sign in to the console."""

    @property
    def watch(self) -> Watch:
        """When each incoming server is looked at."""

    @property
    def budgets(self) -> Budgets:
        """Limits that lanes share."""

    @property
    def diagnoses(self) -> Diagnoses:
        """What the doctor has seen."""

    @property
    def cutover(self) -> Cutovers:
        """Which addresses move away from SMTP AUTH by password."""

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

    def hand_on(self, message: MessageId, deliveries: Sequence[NewDelivery], event: Event) -> int:
        """More deliveries of a message that is here, with a lifetime from now on; how many. Those that it has are left out.

        What was handed over once already, for another message, is IGNORED here as well.
        """

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

    def free_lane(self, lane: LaneName, *, by: str = "") -> None:
        """Lift the hold; if somebody did it, the audit log tells. The lifetime of what waits grows by the time that the lane was held."""

    def defer_lane(self, lane: LaneName, epoch: int, until: datetime) -> None:
        """Nothing of it is due before `until` (the provider said so), or a longer pause wished before; survives a restart."""

    def lanes(self) -> list[LaneStatus]: ...

    def usage(self, lane: LaneName, since: datetime) -> Usage: ...

    def usage_history(self, lane: LaneName, edges: Sequence[datetime]) -> list[Usage]:
        """What left between each two neighbours of `edges`, oldest first: one less than there are edges."""

    def fetched_history(self, lane: LaneName, edges: Sequence[datetime]) -> list[int]:
        """How many mails the incoming servers of the lane have fetched between each two neighbours of `edges`, oldest first."""

    # -- attempts
    def due(self, lane: Lane, *, limit: int, kind: Kind | None = None, but: Collection[MessageId] = ()) -> list[Work]:
        """Queued deliveries whose time has come, transactional first, then oldest first; not those of the messages `but`.

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
        """Newest first, and the cursor of the next page (empty at the end).

        What is rare and can't be looked up is searched piece by piece: a page may have less than `limit`, or nothing, and yet a cursor.
        """

    def counts(self) -> dict[State, int]:
        """Looks at everything: for commands, not for what is asked again and again."""

    def how_many(
        self, state: State, *, accepted: datetime | None = None, changed: datetime | None = None, came_in: bool = False, limit: int
    ) -> int:
        """Deliveries in a state, at most `limit`; with both times only those accepted and last changed since then.

        Without times, `came_in` counts only what has come in.
        """

    def fates(self, edges: Sequence[datetime]) -> list[dict[State, int]]:
        """What has become of the mail that was accepted between each two neighbours of `edges`, oldest first."""

    def sent_as(self, header_message_ids: Sequence[str], to: Collection[str] = ()) -> dict[str, Message]:
        """Mail of ours by its Message-IDs, with their brackets: that of its author, and that which its provider gave it.

        Programs that write to each recipient apart give the copies one Message-ID: the copy to one of the (normalised) addresses `to` is
        taken if there is one, else any of them.
        """

    def in_conversation(self, conversation: str) -> tuple[Message, frozenset[str]] | None:
        """The newest mail that the provider has put into this conversation of its own, and to whom (normalised) mail in it went.

        What came in does not count, nor what we answer by ourselves.
        """

    def came_back(self, batch: Sequence[CameBack]) -> list[DeliveryId]:
        """Mail that was sent has come back; those that are bounced now. What has come back before, or was never sent, stays as it is;
        where nobody knew, its bounce says that it was sent."""

    def bounces_of(self, address: str, since: datetime) -> list[tuple[datetime, str, bool, bool]]:
        """When mail to a normalised address came back, why (`Reason`), whether for good, and whether the address is dead; oldest first."""

    def attempted(self, marker: str) -> MessageId | None:
        """The message of an attempt, by its marker; whatever the marker is, no error."""

    def from_sender(self, sender: str, since: datetime) -> Lately:
        """`sender` is normalised."""

    def story(self, message: MessageId) -> Story | None: ...

    def act(self, query: Query, action: Action, *, by: str, limit: int = 1000) -> int:
        """Do it to all that match and may (`TRANSITIONS`), with an event each; how many were changed."""

    def move(self, query: Query, way: Move, *, by: str, limit: int = 1000) -> int:
        """Give what is queued, held or failed and matches to another outgoing server, as it is; how many of the newest `limit` went.

        The state stays. What has come in, and mail whose outcome nobody knows, is left where it is.
        """

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

    def index(self) -> bool:
        """Put the oldest mail that the search index does not hold yet into it, if it is enough to be worth while; whether it was."""

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

    def replace_secret(self, name: str, old: bytes, new: bytes) -> bool:
        """Only where it is still the old one; whether it was."""

    def lease(self, name: str, owner: str, ttl: timedelta) -> bool:
        """A lock between processes and machines, for example `token:<account>`."""

    def unlease(self, name: str, owner: str) -> None: ...

    # -- the audit log
    def audit(self, *, by: str, what: str, kind: str, name: str, before: str = "", after: str = "") -> None:
        """Write down what somebody has changed, in a transaction of its own; `apply`, `act` and `free_lane` do it in theirs.

        `by` is `cli:<user>`, `token:<name>` or `user:<name>`; of anything else nothing is written. No secret may be in any of it.
        """

    def audited(self, wanted: Wanted, *, limit: int, after: str = "") -> tuple[list[Change], str]:
        """Newest first, and the cursor of the next page (empty at the end)."""

    def forget_audit(self, before: datetime, *, limit: int) -> bool:
        """Drop up to `limit` changes of before then; whether there were any."""

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
