"""What becomes of a received mail, and why: a pure decision, in the order in which Odoo 19 takes it.

    too many hops, our own mark -> bounce of what we forwarded -> report -> answer to an answer of ours -> bounce address
    -> reply or forward -> automatic mail -> only to the catchall -> aliases -> fallback of the incoming server
    -> also to the catchall -> unknown

What differs from Odoo, on purpose: automatic answers and mailing lists open nothing, the limit per sender holds for the fallback as
well, a read receipt is no bounce, what nobody can place is kept and shown, and our own answers are counted.

`questions` says what a caller has to look up, `Facts` are the answers. Both are plain data, so that one transaction (or one call
to an ERP) is enough, and a decision can be explained later from what it was taken from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mailroom_core.inbound import ANSWER_TAGS, Automatic, Head, Report, ReportKind
from mailroom_core.policy.addresses import normalize
from mailroom_core.policy.aliases import Alias, Tables, Who
from mailroom_core.policy.answers import AnswerKind, answer
from mailroom_core.policy.decision import Arrival, Decision, Facts, Known, Questions, Route, Settings, Step, Verdict
from mailroom_core.policy.senders import allowed


def questions(mail: Head, arrival: Arrival, tables: Tables) -> Questions:
    """What `route` needs to know."""
    addressed = _Addressed(mail, arrival)
    return Questions(
        ids=mail.ids,
        conversation=arrival.conversation,
        sender=normalize(mail.sender),
        aliases=tuple(tables.matching((*addressed.everybody, *addressed.hidden))),
    )


def route(
    mail: Head, arrival: Arrival, tables: Tables, facts: Facts, settings: Settings | None = None, report: Report | None = None
) -> Decision:
    """What becomes of a mail. `report` is what `mime.bounce` has read in it, None if it is none."""
    return _Router(mail, arrival, tables, facts, settings or Settings(), report).run()


class _Addressed:
    """To whom a mail is addressed, normalised: by the envelope where there is one, else by the head."""

    def __init__(self, mail: Head, arrival: Arrival) -> None:
        if arrival.envelope is not None:
            self.to = self.everybody = _normal(arrival.envelope.recipients)
            self.hidden: tuple[str, ...] = ()
            return
        self.to = _normal((*mail.delivered_to, *_addresses(mail.to)))
        self.everybody = _normal((*self.to, *_addresses(mail.cc), *_addresses(mail.resent)))
        self.hidden = _normal(mail.received_for)


def _addresses(mailboxes: Iterable[tuple[str, str]]) -> list[str]:
    return [address for _, address in mailboxes]


def _normal(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(normalize(address) for address in addresses))


class _Router:
    """One decision. Each rule gives a decision, or says why it has none and leaves the mail to the next one."""

    def __init__(self, mail: Head, arrival: Arrival, tables: Tables, facts: Facts, settings: Settings, report: Report | None) -> None:
        self.mail, self.arrival, self.tables, self.facts, self.settings, self.report = mail, arrival, tables, facts, settings, report
        self.addressed = _Addressed(mail, arrival)
        self.steps: list[Step] = []

    def run(self) -> Decision:
        rules = (
            ("hops", self._hops),
            ("mark", self._mark),
            ("forwarded", self._forwarded),
            ("report", self._report),
            ("our answer", self._our_answer),
            ("bounce address", self._bounce_address),
            ("reply", self._reply),
            ("automatic", self._automatic),
            ("catchall alone", self._catchall_alone),
            ("aliases", self._aliases),
            ("fallback", self._fallback),
            ("catchall", self._catchall),
        )
        for name, rule in rules:
            found = rule()
            if isinstance(found, Decision):
                return self._end(name, found)
            self.steps.append(Step(name, found))
        return self._end("unknown", self._unknown())

    def _end(self, rule: str, decision: Decision) -> Decision:
        decision = self._with_doubt(self._with_limit(decision))
        return replace(decision, steps=(*self.steps, Step(rule, decision.why, decided=True)))

    # Loops

    def _hops(self) -> Decision | str:
        if self.mail.hops > self.settings.most_hops:
            why = f"it has passed {self.mail.hops} servers, at most {self.settings.most_hops} are usual"
            if self.arrival.in_session:
                return self._answered(AnswerKind.ROUND_IN_CIRCLES, why, "")
            return Decision(verdict=Verdict.LOOP, why=why)
        return f"it has passed {self.mail.hops} servers"

    def _mark(self) -> Decision | str:
        if self.settings.mark and self.settings.mark in self.mail.loop_marks:
            return Decision(verdict=Verdict.LOOP, why="it was written or forwarded by this gateway, and has come back")
        return "it does not bear our mark"

    def _our_answer(self) -> Decision | str:
        for each in self.mail.ids:
            known = self.facts.known.get(each)
            if (known is not None and known.answer) or any(tag in each for tag in ANSWER_TAGS):
                return Decision(verdict=Verdict.LOOP, why=f"it answers an automatic answer ({each})")
        return "it answers no automatic answer of ours"

    def _with_doubt(self, decision: Decision) -> Decision:
        if not self.arrival.doubt or not decision.routes:
            return decision
        return Decision(verdict=Verdict.QUARANTINED, why=f"{self.arrival.doubt}; else: {decision.why}")

    def _with_limit(self, decision: Decision) -> Decision:
        """One route over the limit stops the whole mail."""
        settings, sender = self.settings, self.mail.sender
        if not decision.routes or not sender or allowed(settings.exempt, sender):
            return decision
        minutes = int(settings.loop_window.total_seconds() // 60)
        for each in decision.routes:
            count = self.facts.added.get(each.thread, 0) if each.thread else self.facts.opened.get(each.target, 0)
            if count >= settings.loop_count:
                what = f"added to {each.thread}" if each.thread else f"that opened something in {each.target}"
                why = f"{sender} has sent {count} mails {what} within {minutes} minutes, and {settings.loop_count} are allowed"
                kind = AnswerKind.LATER if self.arrival.in_session else AnswerKind.TOO_MANY
                return self._answered(kind, why, "", verdict=Verdict.LOOP)
        return decision

    # Reports

    def _forwarded(self) -> Decision | str:
        """A bounce of what we forwarded goes on to its sender; nothing else does, or everybody could write through us."""
        to, most = self.arrival.returns_to, self.settings.loop_count
        if not to:
            return "it did not come back to a mail that we forwarded"
        if self.report is None and self.mail.return_path != "":
            why = f"it was sent to the way back of mail from {to}, and is no bounce"
            return Decision(verdict=Verdict.QUARANTINED, why=why)
        if self.facts.returned >= most:
            minutes = int(self.settings.loop_window.total_seconds() // 60)
            why = f"{to} has got {self.facts.returned} bounces and answers from us within {minutes} minutes, and {most} are allowed"
            return Decision(verdict=Verdict.QUARANTINED, why=why)
        return Decision(verdict=Verdict.RETURNED, why=f"it is about a mail of {to} that we forwarded", returns_to=to)

    def _report(self) -> Decision | str:
        report = self.report
        if report is None:
            return "it is no report"
        if report.failures:
            who = ", ".join(each.address for each in report.failures[:3] if each.address) or "a recipient that it does not name"
            return Decision(verdict=Verdict.BOUNCE, why=f"{report.kind.value} about {who}")
        if report.kind is ReportKind.RECEIPT:
            return Decision(verdict=Verdict.IGNORED, why="it is a read receipt")
        said = ", ".join(f"{each.address}: {each.action.value}" for each in report.recipients[:3])
        return Decision(verdict=Verdict.IGNORED, why=f"it is a report of no failure ({said})")

    def _bounce_address(self) -> Decision | str:
        domain = self.tables.bounce_domain(self.addressed.to)
        daemon = self.mail.sender.rpartition("@")[0].lower() == "mailer-daemon"
        if not domain and not daemon and self.mail.content_type != "multipart/report":
            return "it was not sent to a bounce address, nor by a mail system"
        why = f"it was sent to the bounce address of {domain.name}" if domain else "it comes from a mail system"
        if self.mail.automatic is Automatic.REPLY:
            if self._parent() is not None:
                return f"{why}, but is an automatic answer to a mail of ours"
            return Decision(verdict=Verdict.IGNORED, why=f"{why}, and is an automatic answer ({self.mail.automatic_why})")
        return Decision(verdict=Verdict.QUARANTINED, why=f"{why}, and is no report that we can read")

    # Answers to mail of ours

    def _parent(self) -> tuple[str, Known] | None:
        """The mail that this one answers, and by what it was found."""
        for each in self.mail.ids:
            if "reply_to" not in each and each in self.facts.known:
                return each, self.facts.known[each]
        found = self.facts.conversation
        # A provider may put strangers with the same subject into one conversation (microsoft-graph-docs#869).
        if found is not None and normalize(self.mail.sender) in found.correspondents:
            return "its conversation", found
        return None

    def _reply(self) -> Decision | str:
        found = self._parent()
        if found is None:
            return f"none of the {len(self.mail.ids)} mails that it names is known" if self.mail.ids else "it answers no mail"
        by, known = found
        others = [alias for alias in self.tables.matching(self.addressed.to) if alias.target != known.target]
        if others and self.mail.automatic is Automatic.LIST and not any(alias.automatic for alias in others):
            why = f"{self.mail.automatic.value} ({self.mail.automatic_why}) names a mail of {known.target} ({by})"
            return Decision(verdict=Verdict.IGNORED, why=f"{why}, and opens nothing at {others[0].address}")
        if others and self.mail.automatic is not Automatic.REPLY:
            self.steps.append(Step("reply", f"it names a mail of {known.target} ({by}), but was forwarded to {others[0].address}"))
            return self._through(others)
        same = next((alias for alias in self.tables.matching(self.addressed.everybody) if alias.target == known.target), None)
        refused = self._refusal(same, replying_to=known.thread) if same else None
        if same and refused:
            return self._answered(*refused, same.refusal)
        automatic = self.mail.automatic is Automatic.REPLY
        if known.gone:
            if automatic:
                return Decision(verdict=Verdict.IGNORED, why=f"it is an automatic answer to a mail of {known.target} that is gone")
            why = f"it answers a mail of {known.target} ({by}), whose thread is gone, so that a new one is opened"
            return Decision(verdict=Verdict.REPLY, why=why, routes=(Route(target=known.target, alias=same, known=known),))
        what = "is an automatic answer to" if automatic else "answers"
        routes = (Route(target=known.target, thread=known.thread, alias=same, known=known, automatic=automatic),)
        return Decision(verdict=Verdict.REPLY, why=f"it {what} a mail of {known.target} ({by})", routes=routes)

    # New mail

    def _automatic(self) -> Decision | str:
        mail = self.mail
        if mail.automatic is Automatic.NO:
            return "a person wrote it"
        if mail.automatic is Automatic.GENERATED or any(alias.automatic for alias in self._written_to()):
            return f"{mail.automatic.value} wrote it ({mail.automatic_why}), which may open something"
        unread = next(filter(self.tables.is_unread, self.addressed.to), None)
        if mail.automatic is Automatic.LIST and unread and not self._written_to():
            # A provider asks so whether an address is ours, and nobody else sends such mail there: it is on no list.
            why = f"{mail.automatic.value} ({mail.automatic_why}) to {unread}, which nobody puts on a list, may ask for something"
            return Decision(verdict=Verdict.QUARANTINED, why=why)
        return Decision(verdict=Verdict.IGNORED, why=f"{mail.automatic.value} ({mail.automatic_why}) opens nothing")

    def _written_to(self) -> list[Alias]:
        """By the recipients; if nobody is named who is ours, by what the trace lines say."""
        return self.tables.matching(self.addressed.everybody) or self.tables.matching(self.addressed.hidden)

    def _catchall_alone(self) -> Decision | str:
        to = self.addressed.to
        if to and all(address in self.tables.catchalls for address in to):
            return self._to_catchall(to[0])
        return "it was not sent to the catchall alone"

    def _catchall(self) -> Decision | str:
        found = next((address for address in self.addressed.to if address in self.tables.catchalls), None)
        return self._to_catchall(found) if found else "it was not sent to a catchall"

    def _to_catchall(self, address: str) -> Decision:
        reach = self.tables.catchalls[address].reach
        return self._answered(AnswerKind.CATCHALL, f"it was written directly to {address}, which is for answers", reach)

    def _aliases(self) -> Decision | str:
        found = self._written_to()
        return self._through(found) if found else "no alias has one of its addresses"

    def _through(self, aliases: list[Alias]) -> Decision:
        """One route for each alias that the sender may write to; if none is left, the first refusal is answered."""
        taken: list[Route] = []
        refused: list[tuple[Alias, AnswerKind, str]] = []
        for alias in aliases:
            refusal = self._refusal(alias)
            if refusal is None:
                taken.append(Route(target=alias.target, thread=alias.thread, alias=alias))
            else:
                refused.append((alias, *refusal))
        if not taken:
            alias, kind, why = refused[0]
            return self._answered(kind, why, alias.refusal)
        why = "it was sent to " + ", ".join(each.alias.address for each in taken if each.alias)
        if refused:
            why += "; " + "; ".join(reason for _, _, reason in refused)
        return Decision(verdict=Verdict.ALIAS, why=why, routes=tuple(taken))

    def _refusal(self, alias: Alias, *, replying_to: str | None = None) -> tuple[AnswerKind, str] | None:
        """Why the sender may not write to the alias, None if they may. Automatic mail may answer everywhere, and else only open
        something where the alias wants it."""
        mail, sender = self.mail, self.mail.sender or "a sender without an address"
        if replying_to is None and mail.automatic in (Automatic.REPLY, Automatic.LIST) and not alias.automatic:
            return AnswerKind.NOT_ALLOWED, f"{alias.address} takes no automatic mail"
        if alias.authenticated and not self._is_proven():
            return AnswerKind.NOT_AUTHENTICATED, f"{alias.address} wants proven senders, and {sender} is not proven"
        if alias.who is Who.EVERYONE or (alias.who is Who.KNOWN and self.facts.sender_known):
            return None
        if alias.who is Who.FOLLOWERS:
            thread = alias.thread or alias.parent
            if not thread and replying_to is None:
                return AnswerKind.MISCONFIGURED, f"{alias.address} is for followers, and nothing says of what"
            if {thread, replying_to} & self.facts.follows:
                return None
        return AnswerKind.NOT_ALLOWED, f"{alias.address} is for {alias.who.value}, and {sender} is none"

    def _is_proven(self) -> bool:
        """Not where readers may see different senders: a broken head, or more than one From (RFC 7489 6.6.1)."""
        mail = self.mail
        if mail.authentication is None or mail.defect or len(mail.from_) != 1:
            return False
        return mail.authentication.proves(mail.sender)

    def _fallback(self) -> Decision | str:
        target = self.arrival.fallback
        if target is None:
            return "the incoming server has none"
        why = f"no other rule knows it, and its incoming server hands such mail to {target}"
        return Decision(verdict=Verdict.FALLBACK, why=why, routes=(Route(target=target),))

    def _unknown(self) -> Decision:
        to = self.addressed.to
        own = next((address for address in to if address in self.tables.notifications), None)
        if own:
            return Decision(verdict=Verdict.QUARANTINED, why=f"it was written to {own}, which only sends, and answers nothing that we know")
        if postmaster := next(filter(self.tables.is_postmaster, to), None):
            return Decision(verdict=Verdict.QUARANTINED, why=f"it was written to {postmaster}, which must exist, and no alias takes it")
        shown = ", ".join(to[:3]) or "nobody"
        return self._answered(AnswerKind.UNKNOWN, f"it is for {shown}: no alias, no reply, no fallback", "")

    # What we say to it

    def _answered(self, kind: AnswerKind, why: str, words: str, verdict: Verdict = Verdict.ANSWERED) -> Decision:
        """In a session a refusal; else a mail, if one may be written to this sender at all; and if not, a person has to look."""
        said = answer(kind, self.mail, words)
        if self.arrival.in_session:
            return Decision(verdict=Verdict.REFUSED, why=why, answers=(said,))
        withheld = self._withheld(kind, said.to)
        if not withheld:
            return Decision(verdict=verdict, why=why, answers=(said,))
        kept = Verdict.QUARANTINED if verdict is Verdict.ANSWERED else verdict
        return Decision(verdict=kept, why=why, withheld=withheld)

    def _withheld(self, kind: AnswerKind, to: str) -> str:
        if kind is AnswerKind.UNKNOWN:
            return "nobody is told which addresses exist here"
        if kind is AnswerKind.MISCONFIGURED:
            return "a mistake of ours bounces nobody's mail: put the alias right, and replay it"
        if self.mail.answerable:
            return self.mail.answerable
        if self.tables.is_ours(to):
            return f"{to} is read by a program of ours"
        if self.facts.answers >= self.settings.most_answers:
            return f"{to} has got {self.facts.answers} automatic answers already"
        return ""
