"""Conversations and what stands in them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mailroom.conversations import Conversation, ConversationId, Entry, EntryKind, Stage
from mailroom.store.auditing import audit
from mailroom.store.database import Database, Row, Tx
from mailroom.store.values import micros, moment
from mailroom_core.model import MessageId, show_id

CONVERSATION = "id, destination, subject, customer, state, assignee, opened_at, changed_at"
ENTRY = "kind, at, author, text, message_id, header_message_id"
OPEN = f"INSERT INTO conversations ({CONVERSATION}) VALUES (?, ?, ?, ?, 'open', ?, ?, ?) ON CONFLICT (id) DO NOTHING"  # noqa: S608  # columns
ADD = f"""INSERT INTO entries (conversation_id, {ENTRY}) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (conversation_id, message_id) WHERE message_id IS NOT NULL DO NOTHING"""  # noqa: S608  # columns
TOUCH = "UPDATE conversations SET changed_at = ? WHERE id = ?"
REOPEN = "UPDATE conversations SET state = 'open' WHERE id = ?"
OF = """SELECT header_message_id, max(conversation_id) FROM entries WHERE header_message_id {names} AND header_message_id <> ''
    GROUP BY header_message_id"""
OF_ITS = """SELECT e.header_message_id, max(e.conversation_id) FROM entries e JOIN conversations c ON c.id = e.conversation_id
    WHERE e.header_message_id {names} AND e.header_message_id <> '' AND c.destination = ? GROUP BY e.header_message_id"""
STANDS = """SELECT e.conversation_id FROM entries e JOIN conversations c ON c.id = e.conversation_id
    WHERE e.message_id = ? AND c.destination = ?"""
ONE = f"SELECT {CONVERSATION} FROM conversations WHERE id = ?"  # noqa: S608  # columns
ENTRIES = f"SELECT {ENTRY} FROM entries WHERE conversation_id = ? ORDER BY at, id"  # noqa: S608  # columns
STAGE = "UPDATE conversations SET state = ?, changed_at = ? WHERE id = ?"
ASSIGN = "UPDATE conversations SET assignee = ?, changed_at = ? WHERE id = ?"

_DONE = {Stage.OPEN: "open again", Stage.CLOSED: "close"}


class SqlConversations:
    """See `conversations.Conversations` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._write = database.write
        self._read = database.read

    def add(
        self,
        destination: str,
        entry: Entry,
        *,
        subject: str,
        customer: str,
        to: ConversationId | None = None,
        assignee: str = "",
        spare: int = 0,
    ) -> tuple[ConversationId, bool]:
        assert entry.message_id is not None, "a mail has an id; use `note` for what is none"
        with self._write() as tx:
            number = _opened(tx, destination, entry.message_id) if to is None or tx.one(ONE, to) is None else to
            tx.run(OPEN, number, destination, subject, customer, assignee, tx.now, tx.now)
            if number != to and spare and _destination(tx, number) != destination:  # another one has got it, perhaps at this moment
                number = ConversationId(spare)
                tx.run(OPEN, number, destination, subject, customer, assignee, tx.now, tx.now)
            added = _add(tx, number, entry)
            if added and entry.kind is EntryKind.MAIL_IN:
                tx.run(REOPEN, number)
            return number, added

    def of(self, header_message_ids: Sequence[str], *, destination: str = "") -> dict[str, ConversationId]:
        with self._read() as tx:
            found = tx.by(OF_ITS, list(header_message_ids), destination) if destination else tx.by(OF, list(header_message_ids))
            return {name: ConversationId(number) for name, number in found}

    def all(self, *, stage: Stage | None = None, destination: str = "", limit: int, after: str = "") -> tuple[list[Conversation], str]:
        terms, parameters = ["TRUE"], list[object]()
        if stage is not None:
            terms, parameters = [*terms, "state = ?"], [*parameters, stage.value]
        if destination:
            terms, parameters = [*terms, "destination = ?"], [*parameters, destination]
        if after:
            changed, number = map(int, after.split("."))
            terms, parameters = [*terms, "(changed_at, id) < (?, ?)"], [*parameters, changed, number]
        statement = f"SELECT {CONVERSATION} FROM conversations WHERE {' AND '.join(terms)} ORDER BY changed_at DESC, id DESC LIMIT ?"  # noqa: S608
        with self._read() as tx:
            rows = tx.rows(statement, *parameters, limit + 1)
        found = [_conversation(row) for row in rows[:limit]]
        return found, f"{micros(found[-1].changed_at)}.{found[-1].id}" if len(rows) > limit else ""

    def one(self, conversation: ConversationId) -> tuple[Conversation, list[Entry]] | None:
        with self._read() as tx:
            row = tx.one(ONE, conversation)
            return None if row is None else (_conversation(row), [_entry(each) for each in tx.rows(ENTRIES, conversation)])

    def note(self, conversation: ConversationId, entry: Entry) -> bool:
        with self._write() as tx:
            return tx.one(ONE, conversation) is not None and _add(tx, conversation, entry)

    def change(self, conversation: ConversationId, *, by: str, stage: Stage | None = None, assignee: str | None = None) -> bool:
        with self._write() as tx:
            row = tx.one(ONE, conversation)
            if row is None:
                return False
            found = _conversation(row)
            noted = partial(audit, tx, by=by, kind="conversation", name=show_id(conversation))
            if stage not in (None, found.stage):
                tx.run(STAGE, stage.value, tx.now, conversation)
                noted(what=_DONE[stage], before=found.stage.value, after=stage.value)
            if assignee not in (None, found.assignee):
                tx.run(ASSIGN, assignee, tx.now, conversation)
                noted(what="assign", before=found.assignee, after=assignee)
            return True


def _opened(tx: Tx, destination: str, mail: MessageId) -> ConversationId:
    """The conversation that a mail has opened at a destination, or is to open there if no other destination has it."""
    row = tx.one(STANDS, mail, destination)
    return ConversationId(mail if row is None else row[0])


def _destination(tx: Tx, conversation: ConversationId) -> str:
    row = tx.one(ONE, conversation)
    return "" if row is None else _conversation(row).destination


def stand(tx: Tx, conversation: ConversationId, entry: Entry) -> None:
    """In the transaction that stores the mail; a conversation that is gone takes nothing."""
    if tx.one(ONE, conversation) is not None:
        _add(tx, conversation, entry)


def _add(tx: Tx, conversation: ConversationId, entry: Entry) -> bool:
    """Whether it was not there before."""
    values = (entry.kind.value, micros(entry.at), entry.author, entry.text, entry.message_id, entry.header_message_id)
    added = tx.run(ADD, conversation, *values) > 0
    if added:
        tx.run(TOUCH, tx.now, conversation)
    return added


def _conversation(row: Row) -> Conversation:
    number, destination, subject, customer, state, assignee, opened_at, changed_at = row
    return Conversation(
        id=ConversationId(number),
        destination=destination,
        subject=subject,
        customer=customer,
        stage=Stage(state),
        assignee=assignee,
        opened_at=moment(opened_at),
        changed_at=moment(changed_at),
    )


def _entry(row: Row) -> Entry:
    kind, at, author, text, message_id, header_message_id = row
    return Entry(
        kind=EntryKind(kind),
        at=moment(at),
        author=author,
        text=text,
        message_id=None if message_id is None else MessageId(message_id),
        header_message_id=header_message_id,
    )
