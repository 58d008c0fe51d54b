from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from mailroom.objects import (
    Account,
    AliasDomain,
    Application,
    GrantType,
    GraphRoute,
    Object,
    OnUnsure,
    OutgoingServer,
    Security,
    SinkRoute,
    SmarthostRoute,
    Suppression,
)
from mailroom.ports import Store
from tests.contract.store.makers import FakeClock

OBJECTS: list[Account | OutgoingServer | AliasDomain | Application] = [
    Account(name="office", grant=GrantType.APPLICATION, tenant="t", read_write=False),
    OutgoingServer(name="graph", route=GraphRoute(account="office", on_unsure=OnUnsure.RETRY), from_filter=("a.example", "b@c.example")),
    OutgoingServer(name="relay", route=SmarthostRoute(host="mx", security=Security.TLS, user="u"), per_minute=30, bulk=False),
    OutgoingServer(name="none", route=SinkRoute(directory="/tmp/x"), active=False, max_size=7),
    OutgoingServer(name="also none", route=SinkRoute()),
    AliasDomain(name="example.com", company="Example", catchall="all"),
    Application(name="odoo", key="ab" * 32, networks=("10.0.0.0/8",), senders=("example.com",)),
]


@pytest.mark.parametrize("thing", OBJECTS, ids=lambda thing: f"{type(thing).__name__} {thing.name}")
def test_an_object_comes_back_as_it_was(store: Store, thing: Object) -> None:
    store.apply([thing], [], by="eve")
    directory = store.directory()
    everything = [
        *directory.accounts.values(),
        *directory.servers.values(),
        *directory.alias_domains.values(),
        *directory.applications.values(),
    ]
    assert everything == [thing]


def test_all_objects_are_in_one_directory_by_name(store: Store) -> None:
    store.apply(OBJECTS, [], by="eve")
    directory = store.directory()
    assert set(directory.servers) == {"graph", "relay", "none", "also none"}
    assert set(directory.accounts) == {"office"}
    assert set(directory.alias_domains) == {"example.com"}
    assert set(directory.applications) == {"odoo"}


def test_an_object_of_the_same_kind_and_name_is_replaced(store: Store) -> None:
    store.apply([OutgoingServer(name="one", route=SinkRoute()), Account(name="one")], [], by="eve")
    store.apply([OutgoingServer(name="one", route=GraphRoute(account="one"))], [], by="eve")
    assert store.directory().servers["one"].route == GraphRoute(account="one")
    assert store.directory().accounts["one"] == Account(name="one")


def test_the_version_grows_with_every_change(store: Store, reopen: Callable[[], Store]) -> None:
    first = store.directory_version()
    second = store.apply([Account(name="a")], [], by="eve")
    third = reopen().apply([], [("account", "a")], by="eve")
    assert first < second < third == store.directory_version() == store.directory().version
    assert store.directory().accounts == {}


def test_what_is_removed_and_put_in_one_go_is_there(store: Store) -> None:
    store.apply([Account(name="a", tenant="old")], [], by="eve")
    store.apply([Account(name="a", tenant="new")], [("account", "a"), ("account", "never there")], by="eve")
    assert store.directory().accounts["a"].tenant == "new"


def test_suppressions_are_found_however_the_address_is_written(store: Store) -> None:
    store.apply([Suppression(address="Anna@Example.ORG", reason="asked us")], [], by="eve")
    found = store.suppressed(["anna@example.org", "ANNA@example.org", "bert@example.org"])
    assert {address: entry.reason for address, entry in found.items()} == {"anna@example.org": "asked us", "ANNA@example.org": "asked us"}
    assert [entry.source for entry in store.suppressions()] == ["person"]
    store.apply([], [("suppression", "anna@EXAMPLE.org")], by="eve")
    assert store.suppressions() == []
    assert store.suppressed([]) == {}


def test_a_person_may_correct_a_suppression(store: Store) -> None:
    store.apply([Suppression(address="a@x.org", reason="5.1.1", source="refused")], [], by="eve")
    store.apply([Suppression(address="a@x.org", reason="asked us")], [], by="eve")
    assert store.suppressions() == [Suppression(address="a@x.org", reason="asked us", source="person")]


def test_a_secret_is_replaced_only_where_it_is_still_the_one_that_was_read(store: Store) -> None:
    store.put_secret("account:a", b"\x00\xfe")
    assert not store.replace_secret("account:a", b"\x00\xff", b"x")
    assert store.secret("account:a") == b"\x00\xfe"
    assert store.replace_secret("account:a", b"\x00\xfe", b"x")
    assert store.secret("account:a") == b"x"
    assert not store.replace_secret("account:b", b"", b"x")
    assert store.secrets() == ["account:a"]


def test_secrets_are_kept_as_they_were_sealed(store: Store, reopen: Callable[[], Store]) -> None:
    assert store.secret("account:a") is None
    store.put_secret("account:a", b"\x00\xfe")
    store.put_secret("account:a", b"\x00\xff")
    store.put_secret("server:b", b"x")
    assert reopen().secret("account:a") == b"\x00\xff"
    assert store.secrets() == ["account:a", "server:b"]
    store.put_secret("account:a", None)
    store.put_secret("never there", None)
    assert store.secrets() == ["server:b"]


def test_a_lease_has_one_owner_at_a_time(store: Store, reopen: Callable[[], Store], clock: FakeClock) -> None:
    other, minute = reopen(), timedelta(minutes=1)
    assert store.lease("token:a", "one", minute)
    assert not other.lease("token:a", "two", minute)
    assert other.lease("token:b", "two", minute)
    clock.go_on(seconds=59)
    assert store.lease("token:a", "one", minute), "its owner may prolong it"
    clock.go_on(seconds=59)
    assert not other.lease("token:a", "two", minute)
    clock.go_on(seconds=1)
    assert other.lease("token:a", "two", minute)


def test_only_its_owner_gives_a_lease_back(store: Store) -> None:
    assert store.lease("token:a", "one", timedelta(minutes=1))
    store.unlease("token:a", "two")
    assert not store.lease("token:a", "two", timedelta(minutes=1))
    store.unlease("token:a", "one")
    assert store.lease("token:a", "two", timedelta(minutes=1))


def test_a_store_that_can_be_written_answers_a_ping(store: Store) -> None:
    store.ping()
    store.ping()
