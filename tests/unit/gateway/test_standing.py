"""How the house stands, in numbers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from mailroom.objects import Account, GraphRoute, OutgoingServer, SinkRoute
from mailroom.standing import Budget, budgets_of, standing
from mailroom.store.open import open_store
from mailroom.vault.expiry import Expiry
from mailroom_core.model import LaneName, State
from tests.contract.store.makers import FakeClock, Maker

LANE, QUARANTINE = LaneName("graph:office:mary@contoso.example"), LaneName("destination:")
OFFICE = Account(name="office", mailbox="mary@contoso.example", tenant="contoso.example", external_recipients_per_day=100)
SERVER = OutgoingServer(name="office", route=GraphRoute(account="office"))
LIMIT = Budget(name="tenant:contoso.example", limit=100, taken=5)


def test_what_waits_what_fetches_what_is_used_and_what_ends(tmp_path: Path) -> None:
    clock = FakeClock()
    store = open_store(tmp_path / "mail.db", clock=clock)
    make = Maker(clock)
    assert not standing(store, store.directory(), lambda _: [], [], clock()).way_out
    store.apply([OFFICE, SERVER], [], by="test")
    store.put([make.message("a@elsewhere.example", lane=LANE), make.message("b@elsewhere.example", lane=QUARANTINE, state=State.HELD)])
    store.hold_lane(LANE, "sign in again")
    store.watch.over({"support": LANE})
    store.budgets.take("tenant:contoso.example", 5, 100, timedelta(days=1))
    ends = [Expiry("office", what, clock() + timedelta(days=days), "") for what, days in (("secret", 3), ("certificate", 40))]
    at = standing(store, store.directory(), lambda _: [SERVER], ends, clock())
    assert at.way_out
    assert (at.deliveries[State.QUEUED], at.quarantine) == (1, 1)
    assert [(lane.waiting, lane.held) for lane in at.lanes if lane.name == LANE] == [(1, "sign in again")]
    assert [(each.name, each.trouble) for each in at.incoming] == [("support", "sign in again")]
    assert at.budgets == (LIMIT,)
    assert [each.what for each in at.ending] == ["secret"]
    sink = OutgoingServer(name="sink", route=SinkRoute())
    assert budgets_of(store, store.directory(), [SERVER, SERVER, sink]) == [LIMIT]
    store.close()
