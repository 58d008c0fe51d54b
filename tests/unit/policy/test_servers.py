"""The choice of the outgoing server, as Odoo's documentation and source describe it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.policy.servers import Candidate, Step, choose, explain

MARY = Candidate(name="mary", priority=20, from_filter=("mary@example.com",))
DOMAIN = Candidate(name="domain", priority=10, from_filter=("example.com", "other.example"))
NOTIFY = Candidate(name="notify", priority=30, from_filter=("Notifications@Example.com",))
ALL = Candidate(name="all", priority=40)


@pytest.mark.parametrize(
    ("servers", "sender", "notification", "server", "address"),
    [
        ([DOMAIN, MARY], "Mary@Example.com", "", "mary", "Mary@Example.com"),
        ([MARY, DOMAIN], "tom@example.com", "", "domain", "tom@example.com"),
        ([DOMAIN], "tom@sub.example.com", "", "domain", "tom@sub.example.com"),
        ([NOTIFY, ALL], "tom@else.where", "notifications@example.com", "notify", "notifications@example.com"),
        ([DOMAIN, ALL], "tom@else.where", "notifications@example.com", "domain", "notifications@example.com"),
        ([MARY, ALL], "tom@else.where", "", "all", "tom@else.where"),
        ([MARY, ALL], "tom@else.where", "notifications@third.example", "all", "notifications@third.example"),
        ([MARY, NOTIFY], "tom@else.where", "", "mary", "tom@else.where"),
        ([Candidate(name="b"), Candidate(name="a")], "x@y.example", "", "a", "x@y.example"),
        ([Candidate(name="b", priority=1), Candidate(name="a", priority=2)], "x@y.example", "", "b", "x@y.example"),
        ([Candidate(name="at", from_filter=("@example.com",)), ALL], "x@example.com", "", "at", "x@example.com"),
    ],
)
def test_the_first_rule_that_applies_chooses(servers: list[Candidate], sender: str, notification: str, server: str, address: str) -> None:
    choice = choose(servers, header_from=sender, notification=notification)
    assert (choice.server, choice.from_address) == (server, address)
    assert choice.rewritten == (sender.lower() != address.lower())
    assert repr(server) in choice.why


def test_a_full_default_from_is_used_by_every_mail() -> None:
    choice = choose([DOMAIN, NOTIFY], header_from="tom@example.com", notification="notifications@example.com", always=True)
    assert (choice.server, choice.from_address, choice.rewritten) == ("notify", "notifications@example.com", True)


def test_without_a_server_there_is_no_choice() -> None:
    with pytest.raises(ValueError, match="no outgoing server"):
        choose([], header_from="tom@example.com")


addresses = st.sampled_from(["tom@example.com", "mary@example.com", "tom@other.example", "tom@else.where", "nonsense"])
candidates = st.lists(
    st.builds(
        Candidate,
        name=st.sampled_from("abcdef"),
        priority=st.integers(1, 2),
        from_filter=st.lists(st.sampled_from(["tom@example.com", "example.com", "other.example"]), max_size=2).map(tuple),
    ),
    min_size=1,
    unique_by=lambda server: server.name,
)


@given(candidates, addresses, addresses | st.just(""), st.booleans())
def test_the_order_in_which_servers_are_named_does_not_count(
    servers: list[Candidate], sender: str, notification: str, always: bool
) -> None:
    choices = {choose(order, header_from=sender, notification=notification, always=always) for order in (servers, servers[::-1])}
    (choice,) = choices
    assert choice.from_address in (sender, notification)
    assert choice.rewritten == (choice.from_address != sender)


def test_an_explanation_names_each_rule_that_was_asked_and_ends_with_the_one_that_decided() -> None:
    servers = [Candidate(name="ours", from_filter=("example.com",)), Candidate(name="everybody", priority=20)]
    found = explain(servers, header_from="mary@elsewhere.example", notification="notifications@example.com")
    assert found.choice == choose(servers, header_from="mary@elsewhere.example", notification="notifications@example.com")
    assert found.steps == (
        Step("a FROM filter that names mary@elsewhere.example (its sender)", ""),
        Step("a FROM filter that names elsewhere.example (its sender)", ""),
        Step("a FROM filter that names notifications@example.com (the notification address)", ""),
        Step("a FROM filter that names example.com (the notification address)", "ours"),
    )


def test_without_a_filter_that_fits_the_first_without_one_serves_and_else_the_first_of_all() -> None:
    narrow = Candidate(name="narrow", from_filter=("other.example",))
    with_open = explain([narrow, Candidate(name="open", priority=99)], header_from="mary@example.com")
    assert with_open.steps[-1] == Step("the first server without a FROM filter", "open")
    assert explain([narrow], header_from="mary@example.com").steps[-2:] == (
        Step("the first server without a FROM filter", ""),
        Step("the first server of all", "narrow"),
    )


def test_where_all_mail_uses_the_notification_address_the_sender_is_not_asked_for() -> None:
    servers = [Candidate(name="hers", from_filter=("mary@example.com",)), Candidate(name="ours", from_filter=("notify@example.com",))]
    found = explain(servers, header_from="mary@example.com", notification="notify@example.com", always=True)
    assert [step.server for step in found.steps] == ["ours"]
