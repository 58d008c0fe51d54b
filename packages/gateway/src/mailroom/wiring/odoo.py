"""Setting an Odoo up from here, and taking it back: a login of its own here, and what it needs there.

What was done is kept (`odoo_changes`) under `odoo-setup:` and the destination's name; setting up once more keeps what was there before
the first time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from mailroom.console.odoo_desk import Prepared
from mailroom.objects import AliasDomain, Application, OdooTarget
from mailroom.vault.vault import nothing
from mailroom.wiring.odoo_changes import OUR_SERVER, Changes, Done, session_of, target_of, undone
from mailroom.wiring.parts import Parts, object_desk
from mailroom.wiring.web import entrance_of
from mailroom_core.errors import ConfigError
from mailroom_core.flow import arun
from mailroom_core.providers.odoo.setup import DOMAIN, Found, Wanted, carried_out, found, planned, settled


@dataclass(frozen=True, slots=True)
class OdooSetup:
    """For one gateway."""

    parts: Parts

    async def prepared(self, name: str, *, host: str = "", port: int = 0, domain: str = "") -> Prepared:
        """Asks Odoo what it has, and changes nothing. Raises ConfigError, VaultError."""
        target = target_of(self.parts, name)
        ours, entrance = self._domain(domain), entrance_of(self.parts.settings)
        async with session_of(self.parts, name) as (session, http):
            state = await arun(found(session), http, nothing)
        user = f"odoo-{name}"
        mine = next((each for each in state.servers if each.get("name") == OUR_SERVER), None)
        fresh = mine is None or mine.get("smtp_user") != user or user not in self.parts.directory().applications
        wanted = Wanted(
            name=OUR_SERVER,
            host=host or entrance.host,
            port=port or entrance.port,
            tls=entrance.tls,
            validated=not entrance.own_certificate,
            user=user,
            password="made later" if fresh else "",  # none: the real one is made when something is done
            from_filter=(ours.name,),
            domain=ours.name,
            catchall=ours.catchall,
            bounce=ours.bounce,
            default_from=ours.default_from,
        )
        changes = planned(state, wanted)
        warnings = self._warnings(name, target, wanted, state)
        return Prepared(destination=name, state=state, wanted=wanted, changes=changes, new_password=fresh, warnings=warnings)

    async def carried_out(self, plan: Prepared, *, by: str) -> AsyncIterator[str]:
        """Says each thing that was done. What was done before something failed can be taken back. Raises ConfigError, VaultError."""
        changes = plan.changes
        if plan.new_password:
            password = await asyncio.to_thread(self._login, plan, by)
            changes = planned(plan.state, replace(plan.wanted, password=password))
            yield f"{plan.wanted.user} may hand in mail here"
        async with session_of(self.parts, plan.destination) as (session, http):
            first = 0
            for each in changes:
                change = settled(each, first)
                made = await arun(carried_out(session, change), http, nothing)
                first = made if change.model == DOMAIN else first
                await asyncio.to_thread(self._changes(plan.destination).note, Done(change, made))
                yield f"{change.title} is set up"

    async def taken_back(self, name: str, *, by: str) -> AsyncIterator[str]:
        """Says each thing that is as before, the last first. Raises ConfigError if nothing was ever set up."""
        target_of(self.parts, name)
        changes = self._changes(name)
        if not await asyncio.to_thread(changes.noted):
            raise ConfigError(f"nothing was set up in {name!r} from here: there is nothing to take back")
        async for said in undone(self.parts, name, changes):
            yield said
        user = f"odoo-{name}"
        if user in self.parts.directory().applications:
            await asyncio.to_thread(object_desk(self.parts).remove, "application", user, by=by)
            yield f"{user} may hand in mail here no longer"

    def was_set_up(self, name: str) -> bool:
        """Whether there is something to take back. Blocking."""
        return bool(self._changes(name).noted())

    # ---- here

    def _changes(self, name: str) -> Changes:
        return Changes(self.parts.vault, f"odoo-setup:{name}")

    def _domain(self, name: str) -> AliasDomain:
        known = self.parts.directory().alias_domains
        if name and name not in known:
            raise ConfigError(f"there is no alias domain {name!r}; there are {', '.join(sorted(known)) or 'none'}")
        if not name and len(known) != 1:
            told = f"say which with --domain: {', '.join(sorted(known))}" if known else 'add one first: [alias_domain."example.com"]'
            raise ConfigError(f"Odoo needs one alias domain of this gateway; {told}")
        return known[name] if name else next(iter(known.values()))

    def _warnings(self, name: str, target: OdooTarget, wanted: Wanted, state: Found) -> list[str]:
        told = []
        if _is_loopback(wanted.host) and not _is_loopback(urlsplit(target.url).hostname or ""):
            told.append(f"Odoo is on another machine and can't reach {wanted.host}; give the address of this one with --host")
        incoming = self.parts.directory().incoming.values()
        if not any(each.active and each.destination == name for each in incoming):
            told.append(
                f"no incoming server hands what no alias wants to {name!r}: mail to Odoo's own aliases gets there only "
                f"through aliases here (mailroom alias add), answers find it by themselves"
            )
        rivals = [str(each.get("name")) for each in state.servers if each.get("name") != OUR_SERVER and each.get("active") is not False]
        if rivals:
            told.append(f"Odoo keeps its other outgoing servers: {', '.join(rivals)}; mail that their FROM filter names goes that way")
        ours = {each["id"] for each in state.domains if str(each.get("name")).lower() == wanted.domain}
        if others := [str(each.get("name")) for each in state.companies if each.get("alias_domain_id") not in {*ours, False}]:
            told.append(f"these companies keep their own alias domain, and write with it: {', '.join(others)}")
        return told

    def _login(self, plan: Prepared, by: str) -> str:
        """Its password. Blocking."""
        desk, wanted = object_desk(self.parts), plan.wanted
        self.parts.directory.look()
        known = self.parts.directory().applications.get(wanted.user)
        if known is None:
            table = {"senders": list(wanted.from_filter), "alias_domain": wanted.domain, "answers": plan.destination}
            made = desk.put("application", wanted.user, table, by=by)
            assert isinstance(made, Application)
            known = made
        return desk.new_credential(known, by=by)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
