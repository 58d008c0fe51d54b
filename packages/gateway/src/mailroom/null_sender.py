"""Who carries what has the null sender: reports, and bounces that go on.

They want the null sender and `Auto-Submitted`, which Microsoft Graph does not keep. So they leave through another server, or, where
there is none, through Graph to our own domains only.
"""

from __future__ import annotations

from mailroom.objects import Directory, GraphRoute, OutgoingServer, SinkRoute
from mailroom_core.policy.addresses import domain_of


def carrier(directory: Directory, to: str) -> OutgoingServer | None:
    """The server for a mail from the null sender to this address, if one can carry it."""
    real = [each for each in directory.servers.values() if each.active and not isinstance(each.route, SinkRoute)]
    servers = sorted(real, key=lambda each: (each.priority, each.name))
    for server in servers:
        if not isinstance(server.route, GraphRoute):
            return server
    return servers[0] if servers and domain_of(to) in directory.alias_domains else None
