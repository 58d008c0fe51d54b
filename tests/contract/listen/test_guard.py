from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

import pytest

from mailroom.listen.guard import Logins, Sessions, read_client
from mailroom.listen.listener import Limits
from mailroom_core.errors import Refused

ONE, OTHER = ip_address("192.0.2.1"), ip_address("192.0.2.2")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def logins(clock: Clock) -> Logins:
    limits = Limits(login_delay=timedelta(seconds=1), login_failures=3, login_block=timedelta(minutes=10))
    return Logins(limits, clock)


def test_each_wrong_password_is_answered_later_than_the_one_before() -> None:
    table = logins(Clock())
    assert [table.failed(ONE) for _ in range(7)] == [1, 2, 4, 8, 16, 16, 16]
    assert table.failed(OTHER) == 1


def test_after_too_many_wrong_passwords_one_address_is_refused_for_a_while_and_others_are_not() -> None:
    clock = Clock()
    table = logins(clock)
    for _ in range(3):
        table.check(ONE)
        table.failed(ONE)
    with pytest.raises(Refused) as refused:
        table.check(ONE)
    assert refused.value.code == 421
    table.check(OTHER)
    clock.now += 601
    table.check(ONE)
    assert table.failed(ONE) == 1, "it starts anew"


def test_a_whole_ipv6_network_counts_as_one_client() -> None:
    table = logins(Clock())
    for last in range(3):
        table.failed(ip_address(f"2001:db8::{last}"))
    with pytest.raises(Refused):
        table.check(ip_address("2001:db8::ffff"))
    table.check(ip_address("2001:db8:0:1::1"))


def test_the_table_of_wrong_passwords_is_bounded() -> None:
    table = logins(Clock())
    for number in range(10_050):
        table.failed(ip_address(number))
    assert len(table._failures) == 10_000


def test_sessions_are_limited_in_all_and_for_each_client() -> None:
    sessions = Sessions(Limits(max_sessions=3, max_sessions_per_client=2))
    sessions.enter(ONE)
    sessions.enter(ONE)
    with pytest.raises(Refused, match=r"421 4\.7\.0"):
        sessions.enter(ONE)
    sessions.enter(OTHER)
    with pytest.raises(Refused, match=r"421 4\.3\.2"):
        sessions.enter(OTHER)
    sessions.leave(ONE)
    sessions.enter(ONE)
    for client in (ONE, ONE, OTHER):
        sessions.leave(client)
    assert not sessions._by_client, "nobody is remembered"


def test_an_ipv4_client_on_an_ipv6_socket_is_an_ipv4_client() -> None:
    assert read_client("::ffff:192.0.2.1") == ONE
    assert read_client("fe80::1%eth0") == ip_address("fe80::1")
