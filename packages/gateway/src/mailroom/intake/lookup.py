"""What the routing rules ask: who we are, what a mail may answer, and how much its sender has sent lately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mailroom.conversations import ConversationId
from mailroom.intake.answers import OURS
from mailroom.objects import AliasDomain, Directory, InboxTarget, Writers
from mailroom.ports import Query, Store
from mailroom_core.inbound import Head
from mailroom_core.model import State, show_id
from mailroom_core.policy.addresses import normalize
from mailroom_core.policy.aliases import Alias, Domain, Tables, Target, Who
from mailroom_core.policy.decision import Arrival, Facts, Known, Questions, Settings
from mailroom_core.policy.routing import questions

_WHO = {Writers.EVERYONE: Who.EVERYONE, Writers.KNOWN: Who.KNOWN, Writers.FOLLOWERS: Who.FOLLOWERS}


def tables_of(directory: Directory) -> Tables:
    """All addresses that are ours."""
    return Tables(_aliases(directory), [_domain(each) for each in directory.alias_domains.values()])


class NewestTables:
    """The same as `tables_of`, made anew only when the objects have changed: 10,000 aliases take as long as many decisions."""

    def __init__(self) -> None:
        self._made: tuple[int, Tables] | None = None

    def __call__(self, directory: Directory) -> Tables:
        known = self._made  # whole, whichever thread has put it there
        if known is None or known[0] != directory.version:
            known = self._made = (directory.version, tables_of(directory))
        return known[1]


def _aliases(directory: Directory) -> Iterable[Alias]:
    for each in directory.aliases.values():
        if each.active:
            local, _, domain = each.name.rpartition("@")
            yield Alias(
                name=local,
                domain=domain,
                target=Target(each.destination),
                parent=each.destination,
                who=_WHO[each.writers],
                local_part=each.any_domain,
                domains=each.domains,
                automatic=each.automatic,
                defaults=each.defaults,
                authenticated=each.authenticated,
                refusal=each.refusal,
            )


def _domain(each: AliasDomain) -> Domain:
    return Domain(name=each.name, bounce=each.bounce, catchall=each.catchall, default_from=each.default_from, reach=each.company)


@dataclass(frozen=True, slots=True)
class Lookup:
    """Blocking; asks the store."""

    store: Store
    settings: Settings

    def __call__(self, head: Head, arrival: Arrival, tables: Tables, directory: Directory, now: datetime) -> Facts:
        asked = questions(head, arrival, tables)
        known = self._known(asked.ids, directory)
        conversation = None if known else self._in_conversation(asked.conversation, directory)
        found = [*known.values(), *((conversation,) if conversation else ())]
        lately = self.store.from_sender(asked.sender, now - self.settings.loop_window)
        return Facts(
            known=known,
            conversation=conversation,
            sender_known=self._is_known(asked),
            follows=frozenset(_followed(asked, found, directory)),
            opened={Target(name): count for name, count in lately.opened.items()},
            added={thread_of(number): count for number, count in lately.added.items()},
            answers=lately.answers,
            returned=self.returned(arrival.returns_to, now) if arrival.returns_to else 0,
        )

    def returned(self, to: str, now: datetime) -> int:
        """Bounces that were passed on to an address within the window, and answers."""
        return self.store.from_sender(normalize(to), now - self.settings.loop_window).answers

    def _in_conversation(self, name: str, directory: Directory) -> Known | None:
        """For an answer that names no mail that we know: the newest that we have sent in the provider's conversation."""
        sent = self.store.in_conversation(name) if name else None
        if sent is None:
            return None
        message, written_to = sent
        known = self._known((message.header_message_id,), directory).get(message.header_message_id)
        return replace(known, correspondents=written_to) if known else None

    def _known(self, ids: Sequence[str], directory: Directory) -> dict[str, Known]:
        """A conversation before the mail itself: that is where the mail stands."""
        ours = self.store.sent_as(ids)
        found = {}
        for name, number in self.store.conversations.of(ids).items():
            conversation = self.store.conversations.one(number)
            if conversation is not None:
                restored = ours[name].header_message_id if name in ours else name
                target = Target(conversation[0].destination)
                found[name] = Known(target=target, thread=thread_of(number), message_id=restored)
        for name, message in ours.items():
            application = directory.applications.get(message.application)
            answers = application.answers if application else ""
            if name not in found and (answers or message.application == OURS):
                thread = f"mail {show_id(message.id)}"
                found[name] = Known(
                    target=Target(answers), thread=thread, answer=message.application == OURS, message_id=message.header_message_id
                )
        return found

    def _is_known(self, asked: Questions) -> bool:
        """Whether we have written to the sender; asked only where it matters."""
        if not any(alias.who is Who.KNOWN for alias in asked.aliases):
            return False
        found, _ = self.store.find(Query(text=asked.sender, states=frozenset({State.SENT})), limit=50)
        return any(normalize(each.delivery.recipient) == asked.sender for each in found)


def thread_of(conversation: ConversationId) -> str:
    """A conversation as the rules name it."""
    return f"conversation {show_id(conversation)}"


def _followed(asked: Questions, known: Iterable[Known], directory: Directory) -> Iterable[str]:
    """An inbox has followers, and they follow everything in it."""
    for name, destination in directory.destinations.items():
        target = destination.target
        if isinstance(target, InboxTarget) and asked.sender in {normalize(each) for each in target.followers}:
            yield name
            yield from (each.thread for each in known if each.target.destination == name)
