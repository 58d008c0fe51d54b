"""Sending through Graph, in the fewest round trips that keep the promise of each tier.

`Mail.Send` alone: one request. Its lost answer is `Unknown`, and nobody can ask.

With `Mail.ReadWrite`: create the draft, have its immutable id and `internetMessageId` committed (`Note`), send it. Two round trips.
So a draft whose id was never committed was never sent, and after an unanswered send the very draft can be looked at. The marker
of the attempt is part of the request that creates the draft, see `marker`.

The facts of the notes are `draft_id`, `internet_message_id`, `conversation_id` and `ready`: `yes` when nothing is missing in the
draft, so that it may be sent (again), `no` while attachments are still on their way.

When a send is put off (`Deferred`), its draft stays: send that draft with `send_draft`, or delete it, before a new one is made. When
it is refused (`Failed`, `Held`), nothing was sent and the draft is deleted here.
"""

from __future__ import annotations

from mailroom_core.flow import Flow, NoResponse, Response, Streamed, ask
from mailroom_core.model import Deferred, Failed, Held, Outcome, Remote, Reply, Sent, Unknown
from mailroom_core.providers.graph.drafts import MIME, Draft, delete_draft, make_draft
from mailroom_core.providers.graph.errors import judge, may_have_acted, no_answer
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.messages import is_success


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


def send_draft(mailbox: Mailbox, draft_id: str) -> Flow[Outcome]:
    """Send a draft whose id is committed; also again, after a look said that it still is a draft.

    Only throttling says for sure that this time nothing was sent. A draft that is gone, was changed just now or is none any more
    may have been sent by the send before, and one whose mailbox was moving by this one: `Unknown`, look again.
    """
    try:
        response = yield from ask(mailbox.post("messages", draft_id, "send"))
    except NoResponse as problem:
        return Unknown(problem.why) if problem.sent else no_answer(problem)
    if is_success(response):
        return Sent(_accepted(response), remote_id=draft_id)
    trouble = judge(response)
    unsure = isinstance(trouble, Deferred) and (not trouble.lane or may_have_acted(response))
    return Unknown(str(trouble.reply)) if unsure else trouble


def send_new_draft(mailbox: Mailbox, draft_id: str) -> Flow[Outcome]:
    """Send a draft that was certainly not sent yet; if it is refused, it does not stay behind."""
    outcome = yield from send_draft(mailbox, draft_id)
    if isinstance(outcome, (Failed, Held)):
        yield from delete_draft(mailbox, draft_id)
    return outcome


def _accepted(response: Response) -> Reply:
    return Reply(response.status, "accepted by Graph")
