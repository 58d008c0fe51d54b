"""Sending through Graph, in the fewest round trips that keep the promise of each tier.

`Mail.Send` alone: one request. Its lost answer is `Unknown`, and nobody can ask.

With `Mail.ReadWrite`: create the draft, have its immutable id and `internetMessageId` committed (`Note`), send it. Two round trips.
So a draft whose id was never committed was never sent, and after an unanswered send the very draft can be looked at. The marker
of the attempt is part of the request that creates the draft, see `marker`.

The facts of the notes are `draft_id`, `internet_message_id`, `conversation_id` and `ready`: `yes` when nothing is missing in the
draft, so that it may be sent (again), `no` while attachments are still on their way.

When a send is put off (`Deferred`) or held, its draft stays: send that draft with `send_draft`, or delete it, before a new one is
made. When it failed for good, the draft is deleted here.
"""

from __future__ import annotations

from collections.abc import Mapping

from mailroom_core.flow import Flow, NoResponse, Note, Request, Response, Streamed, ask, json_object
from mailroom_core.model import Deferred, Failed, Outcome, Remote, Reply, Sent, Unknown
from mailroom_core.providers.graph.errors import Trouble, judge, may_have_acted, no_answer
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.marker import mark_json, mark_mime

Draft = bytes | Streamed | Mapping[str, object]
"""A mail as base64 of its MIME (CRLF), or as the fields of Graph's JSON."""

MIME = "text/plain"
"""The content type by which Graph knows base64 of MIME."""


def send_mime_once(mailbox: Mailbox, raw_base64: bytes | Streamed) -> Flow[Outcome]:
    """Send a mail with nothing but `Mail.Send`: one round trip, no id, no way to look afterwards."""
    try:
        response = yield from ask(mailbox.post("sendMail", body=raw_base64, content_type=MIME))
    except NoResponse as problem:
        return Unknown(problem.why) if problem.sent else no_answer(problem)
    if is_success(response):  # 202, or the 200 that microsoft-graph-docs#13979 saw
        return Sent(_accepted(response))
    trouble = judge(response)
    return Unknown(str(trouble.reply)) if may_have_acted(response) else trouble


def send_by_draft(mailbox: Mailbox, draft: Draft, marker: str) -> Flow[Outcome]:
    """Create the draft, have its id committed, send it: two round trips, and the mail can be found again."""
    made = yield from make_draft(mailbox, draft, marker, ready=True)
    if not isinstance(made, Remote):
        return made
    return (yield from send_new_draft(mailbox, made.remote_id))


def make_draft(mailbox: Mailbox, draft: Draft, marker: str, *, ready: bool) -> Flow[Remote | Trouble]:
    """Create a draft with the marker in it and have its names committed. Trouble means that nothing will ever be sent of it."""
    try:
        response = yield from ask(_creation(mailbox, draft, marker))
    except NoResponse as problem:
        return no_answer(problem)
    if not is_success(response):
        return judge(response)
    remote = remote_of(json_object(response))
    if not remote.remote_id:
        text = "Graph made a draft and did not say which; it is tried again"
        return Deferred(Reply(response.status, text), unmapped=True)
    yield Note(
        {
            "draft_id": remote.remote_id,
            "internet_message_id": remote.internet_message_id,
            "conversation_id": remote.conversation_id,
            "ready": "yes" if ready else "no",
        }
    )
    return remote


def send_draft(mailbox: Mailbox, draft_id: str) -> Flow[Outcome]:
    """Send a draft whose id is committed; also again, after a look said that it still is a draft.

    Only throttling says for sure that this time nothing was sent. A draft that is gone, was changed just now or is none any more
    may have been sent by the send before: `Unknown`, look again.
    """
    try:
        response = yield from ask(mailbox.post("messages", draft_id, "send"))
    except NoResponse as problem:
        return Unknown(problem.why) if problem.sent else no_answer(problem)
    if is_success(response):
        return Sent(_accepted(response), remote_id=draft_id)
    trouble = judge(response)
    return Unknown(str(trouble.reply)) if isinstance(trouble, Deferred) and not trouble.lane else trouble


def send_new_draft(mailbox: Mailbox, draft_id: str) -> Flow[Outcome]:
    """Send a draft for the first time; if it is refused for good, it does not stay behind."""
    outcome = yield from send_draft(mailbox, draft_id)
    if isinstance(outcome, Failed):
        yield from delete_draft(mailbox, draft_id)
    return outcome


def delete_draft(mailbox: Mailbox, draft_id: str) -> Flow[Trouble | None]:
    """Delete a draft that was never sent. Never call it after an unanswered send: the id is then that of the sent mail."""
    try:
        response = yield from ask(mailbox.delete("messages", draft_id))
    except NoResponse as problem:
        return no_answer(problem)
    return None if is_success(response) or response.status == 404 else judge(response)


def remote_of(message: Mapping[str, object]) -> Remote:
    """The names of a message as Graph tells them."""
    return Remote(*(str(message.get(name) or "") for name in ("id", "internetMessageId", "conversationId")))


def is_success(response: Response) -> bool:
    return 200 <= response.status < 300


def _creation(mailbox: Mailbox, draft: Draft, marker: str) -> Request:
    if isinstance(draft, Mapping):
        return mailbox.post_json("messages", fields=mark_json(draft, marker))
    return mailbox.post("messages", body=mark_mime(draft, marker), content_type=MIME)


def _accepted(response: Response) -> Reply:
    return Reply(response.status, "accepted by Graph")
