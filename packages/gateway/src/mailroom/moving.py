"""Mail that waits for one outgoing server goes by another: because the first was removed, is down, or has no room."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailroom import mailboxes
from mailroom.objects import Directory, OutgoingServer
from mailroom.ports import Move, Query, Store
from mailroom.way_out import lane_of
from mailroom_core.errors import ConfigError
from mailroom_core.model import LaneName
from mailroom_core.policy.servers import Candidate, for_author

MOST = 100_000
"""Deliveries that are moved at once."""


def move(
    store: Store, directory: Directory, query: Query, server: str, *, by: str, servers_of: Callable[[LaneName], Sequence[OutgoingServer]]
) -> int:
    """Let what is queued, held or failed and matches go by this server; how many went, `MOST` at most. Blocking.

    From was decided when the mail was accepted and stays, so the server's FROM filter has to let it. A held lane that is empty then, and
    that nobody uses any more, waits for nobody: its hold ends. Raises ConfigError if there is no such server.
    """
    moved = store.move(query, _way_to(directory, server), by=by, limit=MOST)
    read = {mailboxes.lane_of(directory, each) for each in directory.incoming.values()} if moved else set()
    for lane in store.lanes() if moved else []:
        if lane.held and not lane.waiting and lane.name not in read and not _came_in(lane.name) and not servers_of(lane.name):
            store.free_lane(lane.name, by=by)
    return moved


def _came_in(lane: LaneName) -> bool:
    return lane.startswith("destination:")


def _way_to(directory: Directory, name: str) -> Move:
    """What moves mail to this server."""
    server = directory.servers.get(name)
    if server is None:
        known = ", ".join(sorted(directory.servers)) or "none yet"
        raise ConfigError(f"there is no outgoing server {name!r}; there are: {known}")
    if not server.active:
        raise ConfigError(f"the server {name!r} is switched off; switch it on first, or name another one")
    candidate = Candidate(name=server.name, from_filter=server.from_filter)

    def lane(header_from: str, bulk: bool) -> LaneName | None:
        carries = server.bulk if bulk else server.transactional
        return lane_of(directory, server, header_from) if carries and for_author([candidate], header_from) else None

    return Move(name, lane)
