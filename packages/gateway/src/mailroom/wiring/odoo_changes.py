"""What was changed in an Odoo from here, so that it can be taken back.

It is kept in the vault after each change, because what Odoo had before may be a password. A record that is changed twice stands there
once: with what it had before the first time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace

from mailroom.objects import OdooTarget
from mailroom.transports.http import Http, client
from mailroom.vault.vault import SealedVault, nothing
from mailroom.wiring.handing import login_of
from mailroom.wiring.parts import Parts
from mailroom_core.errors import ConfigError
from mailroom_core.flow import arun
from mailroom_core.providers.odoo.records import Session, opened
from mailroom_core.providers.odoo.setup import SECRET, Change, taken_back

OUR_SERVER = "Mailroom"
"""What the outgoing server is called in Odoo."""


@dataclass(frozen=True, slots=True)
class Done:
    """One change, and the number of the record if it was new."""

    change: Change
    made: int

    @property
    def key(self) -> tuple[str, int]:
        return self.change.model, self.made or self.change.id


@dataclass(frozen=True, slots=True)
class Changes:
    """Under one name of the vault. All blocking."""

    vault: SealedVault
    name: str

    def noted(self) -> list[Done]:
        kept = self.vault.open(self.name)
        return [Done(Change(**each["change"]), each["made"]) for each in json.loads(kept["done"])] if kept else []

    def keep(self, done: Sequence[Done]) -> None:
        kept = {"done": json.dumps([{"change": asdict(each.change), "made": each.made} for each in done])} if done else None
        self.vault.seal(self.name, kept)

    def note(self, new: Done) -> None:
        """One record stands there once: with what it had before the first change, and what it has now."""
        after = {key: "" if key in SECRET else value for key, value in new.change.after.items()}
        done, change = self.noted(), replace(new.change, after=after)
        for place, old in enumerate(done):
            if old.key == new.key:
                before, now = {**change.before, **old.change.before}, {**old.change.after, **change.after}
                done[place] = Done(replace(old.change, before=before, after=now), old.made)
                break
        else:
            done.append(Done(change, new.made))
        self.keep(done)


async def undone(parts: Parts, name: str, changes: Changes) -> AsyncIterator[str]:
    """Says each thing that is as before, the last first. Raises ConfigError, VaultError."""
    done = await asyncio.to_thread(changes.noted)
    async with session_of(parts, name) as (session, http):
        while done:
            said = await arun(taken_back(session, done[-1].change, done[-1].made), http, nothing)
            done.pop()
            await asyncio.to_thread(changes.keep, done)
            yield said


def target_of(parts: Parts, name: str) -> OdooTarget:
    """Of a destination that is an Odoo. Raises ConfigError."""
    known = parts.directory().destinations.get(name)
    if known is None or not isinstance(known.target, OdooTarget):
        raise ConfigError(f"there is no destination {name!r} that is an Odoo; see: mailroom destination list")
    return known.target


@asynccontextmanager
async def session_of(parts: Parts, name: str) -> AsyncIterator[tuple[Session, Http]]:
    """Raises ConfigError, VaultError."""
    login = await login_of(parts, name, target_of(parts, name))
    async with client() as connection:
        http = Http(connection)
        yield await arun(opened(login), http, nothing), http
