"""The way in: who looks at the mailboxes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from mailroom.accept import write
from mailroom.batching import GroupCommit
from mailroom.fetch import REPORTS, Fetch
from mailroom.incoming import NOTIFY_PATH
from mailroom.mailboxes import folder_of, lane_of
from mailroom.objects import Directory, GraphInbox, GraphRoute, IncomingServer
from mailroom.ports import NewMessage, Wakeup
from mailroom.vault import credentials
from mailroom.wiring.intake import make_intake
from mailroom.wiring.parts import Parts, credential_key, utc_now
from mailroom.wiring.ways import Ways
from mailroom_core.model import After, MessageId

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def make_fetch(parts: Parts, ways: Ways, wakeup: Wakeup) -> tuple[Fetch, GroupCommit[NewMessage, Mapping[MessageId, MessageId]]]:
    """What the worker calls for each incoming server that is due, and its commit, which is to be closed after it."""
    commit: GroupCommit[NewMessage, Mapping[MessageId, MessageId]] = GroupCommit("intake", partial(write, parts.store))
    fetch = Fetch(
        store=parts.store,
        servers=lambda name: watched_servers(parts.directory()).get(name),
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
    known = watched_servers(directory).values()
    active, resting = ({each.name: lane_of(directory, each) for each in known if each.active is wanted} for wanted in (True, False))
    parts.store.watch.over(active, resting)


def watched_servers(directory: Directory) -> dict[str, IncomingServer]:
    """The incoming servers, and the mailboxes that send and are read for reports about that, unless all of their mail is fetched anyway."""
    fetched = {lane_of(directory, each) for each in directory.incoming.values() if each.active and folder_of(each).lower() == "inbox"}
    found = {each.name: each for each in _senders(directory) if lane_of(directory, each) not in fetched}
    return found | directory.incoming


def _senders(directory: Directory) -> Iterator[IncomingServer]:
    for server in directory.servers.values():
        route = server.route
        if not (server.active and isinstance(route, GraphRoute) and route.reports):
            continue
        account = directory.accounts.get(route.account)
        mailbox = route.mailbox or (account.mailbox if account else "")
        if account is not None and (account.read_write or account.read) and "@" in mailbox:
            source = GraphInbox(account=account.name, mailbox=mailbox)
            yield IncomingServer(name=f"{REPORTS}{mailbox} ({account.name})", source=source, after=After.NOTHING)


def _spool(folder: Path) -> Path:
    """What a killed process left there is still in its mailbox."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder
