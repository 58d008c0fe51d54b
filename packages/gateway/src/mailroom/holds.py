"""Why a lane is held: a new sign-in ends what the worker held for a dead grant or password, and no other hold."""

from __future__ import annotations

from collections.abc import Callable

from mailroom.ports import LaneStatus, Store
from mailroom_core.errors import VaultError
from mailroom_core.model import Deferred, Held, LaneName, Reply

RESTORED = (
    "restored from a backup: what left after it was taken would leave again. Look at `mailroom queue`, cancel what has arrived, "
    "then run `mailroom queue free --all`"
)
"""Only a person knows what has left since."""


def free_after_sign_in(store: Store, concerned: Callable[[LaneName], bool], *, by: str = "") -> tuple[int, list[LaneStatus]]:
    """Free the lanes that waited for a sign-in; how many mails go on, and which of the lanes stay held. Blocking."""
    held = [lane for lane in store.lanes() if lane.held and concerned(lane.name)]
    staying = [lane for lane in held if lane.held == RESTORED]
    going = [lane for lane in held if lane not in staying]
    for lane in going:
        store.free_lane(lane.name, by=by)
    return sum(lane.waiting for lane in going), staying


def vault_outcome(problem: VaultError) -> Deferred | Held:
    """A token can't be had: for a while, or until a person acts."""
    reply = Reply(0, str(problem))
    return Deferred(reply, lane=True) if problem.transient else Held(reply, lane=True)
