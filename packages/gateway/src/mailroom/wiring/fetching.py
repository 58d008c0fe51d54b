"""The way in: who looks at the mailboxes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from mailroom.accept import write
from mailroom.batching import GroupCommit
from mailroom.fetch import Fetch
from mailroom.incoming import NOTIFY_PATH
from mailroom.mailboxes import lane_of
from mailroom.ports import NewMessage, Wakeup
from mailroom.vault import credentials
from mailroom.wiring.intake import make_intake
from mailroom.wiring.parts import Parts, credential_key, utc_now
from mailroom.wiring.ways import Ways
from mailroom_core.model import MessageId

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def make_fetch(parts: Parts, ways: Ways, wakeup: Wakeup) -> tuple[Fetch, GroupCommit[NewMessage, Mapping[MessageId, MessageId]]]:
    """What the worker calls for each incoming server that is due, and its commit, which is to be closed after it."""
    commit: GroupCommit[NewMessage, Mapping[MessageId, MessageId]] = GroupCommit("intake", partial(write, parts.store))
    fetch = Fetch(
        store=parts.store,
        servers=lambda name: parts.directory().incoming.get(name),
        sources=ways.source,
        intake=make_intake(parts, commit),
        spool=_spool(parts.settings.data / "fetching"),
        clock=utc_now,
        notify=wakeup.notify,
        telling=partial(_telling, parts, credential_key(parts)) if _reachable(parts) else None,
    )
    return fetch, commit


def _reachable(parts: Parts) -> str:
    """Where a provider can tell us of new mail: at the public address; at our own for an emulator on this machine."""
    url = parts.settings.public_url
    return url if url.startswith("https://") or urlsplit(url).hostname in LOOPBACK else ""


def _telling(parts: Parts, key: bytes, name: str) -> tuple[str, str]:
    return f"{_reachable(parts).rstrip('/')}{NOTIFY_PATH}", told_state(key, name)


def told_state(key: bytes, name: str) -> str:
    """What comes back with every notification for this server; nobody else can know it."""
    return f"{name}.{credentials.digest(key, f'told of {name}')}"


def watch_servers(parts: Parts) -> None:
    """Blocking, raises StoreError: the store knows which incoming servers are to be looked at, and in which lane."""
    directory = parts.directory()
    parts.store.watch.over({each.name: lane_of(directory, each) for each in directory.incoming.values() if each.active})


def _spool(folder: Path) -> Path:
    """What a killed process left there is still in its mailbox."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder
