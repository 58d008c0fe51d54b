"""Sending what is above 2.9 MB: a JSON draft, its attachments one after another, then the send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailroom_core.flow import Flow, Note
from mailroom_core.model import Outcome, Remote
from mailroom_core.providers.graph.drafts import delete_draft, make_draft
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.sending import send_new_draft
from mailroom_core.providers.graph.uploads import Upload, attach


def send_large(mailbox: Mailbox, draft: Mapping[str, object], uploads: Sequence[Upload], marker: str) -> Flow[Outcome]:
    """Create the draft, attach everything in its order, send it. A draft that misses an attachment is deleted and never sent.

    Round trips: one to create, one per small attachment, one and one per 3 MiB for each large one, one to send.
    """
    made = yield from make_draft(mailbox, draft, marker, ready=False)
    if not isinstance(made, Remote):
        return made
    for upload in uploads:
        trouble = yield from attach(mailbox, made.remote_id, upload)
        if trouble is not None:
            yield from delete_draft(mailbox, made.remote_id)
            return trouble
    yield Note({"ready": "yes"})
    return (yield from send_new_draft(mailbox, made.remote_id))
