"""Mail that waits for one outgoing server goes by another: because the first was removed, is down, or has no room."""

from __future__ import annotations

from mailroom.accept import lane_of
from mailroom.objects import Directory
from mailroom.ports import Move
from mailroom_core.errors import ConfigError
from mailroom_core.model import LaneName
from mailroom_core.policy.servers import Candidate, for_author


def way_to(directory: Directory, name: str) -> Move:
    """What moves mail to this server. From was decided when the mail was accepted and stays, so the server's FROM filter has to let it.

    Raises ConfigError.
    """
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
