from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mailroom.audit import Change, Wanted, told
from mailroom.objects import AliasDomain, Application, OutgoingServer, Security, SmarthostRoute, Suppression, Webhook
from mailroom.ports import Action, Query, Store
from mailroom_core.model import show_id
from tests.contract.store.makers import LANE, FakeClock, Maker

EVE = "user:eve@example.com"
RELAY = OutgoingServer(name="relay", route=SmarthostRoute(host="a.example", user="us"), from_filter=("example.com",))


def changes(store: Store, *, by: str = "", kind: str = "", name: str = "", what: str = "") -> list[Change]:
    return store.audited(Wanted(by=by, kind=kind, name=name, what=what), limit=100)[0]


def short(change: Change) -> tuple[str, str, str, str]:
    return change.by, change.what, change.kind, change.name


def test_an_object_is_told_when_it_is_added_changed_and_removed(store: Store, clock: FakeClock) -> None:
    store.apply([RELAY], [], by="cli:anna")
    clock.go_on(minutes=1)
    store.apply([replace(RELAY, priority=3, route=SmarthostRoute(host="b.example", security=Security.TLS))], [], by="token:erp")
    store.apply([], [("server", "relay")], by=EVE)
    removed, changed, added = changes(store)
    assert [short(each) for each in (added, changed, removed)] == [
        ("cli:anna", "add", "server", "relay"),
        ("token:erp", "change", "server", "relay"),
        (EVE, "remove", "server", "relay"),
    ]
    assert changed.at == clock()
    assert changed.before.splitlines() == ["priority: 10", "route.host: a.example", "route.security: starttls", "route.user: us"]
    assert changed.after.splitlines() == ["priority: 3", "route.host: b.example", "route.security: tls"]
    assert "from_filter: example.com" in added.after.splitlines()
    assert (added.before, removed.after) == ("", "")
    assert "route.host: b.example" in removed.before


def test_what_stays_the_same_is_no_change_and_what_was_not_there_is_not_removed(store: Store) -> None:
    store.apply([RELAY], [], by="cli:anna")
    store.apply([RELAY], [("server", "other"), ("suppression", "anna@example.org")], by="cli:anna")
    assert len(changes(store)) == 1


def test_a_secret_is_only_said_to_have_changed(store: Store) -> None:
    store.apply([Application(name="erp", key="canary-one")], [], by=EVE)
    store.apply([Application(name="erp", key="canary-two"), Webhook(name="hook", url="https://x.example/a?key=canary")], [], by=EVE)
    assert "canary" not in repr(changes(store))
    (changed,) = changes(store, kind="application", what="change")
    assert (changed.before, changed.after) == ("key: (kept secret)", "key: (kept secret)")


def test_a_suppressed_address_is_told_with_its_reason(store: Store) -> None:
    store.apply([Suppression(address="Anna@Example.org", reason="asked for it")], [], by=EVE)
    store.apply([Suppression(address="anna@example.org", reason="asked twice")], [], by=EVE)
    store.apply([], [("suppression", "anna@example.org")], by=EVE)
    removed, changed, added = changes(store, kind="suppression", name="anna@example.org")
    assert (added.what, added.after) == ("add", "asked for it")
    assert (changed.before, changed.after) == ("asked for it", "asked twice")
    assert (removed.what, removed.before) == ("remove", "asked twice")


def test_what_is_done_to_mail_is_told_with_what_it_was_done_to(store: Store, make: Maker) -> None:
    message = make.message("a@example.org", "b@example.org")
    store.put([message])
    store.act(Query(message_id=message.id), Action.HOLD, by=EVE)
    store.act(Query(text="example", application="odoo"), Action.RETRY, by="cli:anna")
    store.act(Query(), Action.RETRY, by=EVE)
    retried, held = changes(store)
    assert (held.what, held.name, held.after) == ("hold", show_id(message.id), "2 deliveries")
    assert (retried.what, retried.name) == ("retry", "application: odoo; text: example")
    story = store.story(message.id)
    assert story is not None
    assert [event.text for event in story.events if event.name == "retried"] == ["Sent again by anna (command line)"] * 2


def test_letting_a_lane_go_is_told_once(store: Store, make: Maker) -> None:
    store.put([make.message()])
    store.hold_lane(LANE, "no grant")
    store.free_lane(LANE, by=EVE)
    store.free_lane(LANE, by=EVE)
    ((freed),) = changes(store)
    assert (freed.what, freed.kind, freed.name, freed.before) == ("free", "lane", LANE, "no grant")


def test_what_a_rule_does_is_not_in_it(store: Store, make: Maker) -> None:
    store.put([make.message()])
    store.act(Query(), Action.HOLD, by="the server is missing")
    store.apply([AliasDomain(name="example.com")], [], by="delivery")
    store.hold_lane(LANE, "no grant")
    store.free_lane(LANE)
    store.audit(by="nobody", what="x", kind="x", name="x")
    assert changes(store) == []


def test_a_change_that_fails_leaves_no_row(store: Store) -> None:
    with pytest.raises(UnicodeEncodeError):
        store.apply([RELAY, Suppression(address="a@b.c", reason="\ud800")], [], by=EVE)
    assert changes(store) == []


def test_each_filter_selects_and_pages_follow_each_other(store: Store, clock: FakeClock) -> None:
    for number in range(5):
        store.audit(by=EVE if number % 2 else "cli:anna", what="sign in", kind="user", name=f"u{number}")
        clock.go_on(hours=1)
    assert [each.name for each in changes(store, by=EVE)] == ["u3", "u1"]
    assert [each.name for each in changes(store, name="u2")] == ["u2"]
    assert changes(store, what="sign out") == []
    since, until = clock() - timedelta(hours=3), clock() - timedelta(hours=1)
    assert [each.name for each in store.audited(Wanted(since=since, until=until), limit=9)[0]] == ["u3", "u2"]
    first, cursor = store.audited(Wanted(), limit=3)
    second, end = store.audited(Wanted(), limit=3, after=cursor)
    assert [each.name for each in first + second] == ["u4", "u3", "u2", "u1", "u0"]
    assert end == ""


def test_what_is_too_old_is_forgotten(store: Store, clock: FakeClock) -> None:
    for number in range(5):
        store.audit(by=EVE, what="sign in", kind="user", name=f"u{number}")
        clock.go_on(days=1)
    before = clock() - timedelta(days=2)
    assert [store.forget_audit(before, limit=2) for _ in range(3)] == [True, True, False]
    assert [each.name for each in changes(store)] == ["u4", "u3"]


def test_who_it_was_is_told_in_words() -> None:
    assert [told(by) for by in ("cli:anna", "token:erp", EVE, "the server is missing")] == [
        "anna (command line)",
        "the token erp",
        "eve@example.com",
        "the server is missing",
    ]
