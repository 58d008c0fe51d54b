"""What a report does: the delivery that it is about is bounced, with a reason, and a dead address gets nothing more.

Done before the report itself is stored, and harmless to do twice, so that a crash in between loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mailroom.conversations import ConversationId, Entry, EntryKind
from mailroom.intake.judge import Judged
from mailroom.objects import Directory, OdooTarget, Suppression
from mailroom.ports import CameBack, Found, Message, Query, Store
from mailroom_core.inbound import Action, Head, Report, ReportedRecipient
from mailroom_core.model import DeliveryId, MessageId, show_id
from mailroom_core.policy import bounces
from mailroom_core.policy.addresses import normalize
from mailroom_core.policy.bounces import Bounce, Judgement, judge, reply_of
from mailroom_core.policy.decision import Decision, Verdict
from mailroom_core.policy.reasons import Reason


@dataclass(frozen=True, slots=True)
class Tells:
    """A destination that is told which recipient a mail of its own did not reach."""

    destination: str
    recipient: str
    once: str
    """However many reports say it, it is told once."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What becomes of a mail after its report was applied, what its conversation shows of it, and who is told."""

    decision: Decision
    entry: tuple[ConversationId, Entry] | None = None
    about: str = ""
    """The Message-ID of the mail that the report is about, if that is ours."""
    tells: tuple[Tells, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounces:
    """Blocking."""

    store: Store
    settings: bounces.Settings
    named: Callable[[str], DeliveryId | None] = lambda address: None
    """The delivery whose envelope sender an address of ours was (VERP)."""
    goes_on: Callable[[Message, bool, datetime], str] = lambda about, verp, now: ""
    """To whom a report about a mail of ours is passed on; empty: to nobody. `verp`: it came to an envelope sender that we made."""
    told: Callable[[Message], str] = lambda about: ""
    """The destination that knows this mail of ours, and wants to hear that it did not arrive; empty: none does."""

    def _apply(self, judged: Judged, report: Report, now: datetime) -> tuple[Message, bool, Sequence[ReportedRecipient]] | None:
        """The mail of ours that a report is about, whether it came to an address that names it, and whom it did not reach; None: it is
        about somebody else's."""
        failures = report.failures
        named = self._named(judged.sent_to)
        if named is not None:  # whatever address the report knows: this one was written to
            failures = tuple(replace(each, address=named.delivery.recipient) for each in failures[:1])
        about = named.message if named else self._about(report)
        if about is None:
            return None
        self.store.came_back([_came_back(about.id, each, judge(each), now) for each in failures])
        for each in failures:
            self._suppress(each, now)
        return about, named is not None, failures

    def _named(self, sent_to: Iterable[str]) -> Found | None:
        number = next((found for each in sent_to if (found := self.named(each)) is not None), None)
        if number is None:
            return None
        return next((each for each in self.store.find(Query(delivery_id=number), limit=1)[0] if not each.message.source), None)

    def concerns_us(self, judged: Judged) -> bool:
        """Whether it is a report of a failure of a mail of ours; changes nothing."""
        report = judged.report
        if report is None or not report.failures:
            return False
        return self._named(judged.sent_to) is not None or self._about(report) is not None

    def applied(self, judged: Judged, number: MessageId, now: datetime) -> Applied:
        """What becomes of a mail, now that its report has been applied, if it bears one. `number` is its own."""
        report, decision = judged.report, judged.decision
        if report is None or decision.verdict not in (Verdict.BOUNCE, Verdict.RETURNED):
            return Applied(decision)
        found = self._apply(judged, report, now)
        if found is None and decision.verdict is Verdict.BOUNCE:
            why = f"{decision.why}, and no mail that left here is meant"
            return Applied(replace(decision, verdict=Verdict.QUARANTINED, why=why))
        if found is None:
            return Applied(decision)
        about, verp, failures = found
        decision = replace(decision, returns_to=decision.returns_to or self.goes_on(about, verp, now))
        tells = () if decision.returns_to else tuple(self._tells(about, failures))
        return Applied(decision, self._entry(number, report, about, judged.head, now), about.header_message_id, tells)

    def _tells(self, about: Message, failures: Iterable[ReportedRecipient]) -> Iterable[Tells]:
        destination = self.told(about)
        for each in dict.fromkeys(normalize(each.address) for each in failures if each.action is Action.FAILED and destination):
            if each:
                yield Tells(destination, each, f"bounce {show_id(about.id)} {each}")

    def _entry(self, number: MessageId, report: Report, about: Message, head: Head, now: datetime) -> tuple[ConversationId, Entry] | None:
        """Where the mail stands in a conversation, its bounce does as well."""
        where = self.store.conversations.of([about.header_message_id]).get(about.header_message_id)
        if where is None:
            return None
        return where, Entry(
            kind=EntryKind.BOUNCE,
            at=now,
            author=head.sender,
            text="; ".join(_told(each, judge(each)) for each in report.failures),
            message_id=number,
            header_message_id=head.message_id,
        )

    def _about(self, report: Report) -> Message | None:
        """By our marker, else by any of the Message-IDs, the surest first; of copies under one, that to whom the report names."""
        original = report.original
        number = self.store.attempted(original.marker) if original.marker else None
        marked = self.store.read(number) if number is not None else None
        if marked is not None:
            return marked
        found = self.store.sent_as(original.ids, {normalize(each.address) for each in report.failures if each.address})
        return next((found[name] for name in original.ids if name in found), None)

    def _suppress(self, failed: ReportedRecipient, now: datetime) -> None:
        address = normalize(failed.address)
        if not address:
            return
        rows = self.store.bounces_of(address, now - self.settings.window)
        known = [Bounce(at, Judgement(Reason[reason], permanent, hard)) for at, reason, permanent, hard in rows]
        if (why := bounces.suppression(known, now, self.settings)) and address not in self.store.suppressed([address]):
            self.store.apply([Suppression(address=address, reason=why, source="bounce")], [], by="bounce")


def hears_of_bounces(directory: Directory, about: Message) -> str:
    """The Odoo whose mail it was: it shows so at its record. Programs are told by webhooks, and an inbox has it in the conversation."""
    application = directory.applications.get(about.application)
    destination = directory.destinations.get(application.answers) if application else None
    return destination.name if destination and isinstance(destination.target, OdooTarget) else ""


def _came_back(number: MessageId, failed: ReportedRecipient, judgement: Judgement, now: datetime) -> CameBack:
    return CameBack(
        message_id=number,
        recipient=normalize(failed.address),
        at=now,
        name="complained" if failed.action is Action.COMPLAINED else "bounced",
        text=_told(failed, judgement),
        reply=reply_of(failed, judgement),
        reason=judgement.reason.name,
        permanent=judgement.permanent,
        hard=judgement.hard,
    )


def _told(failed: ReportedRecipient, judgement: Judgement) -> str:
    meaning = judgement.reason.value
    said = f" ({failed.diagnostic})" if failed.diagnostic else ""
    what = "called spam" if failed.action is Action.COMPLAINED else "did not arrive"
    return f"The mail to {failed.address or 'its recipient'} {what}: {meaning.what}. {meaning.advice}{said}"
