"""Which incoming servers are looked at, by what the directory says."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from mailroom.objects import ImapInbox, IncomingServer
from mailroom.settings import Settings
from mailroom.wiring.fetching import watch_servers
from mailroom.wiring.parts import Parts, open_parts
from mailroom_core.model import After

BOX = IncomingServer(name="box", source=ImapInbox(host="imap.example.com", user="us"), after=After.NOTHING)


def watched(parts: Parts, server: IncomingServer) -> list[tuple[str, str]]:
    parts.store.apply([server], [], by="test")
    parts.directory.look()
    watch_servers(parts)
    return [(each.name, each.cursor) for each in parts.store.watch.all()]


def test_a_server_that_is_switched_off_and_on_again_passes_no_mail_over(tmp_path: Path) -> None:
    """Without its cursor it would begin with what comes from then on."""
    with closing(open_parts(Settings(data=tmp_path))) as parts:
        assert watched(parts, BOX) == [("box", "")]
        (lane,) = parts.store.claim("me", want=1, ttl=timedelta(minutes=1))
        parts.store.watch.keep(lane, "box", "1 7 2026-11-21T00:00:00+00:00")
        assert watched(parts, replace(BOX, active=False)) == []
        assert watched(parts, BOX) == [("box", "1 7 2026-11-21T00:00:00+00:00")]
