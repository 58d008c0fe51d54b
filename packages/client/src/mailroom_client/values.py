"""What is sent and what is answered, as plain values. Times are aware `datetime`, sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


class Problem(Exception):
    """The gateway refused, or can't be reached (`status` 0). The text says what to do."""

    def __init__(self, status: int, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.status = status
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


_PARTS = {"message": Message, "delivery": Delivery, "items": Found, "deliveries": Delivery, "attempts": Attempt, "events": Event}
_TIMES = {"accepted_at", "next", "expires_at", "updated_at", "at", "started_at", "ended_at"}


def read(cls: type[T], body: Mapping[str, Any]) -> T:
    """A value of the answer; what a newer gateway adds is left out."""
    kinds = get_type_hints(cls)
    return cls(**{each.name: _value(each.name, kinds[each.name], body[each.name]) for each in fields(cls)})  # type: ignore[arg-type]  # a dataclass


def _value(name: str, kind: Any, value: Any) -> Any:
    if isinstance(value, dict) and name in _PARTS:
        return read(_PARTS[name], value)
    if isinstance(value, list):
        return tuple(read(_PARTS[name], each) if isinstance(each, dict) else each for each in value)
    if isinstance(value, str) and name in _TIMES and kind is not str:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))  # Python 3.10 knows no Z
    return value
