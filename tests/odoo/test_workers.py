"""Many workers of one Odoo at once: one refresh of a token, three requests at a time to a mailbox, nobody's mail twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from demo.processes import Emulator
from tests.odoo.machine import Odoo, Place, Refused
from tests.odoo.people import MAILBOX, Lead

WORKERS = 6
SCALE = 60
"""As the emulator's `--time-scale`: its seconds in one of ours."""


@pytest.fixture(scope="module")
def odoo(place: Place, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odoo]:
    odoo = Odoo(place, tmp_path_factory.mktemp("odoo"), workers=WORKERS)
    try:
        odoo.start()
        odoo.set_up(emulator)
        yield odoo
    finally:
        odoo.stop()


@pytest.fixture(scope="module", autouse=True)
def outgoing(odoo: Odoo) -> int:
    return odoo.outgoing(MAILBOX, MAILBOX)


@pytest.fixture(autouse=True)
def used_once(emulator: Emulator) -> Iterator[None]:
    """Who refreshes twice with one token, or loses the new one, is out."""
    emulator.switch(refresh_tokens="used_once")
    yield
    emulator.switch(refresh_tokens="stay_good", latency_seconds=0)


def expired(odoo: Odoo, emulator: Emulator) -> None:
    """The access token has ended; what is asked is counted from here on."""
    odoo.sql("UPDATE microsoft_graph_account SET expires_at = now() AT TIME ZONE 'UTC'")
    emulator.ask("DELETE", "/counters")


def refreshed(emulator: Emulator) -> int:
    count: int = emulator.ask("GET", "/counters")["by_operation"].get("token", 0)
    return count


def at_once(count: int, do: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(do, range(count)))


def test_workers_that_come_at_once_refresh_a_token_once_and_lose_no_new_one(odoo: Odoo, emulator: Emulator, outgoing: int) -> None:
    for _ in range(3):
        expired(odoo, emulator)
        emulator.fault(match={"operation": "token"}, action={"kind": "delay", "seconds": SCALE})  # they all find it ended
        told = at_once(WORKERS, lambda _: odoo.call("ir.mail_server", "test_smtp_connection", [outgoing]))
        assert all("may send, read and write" in each["params"]["message"] for each in told)
        assert refreshed(emulator) == 1


def test_a_rollback_loses_no_new_token(odoo: Odoo, emulator: Emulator, outgoing: int) -> None:
    """The test of both servers refreshes for the first, and is rolled back because of the second."""
    values = {"smtp_host": "127.0.0.1", "smtp_port": 1, "smtp_encryption": "none", "from_filter": "elsewhere.example"}
    nobody = odoo.call("ir.mail_server", "create", {"name": "Nobody", **values})
    for _ in range(2):
        expired(odoo, emulator)
        with pytest.raises(Refused, match="refused"):
            odoo.call("ir.mail_server", "test_smtp_connection", [outgoing, nobody])
        assert refreshed(emulator) == 1
    odoo.call("ir.mail_server", "write", [nobody], {"active": False})
    assert odoo.read("microsoft.graph.account", [], "state") == [{"id": 1, "state": "connected"}]


def test_a_mailbox_is_asked_three_things_at_a_time_by_all_workers_together(odoo: Odoo, emulator: Emulator) -> None:
    addresses = [[f"worker{number}.{each}@customer.example" for each in range(3)] for number in range(WORKERS)]
    leads = [Lead.new(odoo, *three) for three in addresses]
    emulator.switch(latency_seconds=0.2 * SCALE)
    expired(odoo, emulator)
    messages = at_once(WORKERS, lambda number: leads[number].post("From all workers"))
    odoo.eventually(lambda: _all_sent(leads, messages), "all have left", 150)
    copies = [copy["to"] for copy in emulator.outside() if copy["subject"] == "From all workers"]
    assert sorted(copies) == sorted(address for three in addresses for address in three)
    counters = emulator.ask("GET", "/counters")
    assert counters["max_concurrency"][MAILBOX] == 3
    assert (counters["throttled"], counters["by_operation"]["token"]) == (0, 1)


def _all_sent(leads: list[Lead], messages: list[int]) -> bool:
    return all(set(lead.envelopes(message).values()) == {("sent", "")} for lead, message in zip(leads, messages, strict=True))


def test_nothing_of_all_this_was_an_error(odoo: Odoo) -> None:
    assert odoo.complaints() == []
