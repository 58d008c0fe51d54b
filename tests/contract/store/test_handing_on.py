"""Mail in quarantine that finds its destinations after all."""

from __future__ import annotations

from mailroom.ports import Event, NewDelivery, Store
from mailroom_core.model import DeliveryId, LaneName, MessageId, State
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


def test_what_is_gone_is_handed_to_nobody(store: Store, make: Maker, clock: FakeClock) -> None:
    assert store.hand_on(MessageId(1), [to(make, clock, "desk")], routed(clock)) == 0
