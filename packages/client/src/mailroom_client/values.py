"""What is sent and what is answered, as plain values. Times are aware `datetime`, sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class Problem(Exception):
    """The gateway refused, or can't be reached (`status` 0). The text says what to do."""

    def __init__(self, status: int, text: str, *, retry_after: float | None = None, enhanced: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.enhanced = enhanced
        """The status code of RFC 3463, where a mail was refused."""
        self.retry_after = retry_after
        """Seconds, if the gateway gave them."""

    @property
    def temporary(self) -> bool:
        """Whether the same may be tried again later."""
        return self.status in (0, 429) or self.status >= 500


@dataclass(frozen=True, slots=True)
class Attachment:
    filename: str
    content: bytes
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class InlineImage:
    """Shown by the HTML text as `<img src="cid:...">`."""

    cid: str
    content: bytes
    content_type: str = "image/png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    id: str
    accepted_at: datetime
    sender: str | None
    """Of the envelope; None is the null sender."""
    header_from: str
    message_id: str
    """The header field."""
    subject: str
    application: str
    kind: str
    size: int
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one recipient."""

    id: str
    recipient: str
    state: str
    server: str
    lane: str
    next: datetime | None
    expires_at: datetime
    attempts: int
    reply: str
    remote_id: str
    internet_message_id: str
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    message: Message
    delivery: Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    items: tuple[Found, ...]
    next: str
    """The cursor of the next page; empty at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    at: datetime
    name: str
    text: str
    delivery: str | None
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    started_at: datetime
    ended_at: datetime | None
    deliveries: tuple[str, ...]
    resolution: str
    looks: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One message with all that happened to it."""

    message: Message
    deliveries: tuple[Delivery, ...]
    attempts: tuple[Attempt, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    changed: int
    """Deliveries."""
    done: bool
    """False: there are more; ask again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A mail that came in, and what became of it."""

    id: str
    verdict: str
    why: str
    destinations: tuple[str, ...]
    duplicate: bool
    """It came with this key before; the rest is what was decided then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    id: str
    destination: str
    subject: str
    customer: str
    """Who wrote the first mail."""
    stage: str
    """`open` or `closed`."""
    assignee: str
    opened_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was said in a conversation, or happened."""

    kind: str
    at: datetime
    author: str
    text: str
    message: str | None
    """The id of the mail, for `story` and `raw`."""
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeConversation(Conversation):
    """With what stands in it, oldest first."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    """A page."""

    items: tuple[Conversation, ...]
    next: str


def read(cls: type[T], body: Mapping[str, Any]) -> T:
    """A value of the answer; what a newer gateway adds is left out."""
    kinds = get_type_hints(cls)
    return cls(**{each.name: _value(kinds[each.name], body[each.name]) for each in fields(cls)})  # type: ignore[arg-type]  # a dataclass


def _value(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        return tuple(_value(get_args(kind)[0], each) for each in value)
    if is_dataclass(kind):
        return read(cast("type[Any]", kind), value)
    if kind is datetime:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))  # Python 3.10 knows no Z
    return value
