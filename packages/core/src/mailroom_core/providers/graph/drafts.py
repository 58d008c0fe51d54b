"""Drafts: made with their marker, noted, deleted, and found again when nobody knows them."""

from __future__ import annotations

from collections.abc import Mapping

from mailroom_core.flow import Flow, NoResponse, Note, Request, Streamed, ask, json_object
from mailroom_core.model import Remote, Trouble
from mailroom_core.providers.graph.errors import judge, may_have_acted, no_answer
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.marker import mark_json, mark_mime, marker_filter, marker_of
from mailroom_core.providers.graph.messages import is_success, remote_of, search, unreadable

Draft = bytes | Streamed | Mapping[str, object]
"""A mail as base64 of its MIME (CRLF), or as the fields of Graph's JSON."""

MIME = "text/plain"
"""The content type by which Graph knows base64 of MIME."""


def make_draft(mailbox: Mailbox, draft: Draft, marker: str, *, ready: bool) -> Flow[Remote | Trouble]:
    """Create a draft with the marker in it and have its names committed. Trouble means that nothing will ever be sent of it.

    Where the answer leaves open whether a draft was made, it is looked for at once and deleted; what that misses is an orphan.
    """
    try:
        response = yield from ask(_creation(mailbox, draft, marker))
    except NoResponse as problem:
        if problem.sent:
            yield from sweep(mailbox, marker)
        return no_answer(problem)
    if not is_success(response):
        if may_have_acted(response):
            yield from sweep(mailbox, marker)
        return judge(response)
    remote = remote_of(json_object(response))
    if not remote.remote_id:
        return unreadable(response)
    yield Note(
        {
            "draft_id": remote.remote_id,
            "internet_message_id": remote.internet_message_id,
            "conversation_id": remote.conversation_id,
            "ready": "yes" if ready else "no",
        }
    )
    return remote


def delete_draft(mailbox: Mailbox, draft_id: str) -> Flow[Trouble | None]:
    """Delete a draft that was never sent. Never call it after an unanswered send: the id is then that of the sent mail."""
    try:
        response = yield from ask(mailbox.delete("messages", draft_id))
    except NoResponse as problem:
        return no_answer(problem)
    return None if is_success(response) or response.status == 404 else judge(response)


def orphans(mailbox: Mailbox, marker: str) -> Flow[tuple[str, ...] | Trouble]:
    """Ids of the drafts that bear exactly this marker. If the attempt never committed a draft, they were never sent."""
    messages = yield from search(mailbox, "drafts", marker_filter(marker))
    if not isinstance(messages, list):
        return messages
    return tuple(str(message["id"]) for message in messages if marker_of(message) == marker and message.get("isDraft") is True)


def sweep(mailbox: Mailbox, marker: str) -> Flow[Trouble | None]:
    """Delete the orphans of an attempt that never committed a draft. None: there is none any more."""
    found = yield from orphans(mailbox, marker)
    if not isinstance(found, tuple):
        return found
    for draft_id in found:
        trouble = yield from delete_draft(mailbox, draft_id)
        if trouble is not None:
            return trouble
    return None


def _creation(mailbox: Mailbox, draft: Draft, marker: str) -> Request:
    if isinstance(draft, Mapping):
        return mailbox.post_json("messages", fields=mark_json(draft, marker))
    return mailbox.post("messages", body=mark_mime(draft, marker), content_type=MIME)
