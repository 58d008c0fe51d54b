"""Microsoft Graph: drives the core's flows for one mailbox.

With `Mail.ReadWrite` a mail goes by draft, whose id is committed before it is sent, so that nothing is sent twice; above what Graph
takes as MIME, by draft with uploaded attachments. With `Mail.Send` alone it goes in one request, and a lost answer stays unknown.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mailroom.objects import OnUnsure
from mailroom.ports import Job, Remember
from mailroom.transports.http import Http
from mailroom_core.errors import MimeError
from mailroom_core.flow import Flow, Note, arun
from mailroom_core.mime import graph_json
from mailroom_core.mime.index import decoded
from mailroom_core.mime.rewrite import for_envelope
from mailroom_core.mime.source import ReadAt, Streamed
from mailroom_core.model import Deferred, DeliveryId, Envelope, Failed, Held, Outcome, Reply, Unknown
from mailroom_core.providers.graph import large, looking, sending
from mailroom_core.providers.graph.mailbox import Mailbox

MIME_LIMIT = 2_900_000
"""Bytes of MIME: what four MB of request hold after base64 (Microsoft Graph docs; facts 1.2)."""
PATIENCE = 5
"""How often one attempt sends a throttled draft, at the pace that the provider wants."""


class Graph:
    """One mailbox. `read_write` is the account's permission tier."""

    def __init__(self, mailbox: Mailbox, http: Http, *, read_write: bool, on_unsure: OnUnsure) -> None:
        self._mailbox = mailbox
        self._http = http
        self._read_write = read_write
        self._on_unsure = on_unsure

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        try:
            outcome = await self._send(job, remember)
        except MimeError as problem:
            outcome = Failed(Reply(554, str(problem), "5.6.0"))
        return dict.fromkeys(job.recipients, outcome)

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        if self._read_write:
            recipients = tuple(job.recipients.values())
            outcome = await self._run(looking.resolve(self._mailbox, job.attempt.facts, job.attempt.marker, recipients), remember)
        elif self._on_unsure is OnUnsure.RETRY:
            outcome = Deferred(Reply(0, "No answer came, and with Mail.Send alone nobody can look: sent again, it may arrive twice"))
        else:
            text = "No answer came, and with Mail.Send alone nobody can look. Look into Sent Items, then retry it or ignore it"
            outcome = Held(Reply(0, text))
        return dict.fromkeys(job.recipients, outcome)

    async def close(self) -> None: ...

    async def _send(self, job: Job, remember: Remember) -> Outcome:
        if job.source.size > MIME_LIMIT:
            return await self._large(job, remember)
        mime = _base64(_rewritten(job))
        if not self._read_write:
            return await self._run(sending.send_mime_once(self._mailbox, mime), remember)
        return await self._drafted(sending.send_by_draft(self._mailbox, mime, job.attempt.marker), remember)

    async def _large(self, job: Job, remember: Remember) -> Outcome:
        if not self._read_write:
            text = f"Above {MIME_LIMIT} bytes Microsoft Graph needs Mail.ReadWrite, and the mail has {job.source.size}"
            return Held(Reply(0, f"{text}. Connect the account with it, then retry"))
        mail = graph_json.graph_mail(job.source, _envelope(job), rewrite_from=job.message.rewrite_from)
        uploads = [_Upload(job.source, attachment) for attachment in mail.attachments]
        return await self._drafted(large.send_large(self._mailbox, mail.draft, uploads, job.attempt.marker), remember)

    async def _drafted(self, flow: Flow[Outcome], remember: Remember) -> Outcome:
        """A throttled `/send` leaves its draft behind: the same draft is sent again, when the lane's pace allows it."""
        draft: dict[str, str] = {}

        async def noting(facts: Mapping[str, str]) -> None:
            await remember(facts)
            draft.update(facts)

        outcome = await self._run(flow, noting)
        for _ in range(PATIENCE):
            if not (isinstance(outcome, Deferred) and draft.get("ready") == "yes"):
                return outcome
            outcome = await self._run(sending.send_draft(self._mailbox, draft["draft_id"]), noting)
        return Unknown(f"the draft waits to be sent: {outcome}", looked=False) if isinstance(outcome, Deferred) else outcome

    async def _run(self, flow: Flow[Outcome], remember: Remember) -> Outcome:
        async def commit(note: Note) -> None:
            await remember(note.facts)

        return await arun(flow, self._http, commit)


@dataclass(frozen=True, slots=True)
class _Upload:
    """An attachment of the stored mail, decoded while it is read."""

    source: ReadAt
    attachment: graph_json.Attachment

    @property
    def name(self) -> str:
        return self.attachment.name

    @property
    def content_type(self) -> str:
        return self.attachment.content_type

    @property
    def size(self) -> int:
        return self.attachment.size

    @property
    def inline(self) -> bool:
        return self.attachment.inline

    @property
    def content_id(self) -> str:
        return self.attachment.content_id

    def read(self, start: int, length: int) -> bytes:
        return decoded(self.source, self.attachment.part, start, length)


def _envelope(job: Job) -> Envelope:
    return Envelope(job.message.sender, tuple(job.recipients.values()))


def _rewritten(job: Job) -> Streamed:
    return for_envelope(job.source, _envelope(job), rewrite_from=job.message.rewrite_from)


def _base64(mime: Streamed) -> Streamed:
    """Graph wants base64 of the whole MIME."""

    def encoded() -> Iterator[bytes]:
        rest = b""
        for chunk in mime.chunks():
            rest += chunk
            whole = len(rest) // 3 * 3
            yield base64.b64encode(rest[:whole])
            rest = rest[whole:]
        yield base64.b64encode(rest)

    return Streamed((mime.length + 2) // 3 * 4, encoded)
