"""The store of `ports.Store`: one method per verb, each one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from mailroom.audit import Change, Wanted
from mailroom.notices import Health, NewNotice, News, Notice, NoticeId, NoticeState, NoticeStory, Tried
from mailroom.objects import Directory, Object, Suppression
from mailroom.ports import (
    Action,
    Attempt,
    CameBack,
    DeliveryResult,
    Event,
    Found,
    Lane,
    LaneStatus,
    Lately,
    Message,
    Move,
    NewAttempt,
    NewDelivery,
    NewMessage,
    Note,
    Query,
    Settled,
    Story,
    Usage,
    Work,
)
from mailroom.store import (
    accepting,
    acting,
    answering,
    attempts,
    auditing,
    bouncing,
    documents,
    due,
    glancing,
    housekeeping,
    keeping,
    lanes,
    looking,
    moving,
    searching,
    telling,
)
from mailroom.store.budgeting import SqlBudgets
from mailroom.store.conversing import SqlConversations
from mailroom.store.cutting_over import SqlCutovers
from mailroom.store.database import Database
from mailroom.store.diagnosing import SqlDiagnoses
from mailroom.store.people import SqlUsers
from mailroom.store.watch import SqlWatch
from mailroom_core.model import AttemptId, DeliveryId, Kind, LaneName, MessageId, State

COUNT_NODE = "UPDATE meta SET value = value + 1 WHERE name = 'node'"
NODE = "SELECT value FROM meta WHERE name = 'node'"
PING = "INSERT INTO meta (name, value) VALUES ('ping', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


class SqlStore:
    """Over SQLite or PostgreSQL; see `ports.Store` for what each method promises."""

    def __init__(self, database: Database, *, on_close: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._write = database.write
        self._read = database.read
        self._on_close = on_close
        self.users = SqlUsers(database)
        self.watch = SqlWatch(database)
        self.budgets = SqlBudgets(database)
        self.diagnoses = SqlDiagnoses(database)
        self.cutover = SqlCutovers(database)
        self.conversations = SqlConversations(database)

    # -- way in
    def put(self, batch: Sequence[NewMessage]) -> Mapping[MessageId, MessageId]:
        with self._write() as tx:
            return accepting.put(tx, batch)

    def first_use(self, application: str, key: str) -> tuple[MessageId, str] | None:
        with self._read() as tx:
            return accepting.first_use(tx, application, key)

    # -- lanes
    def claim(self, owner: str, *, want: int, ttl: timedelta, but: Collection[LaneName] = ()) -> list[Lane]:
        with self._read() as tx:
            if not lanes.claimable(tx, want, but):
                return []
        with self._write() as tx:
            return lanes.claim(tx, owner, want, ttl, but)

    def renew(self, owner: str, lanes_: Sequence[Lane], ttl: timedelta) -> set[LaneName]:
        with self._write() as tx:
            return lanes.renew(tx, owner, lanes_, ttl)

    def release(self, owner: str, lanes_: Sequence[Lane]) -> None:
        with self._write() as tx:
            lanes.release(tx, owner, lanes_)

    def end_leases(self, owners: str = "") -> int:
        with self._write() as tx:
            return lanes.end_leases(tx, owners)

    def hold_lane(self, lane: LaneName, reason: str, *, account: str = "") -> None:
        with self._write() as tx:
            lanes.hold_lane(tx, lane, reason, account)

    def free_lane(self, lane: LaneName, *, by: str = "") -> None:
        with self._write() as tx:
            if was := lanes.free_lane(tx, lane):
                auditing.audit(tx, by=by, what="free", kind="lane", name=lane, before=was)

    def defer_lane(self, lane: LaneName, epoch: int, until: datetime) -> None:
        with self._write() as tx:
            lanes.defer_lane(tx, lane, epoch, until)

    def lanes(self) -> list[LaneStatus]:
        with self._read() as tx:
            return lanes.lanes(tx)

    def usage(self, lane: LaneName, since: datetime) -> Usage:
        with self._read() as tx:
            return lanes.usage(tx, lane, since)

    def usage_history(self, lane: LaneName, edges: Sequence[datetime]) -> list[Usage]:
        with self._read() as tx:
            return lanes.usage_history(tx, lane, edges)

    def fetched_history(self, lane: LaneName, edges: Sequence[datetime]) -> list[int]:
        with self._read() as tx:
            return lanes.fetched_history(tx, lane, edges)

    # -- attempts
    def due(self, lane: Lane, *, limit: int, kind: Kind | None = None, but: Collection[MessageId] = ()) -> list[Work]:
        with self._read() as tx:
            return due.due(tx, lane, limit, kind, but)

    def unresolved(self, lane: Lane, *, limit: int) -> list[tuple[Attempt, Work]]:
        with self._read() as tx:
            return due.unresolved(tx, lane, limit)

    def begin(self, batch: Sequence[NewAttempt]) -> set[AttemptId]:
        return self.record(begun=batch)

    def note(self, note: Note) -> bool:
        return note.attempt_id in self.record(notes=[note])

    def settle(self, batch: Sequence[Settled]) -> None:
        self.record(ended=batch)

    def record(self, *, notes: Sequence[Note] = (), ended: Sequence[Settled] = (), begun: Sequence[NewAttempt] = ()) -> set[AttemptId]:
        with self._write() as tx:
            return attempts.record(tx, notes=notes, ended=ended, begun=begun)

    # -- looking and steering
    def find(self, query: Query, *, limit: int, after: str = "") -> tuple[list[Found], str]:
        with self._read() as tx:
            return looking.find(tx, query, limit, after)

    def counts(self) -> dict[State, int]:
        with self._read() as tx:
            return looking.counts(tx)

    def how_many(
        self, state: State, *, accepted: datetime | None = None, changed: datetime | None = None, came_in: bool = False, limit: int
    ) -> int:
        with self._read() as tx:
            return glancing.how_many(tx, state, accepted, changed, came_in, limit)

    def fates(self, edges: Sequence[datetime]) -> list[dict[State, int]]:
        with self._read() as tx:
            return glancing.fates(tx, edges)

    def sent_as(self, header_message_ids: Sequence[str], to: Collection[str] = ()) -> dict[str, Message]:
        with self._read() as tx:
            return answering.sent_as(tx, header_message_ids, to)

    def in_conversation(self, conversation: str) -> tuple[Message, frozenset[str]] | None:
        with self._read() as tx:
            return answering.in_conversation(tx, conversation)

    def came_back(self, batch: Sequence[CameBack]) -> list[DeliveryId]:
        with self._write() as tx:
            return bouncing.came_back(tx, batch)

    def bounces_of(self, address: str, since: datetime) -> list[tuple[datetime, str, bool, bool]]:
        with self._read() as tx:
            return bouncing.bounces_of(tx, address, since)

    def attempted(self, marker: str) -> MessageId | None:
        with self._read() as tx:
            return bouncing.attempted(tx, marker)

    def from_sender(self, sender: str, since: datetime) -> Lately:
        with self._read() as tx:
            return answering.from_sender(tx, sender, since)

    def story(self, message: MessageId) -> Story | None:
        with self._read() as tx:
            return looking.story(tx, message)

    def hand_on(self, message: MessageId, deliveries: Sequence[NewDelivery], event: Event) -> int:
        with self._write() as tx:
            return accepting.hand_on(tx, message, deliveries, event)

    def act(self, query: Query, action: Action, *, by: str, limit: int = 1000) -> int:
        done = 0
        while done < limit:
            with self._read() as tx:
                numbers = acting.chosen(tx, query, action, limit - done)
            if not numbers:
                break
            with self._write() as tx:
                done += acting.act(tx, numbers, query, action, by)
        return done

    def move(self, query: Query, way: Move, *, by: str, limit: int = 1000) -> int:
        with self._read() as tx:
            numbers = moving.candidates(tx, query, way, limit)
        if not numbers:
            return 0
        with self._write() as tx:
            return moving.move(tx, numbers, query, way, by)

    def read(self, message: MessageId) -> Message | None:
        with self._read() as tx:
            return looking.read(tx, message)

    # -- housekeeping
    def expired(self, *, limit: int) -> list[Work]:
        with self._read() as tx:
            return housekeeping.expired(tx, limit)

    def fail_expired(self, batch: Sequence[DeliveryResult], replies: Sequence[NewMessage]) -> None:
        with self._write() as tx:
            housekeeping.fail_expired(tx, batch, replies)

    def forget(self, *, raw_before: datetime, rows_before: datetime, limit: int) -> tuple[bool, list[str]]:
        with self._read() as tx:
            what = housekeeping.forgettable(tx, raw_before, rows_before, limit)
        if not what:
            return False, []
        with self._write() as tx:
            return True, housekeeping.forget(tx, what, raw_before, rows_before)

    def index(self) -> bool:
        with self._read() as tx:
            rows = searching.next_part(tx)
        if not rows:
            return False
        part = searching.build(rows)
        try:
            with self._write() as tx:
                searching.add(tx, part)
        except searching.Meanwhile:
            pass
        return True

    def referred(self, blobs: Sequence[str]) -> set[str]:
        with self._read() as tx:
            return housekeeping.referred(tx, blobs)

    # -- notices
    def happenings(self, *, limit: int) -> News | None:
        with self._read() as tx:
            return telling.happenings(tx, limit)

    def enqueue(self, news: News, notices: Sequence[NewNotice]) -> bool:
        with self._write() as tx:
            return telling.enqueue(tx, news, notices)

    def due_notices(self, webhook: str, *, limit: int) -> list[Notice]:
        with self._read() as tx:
            return telling.due(tx, webhook, limit)

    def record_tries(self, batch: Sequence[Tried], *, give_up: datetime) -> list[str]:
        with self._write() as tx:
            return telling.record(tx, batch, give_up)

    def notices(self, webhook: str, *, state: NoticeState | None = None, limit: int, after: str = "") -> tuple[list[Notice], str]:
        with self._read() as tx:
            return telling.log(tx, webhook, state, limit, after)

    def notice(self, number: NoticeId) -> NoticeStory | None:
        with self._read() as tx:
            return telling.story(tx, number)

    def replay(self, webhook: str, *, notice: NoticeId | None = None, since: datetime | None = None) -> int:
        with self._write() as tx:
            return telling.replay(tx, webhook, notice, since)

    def health(self) -> dict[str, Health]:
        with self._read() as tx:
            return telling.health(tx)

    def forget_notices(self, before: datetime, *, limit: int) -> int:
        with self._write() as tx:
            return telling.forget(tx, before, limit)

    # -- objects and secrets
    def directory(self) -> Directory:
        with self._read() as tx:
            return documents.directory(tx)

    def directory_version(self) -> int:
        with self._read() as tx:
            return documents.directory_version(tx)

    def apply(self, put: Sequence[Object], remove: Sequence[tuple[str, str]], *, by: str) -> int:
        with self._write() as tx:
            return documents.apply(tx, put, remove, by)

    def suppressed(self, addresses: Sequence[str]) -> dict[str, Suppression]:
        with self._read() as tx:
            return keeping.suppressed(tx, addresses)

    def suppressions(self) -> list[Suppression]:
        with self._read() as tx:
            return keeping.suppressions(tx)

    def secret(self, name: str) -> bytes | None:
        with self._read() as tx:
            return keeping.secret(tx, name)

    def secrets(self) -> list[str]:
        with self._read() as tx:
            return keeping.secrets(tx)

    def put_secret(self, name: str, sealed: bytes | None) -> None:
        with self._write() as tx:
            keeping.put_secret(tx, name, sealed)

    def replace_secret(self, name: str, old: bytes, new: bytes) -> bool:
        with self._write() as tx:
            return keeping.replace_secret(tx, name, old, new)

    def lease(self, name: str, owner: str, ttl: timedelta) -> bool:
        with self._write() as tx:
            return keeping.lease(tx, name, owner, ttl)

    def unlease(self, name: str, owner: str) -> None:
        with self._write() as tx:
            keeping.unlease(tx, name, owner)

    # -- the audit log
    def audit(self, *, by: str, what: str, kind: str, name: str, before: str = "", after: str = "") -> None:
        with self._write() as tx:
            auditing.audit(tx, by=by, what=what, kind=kind, name=name, before=before, after=after)

    def audited(self, wanted: Wanted, *, limit: int, after: str = "") -> tuple[list[Change], str]:
        with self._read() as tx:
            return auditing.find(tx, wanted, limit, after)

    def forget_audit(self, before: datetime, *, limit: int) -> bool:
        with self._read() as tx:
            numbers = auditing.old(tx, before, limit)
        if numbers:
            with self._write() as tx:
                auditing.forget(tx, numbers)
        return bool(numbers)

    # -- the store itself
    def node(self) -> int:
        with self._write() as tx:
            tx.run(COUNT_NODE)
            row = tx.one(NODE)
            assert row is not None
            return int(row[0]) % 1024

    def ping(self) -> None:
        with self._write() as tx:
            tx.run(PING, tx.now)

    def close(self) -> None:
        self._database.engine.dispose()
        self._on_close()
