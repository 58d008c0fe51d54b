"""Microsoft Graph: drives the core's flows for one mailbox.

With `Mail.ReadWrite` a mail goes by draft, whose id is committed before it is sent, so that nothing is sent twice; above what Graph
takes as MIME, by draft with uploaded attachments. With `Mail.Send` alone it goes in one request, and a lost answer stays unknown.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mailroom.objects import OnUnsure
from mailroom.ports import ALONE, SENT_AGAIN, Clock, Job, Remember
from mailroom.transports import ways
from mailroom.transports.graph_alone import each_alone, look_alone
from mailroom.transports.http import Http
from mailroom_core.errors import MimeError
from mailroom_core.flow import Flow, Note, arun
from mailroom_core.mime.graph_json import graph_mail
from mailroom_core.mime.rewrite import for_envelope
from mailroom_core.mime.source import Streamed, in_base64
from mailroom_core.model import Deferred, DeliveryId, Envelope, Failed, Held, Outcome, Reply, Unknown
from mailroom_core.policy.addresses import is_deliverable
from mailroom_core.providers.graph import large, looking, sending
from mailroom_core.providers.graph.errors import wants_sign_in
from mailroom_core.providers.graph.limits import MIME_LIMIT
from mailroom_core.providers.graph.mailbox import Mailbox

PATIENCE = 5
"""How often one attempt sends a throttled draft, at the pace that the provider wants."""

_NO_ADDRESS = Failed(Reply(553, "this is no mail address; correct it and send again", "5.1.3"), bad_address=True)


class Graph:
    """One mailbox. `read_write` is the account's permission tier."""

    def __init__(
        self,
        mailbox: Mailbox,
        http: Http,
        *,
        account: str,
        read_write: bool,
        on_unsure: OnUnsure,
        clock: Clock = lambda: datetime.now(UTC),
    ) -> None:
        self._mailbox = mailbox
        self._http = http
        self._again = f"mailroom connect {shlex.quote(account)}"
        self._read_write = read_write
        self._on_unsure = on_unsure
        self._clock = clock

    @property
    def way(self) -> str:
        return ways.DRAFT if self._read_write else ways.ONCE

    async def attempt(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        """What can be nobody's address never reaches Graph, which would refuse the mail for all."""
        refused = dict.fromkeys((d for d, address in job.recipients.items() if not is_deliverable(address)), _NO_ADDRESS)
        job = replace(job, recipients={d: address for d, address in job.recipients.items() if d not in refused})
        if not job.recipients:
            return refused
        outcome = await self._send(job, remember)
        if _blames_one_of(outcome, job):
            return {**refused, **await each_alone(job, remember, self._send, self._more)}
        return {**refused, **dict.fromkeys(job.recipients, outcome)}

    async def resolve(self, job: Job, remember: Remember) -> Mapping[DeliveryId, Outcome]:
        """By the way that the attempt took: what went in one request left no draft, also if the account may look by now."""
        if ALONE in job.attempt.facts:
            return await look_alone(job, remember, self._resolved)
        outcome = await self._resolved(job, remember)
        if _blames_one_of(outcome, job):
            why = "Graph refused the mail for one of its recipients, and nothing was sent; it begins anew, and each is tried alone"
            outcome = Deferred(Reply(0, why), timedelta())
        return dict.fromkeys(job.recipients, outcome)

    async def _resolved(self, job: Job, remember: Remember) -> Outcome:
        match ways.way_of(job):
            case ways.DRAFT if self._read_write:
                recipients = tuple(job.recipients.values())
                flow = looking.resolve(self._mailbox, job.attempt.facts, job.attempt.marker, recipients)
                return await self._run(flow, self._counting(job, remember), self._http)
            case ways.DRAFT:
                text = "No answer came, and the account may not look any more: it has lost Mail.ReadWrite"
                return Held(Reply(0, f"{text}. Look into Sent Items, then retry it or ignore it"))
            case ways.ONCE if self._on_unsure is OnUnsure.RETRY:
                return Deferred(Reply(0, "No answer came, and with Mail.Send alone nobody can look: sent again, it may arrive twice"))
            case ways.ONCE:
                text = "No answer came, and with Mail.Send alone nobody can look. Look into Sent Items, then retry it or ignore it"
                return Held(Reply(0, text))
            case _:
                return ways.not_ours(job)

    async def close(self) -> None: ...

    async def _send(self, job: Job, remember: Remember) -> Outcome:
        try:
            return await self._sent(job, remember)
        except MimeError as problem:
            return Failed(Reply(554, str(problem), "5.6.0"))

    async def _sent(self, job: Job, remember: Remember) -> Outcome:
        if job.source.size > MIME_LIMIT:
            return await self._large(job, remember)
        mime = in_base64(await asyncio.to_thread(_rewritten, job))
        if not self._read_write:
            return await self._run(sending.send_mime_once(self._mailbox, mime), remember, self._patient(job))
        return await self._drafted(job, sending.send_by_draft(self._mailbox, mime, job.attempt.marker), remember)

    async def _large(self, job: Job, remember: Remember) -> Outcome:
        if not self._read_write:
            text = f"Above {MIME_LIMIT} bytes Microsoft Graph needs Mail.ReadWrite, and the mail has {job.source.size}"
            return Held(Reply(0, f"{text}. Run: {self._again} --read-write, then retry the mail"))
        envelope, rewrite_from = _envelope(job), job.message.rewrite_from
        mail = await asyncio.to_thread(graph_mail, job.source, envelope, rewrite_from=rewrite_from)
        if mail.lost:
            await remember({"lost": "; ".join(mail.lost)})
        return await self._drafted(job, large.send_large(self._mailbox, mail.draft, mail.attachments, job.attempt.marker), remember)

    async def _drafted(self, job: Job, flow: Flow[Outcome], remember: Remember) -> Outcome:
        """A throttled `/send` leaves its draft behind: the same draft is sent again, when the lane's pace allows it.

        A draft that can't be sent in this attempt is left to the looks, which send the same one and never a second.
        """
        draft: dict[str, str] = {}
        http = self._patient(job)

        async def noting(facts: Mapping[str, str]) -> None:
            await remember(facts)
            draft.update(facts)

        outcome = await self._run(flow, noting, http)
        for _ in range(PATIENCE):
            if not (isinstance(outcome, Deferred) and draft.get("ready") == "yes"):
                return outcome
            outcome = await self._run(sending.send_new_draft(self._mailbox, draft["draft_id"]), noting, http)
        return Unknown(str(outcome.reply), looked=False, waits=True) if isinstance(outcome, Deferred) else outcome

    def _counting(self, job: Job, remember: Remember) -> Remember:
        """What a look sends counts as a mail of the lane."""

        async def noting(facts: Mapping[str, str]) -> None:
            await remember(facts)
            if SENT_AGAIN in facts and self._http.pace:
                self._http.pace.left(len(job.recipients))

        return noting

    def _more(self) -> bool:
        return self._http.pace is None or self._http.pace.more()

    def _patient(self, job: Job) -> Http:
        """A request may wait for its turn until half of the attempt's time is over: the rest is for what it does then."""
        attempt = job.attempt
        half = attempt.started_at + (attempt.deadline - attempt.started_at) / 2
        return replace(self._http, patience=lambda: half - self._clock())

    async def _run(self, flow: Flow[Outcome], remember: Remember, http: Http) -> Outcome:
        async def commit(note: Note) -> None:
            await remember(note.facts)

        outcome = await arun(flow, http, commit)
        if isinstance(outcome, Held) and wants_sign_in(outcome.reply):
            return replace(outcome, reply=replace(outcome.reply, text=f"{outcome.reply.text}; the command is: {self._again}"))
        return outcome


def _blames_one_of(outcome: Outcome, job: Job) -> bool:
    """Graph says that a recipient is not valid, and not which."""
    return isinstance(outcome, Failed) and outcome.bad_address and len(job.recipients) > 1


def _envelope(job: Job) -> Envelope:
    return Envelope(job.message.sender, tuple(job.recipients.values()))


def _rewritten(job: Job) -> Streamed:
    return for_envelope(job.source, _envelope(job), rewrite_from=job.message.rewrite_from)
