from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from mailroom.objects import Role
from mailroom.ports import Store
from mailroom.users import Link, LinkKind, Session, User
from mailroom_core.errors import ConfigError
from tests.contract.store.makers import START, FakeClock

IDLE, ABSOLUTE = timedelta(hours=1), timedelta(hours=12)
MARY = User(name="mary@example.com", role=Role.ADMIN, password="hash", recovery=("a", "b"))
PAUL = User(name="paul@example.com", role=Role.VIEWER, subject="https://id.example 7", managed=True, second_factor=True)


def session(key: str = "k", user: str = MARY.name) -> Session:
    return Session(key=key, user=user, created_at=START, seen_at=START, agent="Firefox", address="192.0.2.1")


def is_signed_in(store: Store, key: str = "k") -> bool:
    return store.users.session(key, idle=IDLE, absolute=ABSOLUTE) is not None


def link(key: str = "l", kind: LinkKind = LinkKind.PASSWORD, user: str = MARY.name, **until: float) -> Link:
    return Link(key=key, kind=kind, user=user, data="/messages", expires_at=START + timedelta(**until or {"hours": 1}))


@pytest.fixture
def mary(store: Store) -> User:
    store.users.add(MARY)
    return MARY


def test_a_user_comes_back_as_it_was(store: Store, mary: User) -> None:
    store.users.add(PAUL)
    assert store.users.user(mary.name) == mary
    assert store.users.by_subject(PAUL.subject) == PAUL
    assert store.users.all() == [mary, PAUL]
    assert store.users.user("nobody@example.com") is None
    assert store.users.by_subject("") is None


def test_a_name_and_a_subject_are_given_once(store: Store, mary: User) -> None:
    with pytest.raises(ConfigError, match="there is a user"):
        store.users.add(replace(mary, role=Role.VIEWER))
    assert store.users.user(mary.name) == mary


def test_a_change_is_seen_by_everybody(store: Store, reopen: Callable[[], Store], mary: User) -> None:
    changed = store.users.change(mary.name, lambda user: replace(user, second_factor=True))
    assert changed == replace(mary, second_factor=True) == reopen().users.user(mary.name)
    with pytest.raises(ConfigError, match="there is no user nobody"):
        store.users.change("nobody", lambda user: user)


@pytest.mark.parametrize("change", [{"role": Role.OPERATOR}, {"password": "other"}, {"active": False}, {"subject": "x y"}], ids=str)
def test_a_change_of_rights_ends_the_sessions(store: Store, mary: User, change: dict[str, object]) -> None:
    store.users.add(replace(PAUL, role=Role.ADMIN))
    store.users.begin_session(session())
    store.users.begin_session(session("other", PAUL.name))
    store.users.change(mary.name, lambda user: replace(user, **change))  # type: ignore[arg-type]
    assert not is_signed_in(store)
    assert is_signed_in(store, "other")


def test_a_change_of_nothing_that_matters_ends_no_session(store: Store, mary: User) -> None:
    store.users.begin_session(session())
    store.users.change(mary.name, lambda user: replace(user, second_factor=True, recovery=()))
    assert is_signed_in(store)


def test_the_last_active_administrator_stays(store: Store, mary: User) -> None:
    store.users.add(replace(PAUL, role=Role.ADMIN, active=False))
    for change in ({"role": Role.OPERATOR}, {"active": False}):
        with pytest.raises(ConfigError, match="last active administrator"):
            store.users.change(mary.name, lambda user, change=change: replace(user, **change))  # type: ignore[misc]
    with pytest.raises(ConfigError, match="last active administrator"):
        store.users.remove(mary.name)
    assert store.users.user(mary.name) == mary
    store.users.change(PAUL.name, lambda user: replace(user, active=True))
    store.users.change(mary.name, lambda user: replace(user, role=Role.VIEWER))


def test_two_administrators_who_remove_each_other_at_once_leave_one(store: Store, reopen: Callable[[], Store]) -> None:
    for number in range(8):
        names = [f"a{number}", f"b{number}"]
        for name in names:
            store.users.add(User(name=name, role=Role.ADMIN))
        for user in store.users.all():
            if user.name not in names:
                store.users.remove(user.name)
        stores = [store, reopen()]

        def remove(at: int, names: list[str] = names, stores: list[Store] = stores) -> bool:
            try:
                stores[at].users.remove(names[at])
            except ConfigError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(remove, (0, 1))) == [False, True]


def test_who_is_removed_leaves_nothing(store: Store, mary: User) -> None:
    store.users.add(PAUL)
    store.users.begin_session(session("p", PAUL.name))
    store.users.put_link(link(user=PAUL.name))
    store.users.remove(PAUL.name)
    assert store.users.all() == [mary]
    assert not is_signed_in(store, "p")
    assert store.users.link("l", LinkKind.PASSWORD) is None
    store.users.add(PAUL)
    assert not is_signed_in(store, "p")


def test_a_code_of_a_time_step_is_used_once_and_never_an_older_one(store: Store, mary: User) -> None:
    assert store.users.spend_step(mary.name, 100)
    assert not store.users.spend_step(mary.name, 100)
    assert not store.users.spend_step(mary.name, 99)
    assert store.users.spend_step(mary.name, 101)
    assert not store.users.spend_step("nobody", 200)


def test_a_recovery_code_is_used_once(store: Store, mary: User) -> None:
    assert not store.users.spend_recovery(mary.name, "c")
    assert store.users.spend_recovery(mary.name, "a")
    assert not store.users.spend_recovery(mary.name, "a")
    found = store.users.user(mary.name)
    assert found is not None
    assert found.recovery == ("b",)


# ---- sessions -------------------------------------------------------------------------------------------------------


def test_a_session_brings_its_user(store: Store, mary: User) -> None:
    store.users.begin_session(session())
    assert store.users.session("k", idle=IDLE, absolute=ABSOLUTE) == (session(), mary)
    assert store.users.session("", idle=IDLE, absolute=ABSOLUTE) is None


def test_a_session_ends_when_nobody_uses_it(store: Store, clock: FakeClock, mary: User) -> None:
    store.users.begin_session(session())
    clock.go_on(minutes=59)
    store.users.seen("k")
    clock.go_on(minutes=59)
    assert is_signed_in(store)
    clock.go_on(minutes=1)
    assert not is_signed_in(store)
    assert store.users.sessions(idle=IDLE, absolute=ABSOLUTE) == []


def test_a_session_ends_however_much_it_is_used(store: Store, clock: FakeClock, mary: User) -> None:
    store.users.begin_session(session())
    for _ in range(24):
        assert is_signed_in(store)
        clock.go_on(minutes=30)
        store.users.seen("k")
    assert not is_signed_in(store)


def test_sessions_are_listed_by_person_and_ended_one_by_one(store: Store, clock: FakeClock, mary: User) -> None:
    store.users.add(PAUL)
    for key, user in (("a", mary.name), ("b", mary.name), ("c", PAUL.name)):
        store.users.begin_session(session(key, user))
        clock.go_on(minutes=1)

    def keys(user: str = "") -> list[str]:
        return [each.key for each in store.users.sessions(user, idle=IDLE, absolute=ABSOLUTE)]

    assert keys(mary.name) == ["b", "a"]
    assert keys() == ["c", "b", "a"]
    assert store.users.end_sessions(["b", "never there"]) == 1
    assert keys() == ["c", "a"]
    assert store.users.end_sessions_of(PAUL.name) == 1
    assert keys() == ["a"]


def test_nobody_who_is_not_active_has_a_session(store: Store, mary: User) -> None:
    store.users.add(replace(PAUL, active=False))
    store.users.begin_session(session("p", PAUL.name))
    assert not is_signed_in(store, "p")


def test_everybody_can_be_forgotten_at_once(store: Store, mary: User) -> None:
    store.users.begin_session(session())
    store.users.put_link(link())
    store.users.forget_everybody()
    assert not is_signed_in(store)
    assert store.users.link("l", LinkKind.PASSWORD) is None
    assert store.users.all() == [mary]


# ---- links ----------------------------------------------------------------------------------------------------------


def test_a_link_is_used_once(store: Store, reopen: Callable[[], Store]) -> None:
    store.users.put_link(link())
    other = reopen()
    assert store.users.link("l", LinkKind.PASSWORD) == link()
    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(lambda one: one.users.spend_link("l", LinkKind.PASSWORD), (store, other)))
    assert sorted(got, key=str) == [None, link()] or got in ([None, link()], [link(), None])
    assert store.users.link("l", LinkKind.PASSWORD) is None


def test_a_link_is_good_for_its_own_kind_until_it_expires(store: Store, clock: FakeClock) -> None:
    store.users.put_link(link())
    assert store.users.spend_link("l", LinkKind.SET_UP) is None
    clock.go_on(minutes=59)
    assert store.users.link("l", LinkKind.PASSWORD)
    clock.go_on(minutes=1)
    assert store.users.link("l", LinkKind.PASSWORD) is None
    assert store.users.spend_link("l", LinkKind.PASSWORD) is None


def test_a_new_link_may_drop_the_ones_before(store: Store) -> None:
    store.users.put_link(link("1"))
    store.users.put_link(link("2"))
    store.users.put_link(link("3", LinkKind.SET_UP))
    store.users.put_link(link("4"), only=True)
    assert [bool(store.users.link(key, LinkKind.PASSWORD)) for key in "124"] == [False, False, True]
    assert store.users.link("3", LinkKind.SET_UP)


def test_a_new_password_drops_the_links(store: Store, mary: User) -> None:
    store.users.put_link(link())
    store.users.change(mary.name, lambda user: replace(user, password="new"))
    assert store.users.link("l", LinkKind.PASSWORD) is None


# ---- limits ---------------------------------------------------------------------------------------------------------


def test_attempts_are_counted_within_a_window_that_begins_with_the_first(store: Store, clock: FakeClock) -> None:
    window = timedelta(minutes=15)
    counts = []
    for _ in range(4):
        counts.append(store.users.attempt("a", window))
        clock.go_on(minutes=5)
    assert counts == [1, 2, 3, 1]
    assert store.users.attempt("b", window) == 1
    store.users.forget_attempts("a")
    assert store.users.attempt("a", window) == 1


def test_attempts_at_once_are_all_counted(store: Store, reopen: Callable[[], Store]) -> None:
    stores = [store, reopen()]
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda number: stores[number % 2].users.attempt("a", timedelta(minutes=15)), range(32)))
    assert sorted(counts) == list(range(1, 33))
