"""Mail in quarantine that finds its destinations after all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailroom.ports import Event, NewDelivery, NewMessage, Query, Store
from mailroom_core.errors import StoreError
from mailroom_core.model import DeliveryId, LaneName, MessageId, State, show_id
from tests.contract.store.makers import LIFETIME, FakeClock, Maker, claim_one


def to(make: Maker, clock: FakeClock, server: str) -> NewDelivery:
    lane = LaneName(f"destination:{server}")
    return NewDelivery(id=DeliveryId(make.ids()), recipient="sales@example.com", server=server, lane=lane, due_at=clock())


def routed(clock: FakeClock) -> Event:
    return Event(at=clock(), name="routed", text="Judged anew")


def test_a_message_gets_further_deliveries_with_a_lifetime_of_their_own(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message("sales@example.com", lane="destination:", state=State.HELD)
    store.put([message])
    clock.go_on(days=6)
    assert store.hand_on(message.id, [to(make, clock, "desk"), to(make, clock, "erp")], routed(clock)) == 2
    story = store.story(message.id)
    assert story is not None
    new = {each.server: each for each in story.deliveries if each.lane != "destination:"}
    assert set(new) == {"desk", "erp"}
    assert new["desk"].expires_at == clock() + LIFETIME
    assert [each.text for each in story.events if each.name == "routed"] == ["Judged anew"]
    lane = claim_one(store)
    assert [work.message.id for work in store.due(lane, limit=10)] == [message.id]


def test_handing_on_twice_hands_nothing_over_twice(store: Store, make: Maker, clock: FakeClock) -> None:
    message = make.message("sales@example.com", lane="destination:", state=State.HELD)
    store.put([message])
    assert store.hand_on(message.id, [to(make, clock, "desk")], routed(clock)) == 1
    assert store.hand_on(message.id, [to(make, clock, "desk")], routed(clock)) == 0
    story = store.story(message.id)
    assert story is not None
    assert len(story.deliveries) == 2
    assert len([each for each in story.events if each.name == "routed"]) == 1


def once(message: NewMessage, key: str, server: str = "desk") -> NewMessage:
    """The same, to be handed over once under a key."""
    return replace(message, deliveries=tuple(replace(each, server=server, once=key) for each in message.deliveries))


def test_what_comes_twice_is_handed_over_once_and_the_copy_says_so(store: Store, make: Maker, clock: FakeClock) -> None:
    first, copy, other = (once(make.message("sales@example.com"), key) for key in ("same", "same", "other"))
    store.put([first, copy])
    store.put([other])
    stories = {each.id: store.story(each.id) for each in (first, copy, other)}
    states = {number: story.deliveries[0].state for number, story in stories.items() if story}
    assert states == {first.id: State.QUEUED, copy.id: State.IGNORED, other.id: State.QUEUED}
    told = stories[copy.id]
    assert told is not None
    assert show_id(first.id) in told.events[-1].text
    assert show_id(first.id) in str(told.deliveries[0].reply)


def test_what_waited_in_quarantine_is_handed_over_once_as_well(store: Store, make: Maker, clock: FakeClock) -> None:
    waiting = [make.message("sales@example.com", lane="destination:", state=State.HELD) for _ in range(2)]
    store.put(waiting)
    for message in (*waiting, *waiting):
        store.hand_on(message.id, [replace(to(make, clock, "desk"), once="same")], routed(clock))
    found = [each for message in waiting if (story := store.story(message.id)) for each in story.deliveries if each.server == "desk"]
    assert [each.state for each in found] == [State.QUEUED, State.IGNORED]


def test_a_mail_and_what_it_gives_rise_to_are_stored_together_and_once(store: Store, make: Maker) -> None:
    answer = make.message("anna@example.org", subject="Re: Offer", key="about the first")
    message = replace(make.message("sales@example.com", key="in the mailbox"), replies=(answer,))
    again = replace(message, id=MessageId(make.ids()), replies=(make.message("anna@example.org", subject="Re: Offer"),))
    store.put([message])
    assert store.put([again]) == {again.id: message.id}
    assert len(store.find(Query(text="Re: Offer"), limit=10)[0]) == 1
    broken = replace(
        make.message("sales@example.com"), replies=(replace(make.message("bob@example.org", subject="Re: No"), id=message.id),)
    )
    with pytest.raises(StoreError):
        store.put([broken])
    assert store.story(broken.id) is None


def test_what_is_gone_is_handed_to_nobody(store: Store, make: Maker, clock: FakeClock) -> None:
    assert store.hand_on(MessageId(1), [to(make, clock, "desk")], routed(clock)) == 0
