"""Mail that other servers bring, from the first recipient to the commit.

    is there such an address? -> SPF, DKIM, ARC, DMARC -> our trace in front -> `Intake` (decide, commit)

The client waits meanwhile, so everything that is refused is refused in its session, and nobody gets a mail about it. What could not be
found out in time never costs a mail.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from mailroom.authenticity.evaluate import Evaluator, Peer, Results, header, undecided
from mailroom.intake.judge import Back, Came
from mailroom.intake.lookup import NewestTables
from mailroom.intake.onward import MX as BY
from mailroom.intake.take import Fetched, Intake
from mailroom.intake.trace import envelope_fields, received_field, without_results_of
from mailroom.objects import Directory
from mailroom.observe import events
from mailroom.ports import Clock, OpenBlob
from mailroom_core.errors import Refused, StoreError, StoreFull
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import head
from mailroom_core.mime.index import MAX_HEAD
from mailroom_core.mime.source import InMemory
from mailroom_core.model import Envelope, MessageId, show_id
from mailroom_core.policy.addresses import domain_of
from mailroom_core.policy.aliases import Tables
from mailroom_core.policy.dmarc import Wish

_MARGIN = 5.0
"""Seconds beyond the time for questions, in which the evaluation has to come to an end."""


class OnFail(Enum):
    """What we do with a mail whose sender's domain wants it quarantined or refused (DMARC)."""

    RECORD = "record"
    QUARANTINE = "quarantine"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving:
    """A whole mail with its envelope. Exactly one of `raw` and `spool` carries the bytes."""

    sender: str | None
    """None is the null reverse-path."""
    recipients: tuple[str, ...]
    raw: bytes | None
    spool: Path | None
    size: int
    client: IPv4Address | IPv6Address
    helo: str
    protocol: str
    """SMTP, ESMTP or ESMTPS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """As the settings have them."""

    hostname: str
    authserv_id: str
    on_fail: OnFail = OnFail.QUARANTINE
    redirectors: tuple[IPv4Network | IPv6Network, ...] = ()
    """Servers of ours that pass on mail of others."""
    destination: str = ""
    """Takes what no alias wants, at any address of our domains."""


@dataclass(slots=True, kw_only=True)
class Arrive:
    """Call it with a mail; what it returned for is never lost. Raises Refused."""

    intake: Intake
    evaluator: Evaluator
    directory: Callable[[], Directory]
    back: Back
    opened: Callable[[Path], OpenBlob]
    ids: Callable[[], int]
    clock: Clock
    spool: Path
    threads: Executor
    notify: Callable[[], None]
    rules: Rules
    _newest: NewestTables = field(init=False, default_factory=NewestTables)

    def check_recipient(self, client: IPv4Address | IPv6Address, address: str) -> None:
        """Raises Refused if mail for this address is not ours to take. Nothing is ever relayed."""
        tables = self.tables()
        domain = domain_of(address)
        if tables.takes(address) or (domain in tables.domains and (self.rules.destination or self._passes_on(client))):
            return
        if self.back(address, self.clock()):  # the way back of a mail that we have forwarded
            return
        if domain in tables.domains:
            raise Refused(550, "5.1.1", "There is no such address here. Please check how it is written")
        raise Refused(550, "5.7.1", "Mail for this domain is not taken here: relaying denied")

    def tables(self) -> Tables:
        """Made once for every version of the objects."""
        return self._newest(self.directory())

    async def __call__(self, mail: Arriving) -> MessageId:
        results = await self._evaluated(mail)
        doubt = self._doubt(mail, results)
        number, now = MessageId(self.ids()), self.clock()
        whole = self.spool / f"{show_id(number)}.mx.eml"
        try:
            envelope = await asyncio.to_thread(self._write, whole, mail, results, number, now)
            came = Came(
                by=BY,
                fallback=self.rules.destination,
                authserv_id=self.rules.authserv_id,
                envelope=envelope,
                in_session=True,
                doubt=doubt,
            )
            await self._take(Fetched(came=came, key=BY, remote_id="", file=whole, number=number))
        except OSError as problem:
            raise Refused(452, "4.3.1", "No room for this message at the moment; try again later", why=str(problem)) from problem
        finally:
            whole.unlink(missing_ok=True)
        self.notify()
        return number

    async def _take(self, fetched: Fetched) -> None:
        try:
            await self.intake(fetched)
        except StoreFull as problem:
            events.store_trouble(str(problem))
            raise Refused(452, "4.3.1", "No space left here; try again later", why=str(problem)) from None
        except StoreError as problem:
            events.store_trouble(str(problem))
            raise Refused(451, "4.3.0", "The mail could not be stored; try again later", why=str(problem)) from None

    async def _evaluated(self, mail: Arriving) -> Results:
        within = self.evaluator.within.total_seconds() + _MARGIN
        work = asyncio.get_running_loop().run_in_executor(self.threads, self._evaluate, mail)
        try:
            return await asyncio.wait_for(work, within)
        except TimeoutError:
            why = f"not found out within {within:.0f} seconds"
        except Exception as problem:  # noqa: BLE001  # one attempt: a mistake with the proofs of a mail must not cost the mail
            why = f"a mistake of ours ({type(problem).__name__})"
        events.not_evaluated(str(mail.client), why)
        return undecided(why)

    def _evaluate(self, mail: Arriving) -> Results:
        peer = Peer(client=mail.client, helo=mail.helo, sender=mail.sender)
        passed_on = self._passes_on(mail.client)
        if mail.raw is not None:
            return self.evaluator(InMemory(mail.raw), peer, passed_on=passed_on)
        with closing(self._file(mail)) as source:
            return self.evaluator(source, peer, passed_on=passed_on)

    def _doubt(self, mail: Arriving, results: Results) -> str:
        """Why a person has to look at it; empty if nobody has to. Raises Refused."""
        wish, rules = results.wish, self.rules
        if wish is Wish.NONE or rules.on_fail is OnFail.RECORD or self._passes_on(mail.client):
            return ""
        domain = results.dmarc.domain
        if wish is Wish.REJECT and rules.on_fail is OnFail.REJECT:
            text = f"{domain} wants mail refused that it has not proven to be its own (DMARC). Please show this to its administrator"
            raise Refused(550, "5.7.26", text)
        wanted = "refused" if wish is Wish.REJECT else "quarantined"
        return f"nothing proves that {domain} has sent it, which wants such mail {wanted} (DMARC)"

    def _write(self, path: Path, mail: Arriving, results: Results, number: MessageId, now: datetime) -> Envelope:
        """The mail with our trace in front, and the envelope that counts. Blocking."""
        rules = self.rules
        if mail.raw is not None:
            top = mail.raw
        else:
            with closing(self._file(mail)) as source:
                top = source.read_at(0, MAX_HEAD)
        fields = Fields(top)
        envelope = Envelope(mail.sender, self._recipients(mail, fields))
        received = received_field(
            helo=mail.helo,
            client=mail.client,
            host=rules.hostname,
            protocol=mail.protocol,
            name=show_id(number),
            recipients=mail.recipients,
            now=now,
        )
        trace = envelope_fields(envelope) + header(results, rules.authserv_id) + received
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            target.write(trace + without_results_of(fields, rules.authserv_id))
            if fields.end == fields.start and not fields.body_start:
                target.write(b"\r\n")  # it begins with what is no field: all of it is body
            target.write(top[fields.end :])
            if mail.spool is not None:
                target.flush()
                _copy_rest(mail.spool, target.fileno(), len(top))
        return envelope

    def _recipients(self, mail: Arriving, fields: Fields) -> tuple[str, ...]:
        """Who was written to before a server of ours redirected it is said by the head, and nobody else's head is believed."""
        if not self._passes_on(mail.client):
            return mail.recipients
        tables = self.tables()
        named = [each for each in head(fields).delivered_to if tables.takes(each)]
        return tuple(dict.fromkeys((*mail.recipients, *named)))

    def _passes_on(self, client: IPv4Address | IPv6Address) -> bool:
        return any(client in network for network in self.rules.redirectors)

    def _file(self, mail: Arriving) -> OpenBlob:
        assert mail.spool is not None, "there is one where there are no bytes"
        return self.opened(mail.spool)


def _copy_rest(spool: Path, target: int, start: int) -> None:
    with spool.open("rb") as source:
        source.seek(start)
        left = os.fstat(source.fileno()).st_size - start
        while left > 0 and (copied := os.copy_file_range(source.fileno(), target, left)):
            left -= copied
        if left > 0:
            raise OSError(f"{spool} has {left} bytes less than were received")
