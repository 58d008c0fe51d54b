"""What a support bundle is made of."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from importlib.metadata import distributions
from typing import Any
from urllib.parse import urlsplit

from mailroom import tables
from mailroom.audit import Wanted as Changes
from mailroom.changing import KEPT, of_kind
from mailroom.doctor.health.desk import HealthDesk
from mailroom.doctor.health.looking import Examined, Health
from mailroom.doctor.health.shapes import health_body
from mailroom.objects import Directory
from mailroom.ports import Story
from mailroom.settings import Settings
from mailroom.standing import standing
from mailroom.support.bundle import Bundle, Case, Wanted, make
from mailroom.support.desk import SupportDesk
from mailroom.support.masking import Masks
from mailroom.vault.expiry import expiries
from mailroom.wiring.health import health_desk
from mailroom.wiring.parts import Parts, hostname, utc_now
from mailroom.wiring.ways import servers_of
from mailroom_core.errors import ConfigError, MailroomError, StoreError
from mailroom_core.mime.source import InMemory, ReadAt
from mailroom_core.model import MessageId, seek_id, show_id

CHANGES = 200
"""Lines of the audit log."""
PATIENCE = timedelta(seconds=30)
"""For a look at the installation."""
NO_SECRETS = re.compile(r"(^|_)(expires_at|scope|used_at|ends_at|made_at|name|account|redirect_uri|until|done)$")
"""Fields in the vault that are no secrets themselves."""
_SECRET = re.compile(r"pass|secret|key|token|verifier", re.IGNORECASE)


def support_desk(parts: Parts) -> SupportDesk:
    return SupportDesk(made=lambda wanted, by: support_bundle(parts, wanted, by=by))


async def support_bundle(parts: Parts, wanted: Wanted, *, by: str) -> Bundle:
    """What was asked for is there? Then the installation is looked at, and the rest is made in a thread. Raises as `make_bundle` does."""
    await asyncio.to_thread(_cases, parts, wanted)
    return await asyncio.to_thread(partial(make_bundle, parts, wanted, health=await looked(health_desk(parts)), by=by))


async def looked(desk: HealthDesk, patience: timedelta = PATIENCE) -> Mapping[str, Any]:
    """The health of the installation at this moment; of objects whose look has no end in time, that they are unchecked."""
    found: list[Examined] = []
    began = utc_now()
    try:
        async with asyncio.timeout(patience.total_seconds()), aclosing(desk.look()) as looking:  # type: ignore[type-var]  # a generator
            async for each in looking:
                if isinstance(each, Health):
                    return health_body(each)
                found.append(each)
    except TimeoutError:
        cut = f"objects that are not in this list: the look was cut off after {patience.total_seconds():g} s; see: mailroom doctor"
        return {**health_body(Health(began, patience, tuple(found))), "cut": cut}
    except MailroomError as problem:
        return {"cut": str(problem)}
    raise AssertionError("a look ends with the whole")


def make_bundle(parts: Parts, wanted: Wanted, *, health: Mapping[str, Any], by: str) -> Bundle:
    """Blocking; `health` is how the installation is.

    Raises ConfigError for a mail that there is not, VaultError if the vault can't be opened: then nobody knows the secrets.
    """
    parts.directory.look()
    cases = _cases(parts, wanted)
    directory = parts.directory()
    masks = Masks(_secrets(parts), _domains(parts, directory), keep_names=wanted.keep_names)
    made = make({**_house(parts, directory), "health": health}, cases, wanted, masks)
    after = f"mails: {', '.join(each.id for each in cases)}\ncontent: {wanted.content}\nkeep_names: {wanted.keep_names}"
    parts.store.audit(by=by, what="make", kind="support bundle", name="bundle", after=after)
    return made


def _cases(parts: Parts, wanted: Wanted) -> list[Case]:
    """Blocking. Raises ConfigError."""
    return [_case(parts, text) for text in dict.fromkeys(wanted.mails)]


def _house(parts: Parts, directory: Directory) -> dict[str, Any]:
    from mailroom.api.status import shape

    ends = expiries(directory, parts.vault.open)
    at = standing(parts.store, directory, lambda lane: servers_of(directory, lane), ends, utc_now())
    found, _ = parts.store.audited(Changes(), limit=CHANGES)
    kept = {name: json.loads(look.body) for name, look in parts.store.diagnoses.looks().items()}
    return {
        "versions": _versions(parts.settings),
        "settings": _settings(parts.settings),
        "objects": _objects(directory),
        "status": shape(at).model_dump(mode="json"),
        "incoming": [asdict(each) for each in parts.store.watch.all()],
        "doctor": kept,
        "cutover": [asdict(each) for each in parts.store.cutover.all()],
        "audit": [asdict(each) for each in found],
    }


def _versions(settings: Settings) -> dict[str, Any]:
    """Of everything that is installed beside us."""
    installed = {each.metadata["Name"]: each.version for each in distributions() if each.metadata["Name"]}
    return {
        "at": utc_now().isoformat(),
        "python": sys.version,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "database": settings.database_url.partition(":")[0],
        "packages": dict(sorted(installed.items())),
    }


def _settings(settings: Settings) -> dict[str, Any]:
    """A secret in them is told as one; of the address of a database, where it is."""
    told = settings.model_dump(mode="json")
    if settings.database:
        url = urlsplit(settings.database)
        told["database"] = f"{url.scheme}://{url.hostname or ''}{url.path}"
    told["signin"]["client_secret"] = "set" if settings.signin.client_secret.get_secret_value() else ""
    return told


def _objects(directory: Directory) -> dict[str, Any]:
    """As `mailroom export` writes them; of addresses of programs only the site, because some carry a secret further behind."""
    made: dict[str, Any] = {kind: {name: _sites(tables.write(item)) for name, item in of_kind(directory, kind).items()} for kind in KEPT}
    made["token"] = {
        each.name: {"scopes": [scope.value for scope in each.scopes], "application": each.application, "expires_at": each.expires_at}
        for each in directory.tokens.values()
    }
    return made


def _sites(table: Any) -> Any:
    if not isinstance(table, Mapping):
        return table
    return {key: _site(value) if key.endswith("url") and isinstance(value, str) else _sites(value) for key, value in table.items()}


def _site(url: str) -> str:
    found = urlsplit(url)
    return f"{found.scheme}://{found.hostname}{'/...' if found.path.strip('/') else ''}"


def _case(parts: Parts, text: str) -> Case:
    from mailroom.api.shapes import story as shape

    number = MessageId(seek_id(text.strip()))
    found = parts.store.story(number)
    if found is None:
        raise ConfigError(f"there is no mail {text[:40]!r} (any more); ids have 13 characters, as the list of messages shows them")
    told = shape(found).model_dump(mode="json")
    for attempt, kept in zip(told["attempts"], found.attempts, strict=True):
        attempt |= {"lane": kept.lane, "epoch": kept.epoch, "marker": kept.marker, "facts": dict(kept.facts), "deadline": kept.deadline}
    return Case(id=show_id(number), story=told, opened=_Opened(parts, found))


class _Opened:
    """The bytes of a mail; may be opened again and again."""

    def __init__(self, parts: Parts, story: Story) -> None:
        self._parts, self._number = parts, story.message.id
        self._left: list[Any] = []

    def __enter__(self) -> ReadAt | None:
        made = source_of(self._parts, self._number)
        self._left.append(made)
        return made.__enter__()

    def __exit__(self, *_: object) -> None:
        self._left.pop().__exit__(None, None, None)


@contextmanager
def source_of(parts: Parts, number: MessageId) -> Iterator[ReadAt | None]:
    """The bytes of a mail; None if they are gone."""
    kept = parts.store.read(number)
    if kept is None or (kept.raw is None and not kept.blob):
        yield None
        return
    if kept.raw is not None:
        yield InMemory(kept.raw)
        return
    try:
        blob = parts.blobs.open(kept.blob)
    except (OSError, StoreError):
        yield None
        return
    try:
        yield blob
    finally:
        blob.close()


def _secrets(parts: Parts) -> Iterator[str]:
    """Every secret that we know ourselves. Raises VaultError."""
    for name in parts.store.secrets():
        for field, value in (parts.vault.open(name) or {}).items():
            if value[:1] in ("{", "["):
                yield from _inside(json.loads(value))
            elif not NO_SECRETS.search(field):
                yield value
    settings = parts.settings
    yield settings.signin.client_secret.get_secret_value()
    yield urlsplit(settings.database).password or "" if settings.database else ""
    yield from os.environ.get("MAILROOM_VAULT_KEY", "").split(",")
    try:
        yield from settings.vault_key_file.read_text().split()
        if settings.signin.client_secret_file is not None:
            yield settings.signin.client_secret_file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return


def _inside(value: Any) -> Iterator[str]:
    """Secrets in JSON that the vault keeps."""
    if isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, str) and _SECRET.search(key):
                yield each
            else:
                yield from _inside(each)
    elif isinstance(value, list):
        for each in value:
            yield from _inside(each)


def _domains(parts: Parts, directory: Directory) -> Iterator[str]:
    """Names of ours that may stand somewhere without an address around them."""
    yield from directory.alias_domains
    yield hostname(parts.settings)
    yield urlsplit(parts.settings.public_url).hostname or ""
    for kind in KEPT:
        for item in of_kind(directory, kind).values():
            yield from _hosts(tables.write(item))
    for each in directory.applications.values():
        yield from (sender for sender in each.senders if "@" not in sender and "." in sender)
    for server in directory.servers.values():
        yield from (each for each in server.from_filter if "@" not in each and "." in each)


def _hosts(table: Any) -> Iterator[str]:
    for key, value in table.items() if isinstance(table, Mapping) else ():
        if key == "host" and isinstance(value, str):
            yield value
        elif key.endswith("url") and isinstance(value, str):
            yield urlsplit(value).hostname or ""
        else:
            yield from _hosts(value)
