"""A mailbox: folders, messages and the indexes by which they are found.

Every message has two ids, as in Exchange: the default one, which changes when the message is moved or sent, and the
immutable one. Nothing here looks through all messages to find one.
"""

import base64
import hashlib
import itertools
import struct
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from mailroom_emulator.content import Attachment, Content
from mailroom_emulator.tenant import Account

WELL_KNOWN = {
    "inbox": "Inbox",
    "drafts": "Drafts",
    "sentitems": "Sent Items",
    "deleteditems": "Deleted Items",
    "junkemail": "Junk Email",
    "archive": "Archive",
    "outbox": "Outbox",
    "conversationhistory": "Conversation History",
    "clutter": "Clutter",
    "recoverableitemsdeletions": "Deletions",
}
_HIDDEN = {"recoverableitemsdeletions"}
ROOT = "msgfolderroot"

K = TypeVar("K")

Place = tuple[datetime, int]  # where a message stands in its folder: when it was received, and its serial


@dataclass(eq=False)
class StoredMessage:
    """A message in a folder; what it says is `content`, which is replaced as a whole."""

    serial: int
    content: Content
    folder: "Folder"
    received: datetime
    created: datetime
    modified: datetime
    is_draft: bool
    is_read: bool
    conversation: str
    immutable_id: str
    id: str
    generation: int = 0
    version: int = 1
    properties: dict[str, str] = field(default_factory=dict)  # extended properties: as given -> value
    categories: list[str] = field(default_factory=list)
    flag: str = "notFlagged"
    damaged: bool = False  # can't be converted: $value and any page that contains it fail

    @property
    def place(self) -> Place:
        return (self.received, self.serial)


@dataclass(eq=False)
class Folder:
    id: str
    name: str
    parent: "Folder | None"
    well_known: str | None = None
    hidden: bool = False
    order: list[Place] = field(default_factory=list)
    unread: list[Place] = field(default_factory=list)
    messages: dict[int, StoredMessage] = field(default_factory=dict)

    def newest_first(self, *, unread: bool = False) -> Iterator[StoredMessage]:
        for _, serial in reversed(self.unread if unread else self.order):
            yield self.messages[serial]

    def older_than(self, place: Place | None) -> Iterator[StoredMessage]:
        """Newest first, from just below a place on."""
        end = len(self.order) if place is None else bisect_left(self.order, place)
        for at in range(end - 1, -1, -1):
            yield self.messages[self.order[at][1]]


@dataclass(frozen=True)
class Change:
    """A line of the mailbox's history, from which delta queries and notifications are answered."""

    number: int
    kind: str  # created, updated, deleted
    folder: str
    serial: int
    immutable_id: str
    id: str


class Mailbox:
    """The mail of one account."""

    def __init__(self, account: Account, on_change: Callable[["Mailbox", Change], None]) -> None:
        self.account = account
        self.folders: dict[str, Folder] = {}
        self.primed: set[str] = set()  # X-headers that a JSON message has used here (facts 1.3)
        self.changes: list[Change] = []
        self.delta_epoch = 1  # raised when the service forgets the state of delta tokens
        self._on_change = on_change
        self._guid = hashlib.sha256(account.oid.encode()).digest()[:16]
        self._serials = itertools.count(1)
        self._folder_serials = itertools.count(1)
        self._well_known: dict[str, Folder] = {}
        self._by_id: dict[str, StoredMessage] = {}
        self._by_internet_id: dict[str, dict[int, StoredMessage]] = {}
        self._by_conversation: dict[str, dict[int, StoredMessage]] = {}
        self._by_property: dict[tuple[str, str], dict[int, StoredMessage]] = {}
        root = self.add_folder("Top of Information Store", None, ROOT)
        for name, display in WELL_KNOWN.items():
            self.add_folder(display, root, name)

    # Folders

    def add_folder(self, name: str, parent: Folder | None, well_known: str | None = None) -> Folder:
        folder_id = self._make_id(b"\x00\x03$\x00", b"folder", next(self._folder_serials), 0)
        folder = Folder(folder_id, name, parent, well_known, hidden=well_known in _HIDDEN)
        self.folders[folder_id] = folder
        if well_known:
            self._well_known[well_known] = folder
        return folder

    def folder(self, name: str) -> Folder | None:
        """By id, or by well-known name in any case."""
        return self.folders.get(name) or self._well_known.get(name.lower())

    def well_known(self, name: str) -> Folder:
        return self._well_known[name]

    def children(self, parent: Folder) -> list[Folder]:
        return [f for f in self.folders.values() if f.parent is parent]

    # Messages

    def find(self, message_id: str) -> StoredMessage | None:
        """By default or immutable id; case counts."""
        return self._by_id.get(message_id)

    def by_internet_id(self, value: str) -> Iterator[StoredMessage]:
        yield from reversed(self._by_internet_id.get(value, {}).values())

    def by_conversation(self, value: str) -> Iterator[StoredMessage]:
        yield from reversed(self._by_conversation.get(value, {}).values())

    def by_property(self, name: str, value: str) -> Iterator[StoredMessage]:
        yield from reversed(self._by_property.get((property_key(name), value), {}).values())

    def all_messages(self) -> Iterator[StoredMessage]:
        seen = set()
        for message in self._by_id.values():
            if message.serial not in seen:
                seen.add(message.serial)
                yield message

    def create(
        self,
        content: Content,
        folder: Folder,
        now: datetime,
        *,
        is_draft: bool,
        is_read: bool,
        conversation_by_subject: bool = False,
        properties: dict[str, str] | None = None,
    ) -> StoredMessage:
        serial = next(self._serials)
        message = StoredMessage(
            serial=serial,
            content=content,
            folder=folder,
            received=now,
            created=now,
            modified=now,
            is_draft=is_draft,
            is_read=is_read,
            conversation=self._conversation(content, conversation_by_subject),
            immutable_id=self._make_id(b"\x00\t\x00.", b"immutable", serial, 0),
            id=self._make_id(b"\x00\x03$\x00", b"item", serial, 0),
            properties=dict(properties or {}),
        )
        self._enter(message)
        self._log("created", message)
        return message

    def touch(self, message: StoredMessage, now: datetime, **changes: object) -> None:
        """Change fields of a message and keep the indexes right."""
        self._leave(message)
        for name, value in changes.items():
            setattr(message, name, value)
        message.modified = now
        message.version += 1
        self._enter(message)
        self._log("updated", message)

    def move(self, message: StoredMessage, folder: Folder, now: datetime, **changes: object) -> None:
        """Move, under a new default id, as Exchange does."""
        self.take_out(message)
        self.put_back(message, folder, now, **changes)

    def take_out(self, message: StoredMessage) -> None:
        """Remove a message; its ids are unknown until it is put back."""
        self._leave(message)
        self._log("deleted", message)

    def put_back(self, message: StoredMessage, folder: Folder, now: datetime, **changes: object) -> None:
        for name, value in changes.items():
            setattr(message, name, value)
        message.folder = folder
        message.generation += 1
        message.version += 1
        message.modified = now
        message.id = self._make_id(b"\x00\x03$\x00", b"item", message.serial, message.generation)
        self._enter(message)
        self._log("created", message)

    def renew_immutable_id(self, message: StoredMessage) -> None:
        """For the oddity that even the immutable id changes on sending; only while the message is taken out."""
        message.immutable_id = self._make_id(b"\x00\t\x00.", b"immutable", message.serial, message.generation + 1)

    def attachment(self, attachments: tuple[Attachment, ...], attachment_id: str) -> Attachment | None:
        return next((a for a in attachments if a.id == attachment_id), None)

    def _enter(self, message: StoredMessage) -> None:
        folder = message.folder
        folder.messages[message.serial] = message
        _insert(folder.order, message.place)
        if not message.is_read:
            _insert(folder.unread, message.place)
        self._by_id[message.id] = message
        self._by_id[message.immutable_id] = message
        self._by_internet_id.setdefault(message.content.message_id, {})[message.serial] = message
        self._by_conversation.setdefault(message.conversation, {})[message.serial] = message
        for name, value in message.properties.items():
            self._by_property.setdefault((property_key(name), value), {})[message.serial] = message

    def _leave(self, message: StoredMessage) -> None:
        folder = message.folder
        del folder.messages[message.serial]
        _drop(folder.order, message.place)
        if not message.is_read:
            _drop(folder.unread, message.place)
        del self._by_id[message.id]
        del self._by_id[message.immutable_id]
        _unindex(self._by_internet_id, message.content.message_id, message.serial)
        _unindex(self._by_conversation, message.conversation, message.serial)
        for name, value in message.properties.items():
            _unindex(self._by_property, (property_key(name), value), message.serial)

    def _log(self, kind: str, message: StoredMessage) -> None:
        number = len(self.changes) + 1
        change = Change(number, kind, message.folder.id, message.serial, message.immutable_id, message.id)
        self.changes.append(change)
        self._on_change(self, change)

    def _conversation(self, content: Content, by_subject: bool) -> str:
        """The conversation of a message that this one answers, else one of its own."""
        for reference in reversed(f"{content.references or ''} {content.in_reply_to or ''}".split()):
            for known in self.by_internet_id(reference):
                return known.conversation
        root = content.subject.lower() if by_subject else content.message_id
        return self._make_id(b"\x00\x04", b"conversation" + root.encode("utf-8", "replace"), 0, 0)

    def _make_id(self, prefix: bytes, kind: bytes, serial: int, generation: int) -> str:
        """A case-sensitive id that ends in `=`, as Graph's do; unique by serial and generation."""
        number = struct.pack(">IH", serial, generation)
        digest = hashlib.blake2b(kind + number, digest_size=12, key=self._guid).digest()
        raw = prefix + self._guid + digest + number
        return base64.urlsafe_b64encode(raw + b"\x00" * ((2 - len(raw)) % 3)).decode()


def property_key(name: str) -> str:
    """The name of an extended property without the differences that don't count."""
    return " ".join(name.lower().split())


def _insert(places: list[Place], place: Place) -> None:
    if not places or places[-1] < place:
        places.append(place)
    else:
        insort(places, place)


def _drop(places: list[Place], place: Place) -> None:
    at = bisect_left(places, place)
    if at < len(places) and places[at] == place:
        del places[at]


def _unindex(index: dict[K, dict[int, StoredMessage]], key: K, serial: int) -> None:
    found = index.get(key)
    if found is not None:
        found.pop(serial, None)
        if not found:
            del index[key]
