"""What can be asked, each call as a value: what goes out, and how the answer is read. No I/O."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from mailroom_client.values import Attachment, Changed, Conversations, InlineImage, Page, Story, Taken, WholeConversation, read

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and what its answer means."""

    method: str
    path: str
    read: Callable[[bytes, Any], T]
    """From the bytes of the answer, and the same as JSON (None if it is none)."""
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    content: bytes | Iterable[bytes] | AsyncIterable[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pages(Call[Page]):
    """A call whose answer goes on."""

    def after(self, cursor: str) -> Pages:
        return replace(self, query={**self.query, "cursor": cursor})


def send(
    *,
    sender: str,
    to: Sequence[str] = (),
    cc: Sequence[str] = (),
    bcc: Sequence[str] = (),
    reply_to: Sequence[str] = (),
    subject: str = "",
    text: str | None = None,
    html: str | None = None,
    attachments: Sequence[Attachment] = (),
    inline: Sequence[InlineImage] = (),
    headers: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    send_at: datetime | None = None,
    kind: str | None = None,
    idempotency_key: str = "",
) -> Call[str]:
    """Hand in a mail; its id. Addresses are `mary@example.com` or `Mary <mary@example.com>`."""
    body = {
        "from": sender,
        "to": list(to),
        "cc": list(cc),
        "bcc": list(bcc),
        "reply_to": list(reply_to),
        "subject": subject,
        "text": text,
        "html": html,
        "attachments": [_part(each) for each in attachments],
        "inline": [_part(each) for each in inline],
        "headers": dict(headers or {}),
        "tags": list(tags),
        "send_at": None if send_at is None else send_at.isoformat(),
        "kind": kind,
    }
    return Call("POST", "/messages", _id, json=body, headers=_key(idempotency_key))


def send_mime(
    content: bytes | Iterable[bytes] | AsyncIterable[bytes],
    *,
    sender: str | None,
    recipients: Sequence[str],
    tags: Sequence[str] = (),
    send_at: datetime | None = None,
    kind: str | None = None,
    idempotency_key: str = "",
) -> Call[str]:
    """Hand in a finished mail (RFC 5322), whole or in pieces; its id. `sender` None is the null sender.

    An iterable can be sent once; `AsyncMailroom` needs bytes or an async one.
    """
    query: dict[str, Any] = {"tag": list(tags)}
    if send_at is not None:
        query["send_at"] = send_at.isoformat()
    if kind is not None:
        query["kind"] = kind
    # In header fields, because addresses in a URL end in the log of some proxy.
    headers = {"Content-Type": "message/rfc822", "X-Envelope-From": sender or "<>", "X-Envelope-To": ", ".join(recipients)}
    return Call("POST", "/messages", _id, query=query, content=content, headers={**headers, **_key(idempotency_key)})


def story(id: str) -> Call[Story]:
    """One mail with all that happened to it."""
    return Call("GET", f"/messages/{quote(id, safe='')}", lambda _, body: read(Story, body))


def raw(id: str) -> Call[bytes]:
    """Its bytes, as long as the gateway keeps them."""
    return Call("GET", f"/messages/{quote(id, safe='')}/raw", lambda content, _: content)


def search(
    *,
    text: str = "",
    message_id: str = "",
    states: Sequence[str] = (),
    application: str = "",
    account: str = "",
    lane: str = "",
    tag: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
) -> Pages:
    """Deliveries that match all of it, newest first."""
    given = _selection(text, message_id, states, application, account, lane, tag, since, until)
    return Pages("GET", "/messages", lambda _, body: read(Page, body), query={**given, "limit": limit})


def act(id: str, action: str, *, delivery: str = "") -> Call[Changed]:
    """`retry`, `send-now`, `cancel`, `ignore` or `hold` a mail, or one delivery of it."""
    path = f"/messages/{quote(id, safe='')}" + (f"/deliveries/{quote(delivery, safe='')}" if delivery else "")
    return Call("POST", f"{path}/{quote(action, safe='')}", lambda _, body: read(Changed, body))


def act_on_all(
    action: str,
    *,
    text: str = "",
    message_id: str = "",
    states: Sequence[str] = (),
    application: str = "",
    account: str = "",
    lane: str = "",
    tag: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    everything: bool = False,
) -> Call[Changed]:
    """The same for all that match. `everything` is needed when nothing narrows it."""
    given = _selection(text, message_id, states, application, account, lane, tag, since, until)
    body = {"action": action, "query": given, "everything": everything}
    return Call("POST", "/actions", lambda _, answer: read(Changed, answer), json=body)


def move(
    server: str,
    *,
    text: str = "",
    message_id: str = "",
    states: Sequence[str] = (),
    application: str = "",
    account: str = "",
    lane: str = "",
    tag: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    everything: bool = False,
) -> Call[Changed]:
    """Let waiting or failed mail go by another outgoing server. `everything` is needed when nothing narrows it."""
    given = _selection(text, message_id, states, application, account, lane, tag, since, until)
    body = {"server": server, "query": given, "everything": everything}
    return Call("POST", "/moves", lambda _, answer: read(Changed, answer), json=body)


def hand_over(
    content: bytes | Iterable[bytes] | AsyncIterable[bytes],
    *,
    sender: str | None,
    recipients: Sequence[str],
    idempotency_key: str = "",
    refuse: bool = False,
    destination: str = "",
) -> Call[Taken]:
    """Hand over a mail (RFC 5322) that has come for the gateway elsewhere. `sender` None is the null sender.

    With `refuse`, what nobody takes is a Problem, and its sender is yours to tell. `destination` takes what no alias wants.
    """
    headers = {"Content-Type": "message/rfc822", "X-Envelope-From": sender or "<>", "X-Envelope-To": ", ".join(recipients)}
    query = {**({"refuse": "true"} if refuse else {}), **({"destination": destination} if destination else {})}
    headers |= _key(idempotency_key)
    return Call("POST", "/inbound", lambda _, body: read(Taken, body), content=content, headers=headers, query=query)


def conversations(*, stage: str = "", destination: str = "", limit: int = 50, cursor: str = "") -> Call[Conversations]:
    """Those that changed last come first; go on with `cursor`, the `next` of the page before."""
    given = {"stage": stage, "destination": destination, "cursor": cursor}
    query = {name: value for name, value in given.items() if value}
    return Call("GET", "/conversations", lambda _, body: read(Conversations, body), query={**query, "limit": limit})


def conversation(id: str) -> Call[WholeConversation]:
    """One conversation with all that was said in it."""
    return Call("GET", f"/conversations/{quote(id, safe='')}", _whole)


def note(id: str, text: str) -> Call[WholeConversation]:
    """Write something down in a conversation; nobody else gets it."""
    return Call("POST", f"/conversations/{quote(id, safe='')}/notes", _whole, json={"text": text})


def answer(id: str, text: str, *, html: str = "", sender: str = "", cc: Sequence[str] = (), idempotency_key: str = "") -> Call[str]:
    """Answer the last mail of a conversation, as `sender` or the address that was written to; the id of the mail."""
    body = {"text": text, "html": html, "from": sender, "cc": ", ".join(cc)}
    return Call("POST", f"/conversations/{quote(id, safe='')}/answers", _id, json=body, headers=_key(idempotency_key))


def change(id: str, *, stage: str | None = None, assignee: str | None = None) -> Call[WholeConversation]:
    """Open a conversation, close it, or give it to somebody."""
    given = {"stage": stage, "assignee": assignee}
    body = {name: value for name, value in given.items() if value is not None}
    return Call("PATCH", f"/conversations/{quote(id, safe='')}", _whole, json=body)


def _whole(_: bytes, body: Any) -> WholeConversation:
    return read(WholeConversation, body)


def _selection(
    text: str,
    message_id: str,
    states: Sequence[str],
    application: str,
    account: str,
    lane: str,
    tag: str,
    since: datetime | None,
    until: datetime | None,
) -> dict[str, Any]:
    given = {
        "text": text,
        "message_id": message_id,
        "state": list(states),
        "application": application,
        "account": account,
        "lane": lane,
        "tag": tag,
        "since": None if since is None else since.isoformat(),
        "until": None if until is None else until.isoformat(),
    }
    return {name: value for name, value in given.items() if value}


def _id(_: bytes, body: Any) -> str:
    return str(body["id"])


def _key(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


def _part(part: Attachment | InlineImage) -> dict[str, str]:
    return {**asdict(part), "content": base64.b64encode(part.content).decode()}
