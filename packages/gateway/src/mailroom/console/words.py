"""Mail's states and story in words that an office person understands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from mailroom.notices import reply_of
from mailroom.ports import Action, Attempt, Delivery, Event, Message, Resolution, Story
from mailroom_core.model import DeliveryId, State


@dataclass(frozen=True, slots=True)
class Word:
    """A state for people."""

    name: str
    tone: str
    meaning: str


STATES: dict[State, Word] = {
    State.QUEUED: Word("Waiting", "busy", "It leaves as soon as its turn comes."),
    State.SENDING: Word("Sending", "busy", "It is being handed over right now."),
    State.UNSURE: Word("Unsure", "warn", "The answer got lost; Mailroom is finding out whether it was sent."),
    State.HELD: Word("Held", "warn", "It waits until a person decides."),
    State.SENT: Word("Handed over", "good", "The next mail server has taken responsibility for it. That is no proof that it has arrived."),
    State.FAILED: Word("Failed", "bad", "It was not delivered, and is not tried again by itself."),
    State.BOUNCED: Word("Bounced", "bad", "It was handed over, and came back."),
    State.CANCELLED: Word("Cancelled", "quiet", "A person stopped it before it was sent."),
    State.IGNORED: Word("Dealt with", "quiet", "Nothing more is to be done: a person has taken it off the list, or it needed nobody."),
}


CAME_IN: dict[State, Word] = {
    State.QUEUED: Word("Waiting", "busy", "It is handed to its destination as soon as its turn comes."),
    State.SENDING: Word("On its way", "busy", "Its destination is taking it right now."),
    State.UNSURE: Word("Unsure", "warn", "The destination's answer got lost; it is offered again."),
    State.HELD: Word("In quarantine", "warn", "No rule or destination wanted it; it waits until a person decides."),
    State.SENT: Word("Delivered", "good", "Its destination has it."),
    State.CANCELLED: Word("Deleted", "quiet", "A person has deleted it. Its bytes go after a while; until then it can be tried again."),
    State.IGNORED: Word("Kept", "quiet", "Nothing has to happen with it."),
}
"""Of mail that came in, where the words are others."""


def word_of(message: Message, state: State) -> Word:
    """What a state means for this mail."""
    return CAME_IN.get(state, STATES[state]) if message.source else STATES[state]


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that a person can do to a delivery."""

    action: Action
    slug: str
    name: str
    done: str
    icon: str
    states: frozenset[State]
    """Where it makes sense."""
    alone: frozenset[State] = frozenset()
    """Also in these, but only for one delivery."""


DEEDS: tuple[Deed, ...] = (
    Deed(
        Action.RETRY,
        "retry",
        "Send again",
        "will be sent again",
        "arrow-repeat",
        frozenset({State.FAILED, State.HELD, State.BOUNCED}),
        frozenset({State.CANCELLED}),
    ),
    Deed(Action.SEND_NOW, "send-now", "Send now", "will be sent at once", "send", frozenset({State.QUEUED})),
    Deed(Action.CANCEL, "cancel", "Cancel", "will not be sent", "slash-circle", frozenset({State.QUEUED, State.HELD})),
    Deed(
        Action.IGNORE,
        "ignore",
        "Ignore",
        "dealt with",
        "check-circle",
        frozenset({State.FAILED, State.HELD, State.BOUNCED, State.UNSURE}),
    ),
)
"""As the store has them, see `store/acting.py`; holding mail back is for the command line and the API."""

_CAME_IN = {
    Action.RETRY: ("Try again", "will be judged anew, and goes where it belongs"),
    Action.SEND_NOW: ("Hand over now", "will be handed over at once"),
    Action.CANCEL: ("Delete", "deleted"),
}
"""What the deeds are called for mail that came in."""


def called(deed: Deed, *, came_in: bool) -> Deed:
    """In the words for this kind of mail."""
    name, done = _CAME_IN.get(deed.action, (deed.name, deed.done)) if came_in else (deed.name, deed.done)
    return replace(deed, name=name, done=done)


BY_SLUG = {deed.slug: deed for deed in DEEDS}


def possible(delivery: Delivery, now: datetime, *, came_in: bool = False) -> list[Deed]:
    """What can be done to it now."""
    return [
        called(deed, came_in=came_in)
        for deed in DEEDS
        if delivery.state in deed.states | deed.alone
        and not (deed.action is Action.SEND_NOW and (delivery.due_at is None or delivery.due_at <= now))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the timeline."""

    at: datetime
    title: str
    text: str
    tone: str
    recipient: str = ""
    raw: Mapping[str, str] = field(default_factory=dict)
    """What is one click away."""
    answered: bool = False
    """Whether `raw` holds what the other side said."""


LOUD = frozenset({"bad", "warn", "busy"})
"""The tones of states whose answer stands beside the recipient."""
_TITLES = {
    "accepted": ("Accepted", "quiet"),
    "sent": ("Handed over", "good"),
    "routed": ("Came in", "quiet"),
    "deferred": ("Put off", "warn"),
    "failed": ("Failed", "bad"),
    "held": ("Held", "warn"),
    "unsure": ("Nobody knows yet whether it was sent", "warn"),
    "bounced": ("Came back", "bad"),
    "retried": ("A person sends it again", "busy"),
    "hurried": ("A person sends it at once", "busy"),
    "cancelled": ("Cancelled", "quiet"),
    "ignored": ("Dealt with", "quiet"),
    "moved": ("A person lets it go by another server", "quiet"),
}
_FACTS = {
    "code": "Status",
    "enhanced": "Status code (RFC 3463)",
    "name": "The provider's own code",
    "reply": "Answer",
    "draft_id": "Id at the provider",
    "internet_message_id": "Message-ID at the provider",
    "conversation_id": "Conversation at the provider",
    "answers": "Answers the mail",
    "way": "Way",
    "through": "Through",
}


def timeline(story: Story) -> list[Moment]:
    """Everything that happened to a mail, the oldest first: what was noted, and each try with its answer."""
    return sorted([*_events(story), *_attempts(story)], key=lambda moment: moment.at)


def _events(story: Story) -> Iterator[Moment]:
    names = {delivery.id: delivery.recipient for delivery in story.deliveries}
    answers = {each.id: each.reply.text for each in story.deliveries if each.reply and word_of(story.message, each.state).tone in LOUD}
    for event in story.events:
        said = _said(event, story.message, answers.get(event.delivery_id, "") if event.delivery_id else "")
        title, tone = _TITLES.get(event.name, (event.name.capitalize(), "quiet"))
        yield Moment(
            at=event.at,
            title=title,
            text=said,
            tone=tone,
            recipient=_name(names, event.delivery_id, len(story.deliveries)),
            raw=({"Event": event.text} if event.text != said else {}) | _named(event.data),
            answered=event.name == "sent" or "reply" in event.data,
        )


def _said(event: Event, message: Message, known: str = "") -> str:
    """What to read first; what the other side answered word by word is one click away. `known` stands on the page already."""
    if event.name == "sent":
        lost = event.text.partition("This way out could not carry: ")[2]
        return word_of(message, State.SENT).meaning + (f" It could not carry: {lost}." if lost else "")
    reply = reply_of(event.data)
    if reply is None or not reply.text:
        return event.text
    if reply.text == known and f": {reply}" in event.text:
        return event.text.replace(f": {reply}", "")
    return event.text.replace(str(reply), reply.text)


def _attempts(story: Story) -> Iterator[Moment]:
    names = {delivery.id: delivery.recipient for delivery in story.deliveries}
    for number, attempt in enumerate(story.attempts, start=1):
        of = ", ".join(names[each] for each in attempt.delivery_ids if each in names) if len(story.deliveries) > 1 else ""
        yield Moment(
            at=attempt.started_at,
            title=f"Try {number}",
            text=_tried(attempt),
            tone="busy" if attempt.resolution is Resolution.OPEN else "quiet",
            recipient=of,
            answered=bool(attempt.text),
            raw={"Answer": attempt.text, "Marker": attempt.marker, "Way out": attempt.lane} | _named(attempt.facts),
        )


def _tried(attempt: Attempt) -> str:
    if attempt.resolution is Resolution.OPEN:
        return "Under way."
    if attempt.resolution is Resolution.UNSURE:
        return "It ended without an answer. Mailroom asks the provider what became of it."
    if attempt.ended_at is None:
        return ""
    took = (attempt.ended_at - attempt.started_at).total_seconds()
    return f"It took {took:.1f} seconds." if took >= 0.1 else "It took less than 0.1 seconds."


def _name(names: Mapping[DeliveryId, str], number: DeliveryId | None, count: int) -> str:
    return names.get(number, "") if number is not None and count > 1 else ""


def _named(facts: Mapping[str, str]) -> dict[str, str]:
    return {_FACTS.get(name, name): value for name, value in facts.items() if value}
