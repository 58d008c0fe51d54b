"""Accounts over the web: sign-ins that are under way, and what becomes of them.

A sign-in waits sealed in the vault under the hash of its state, so that any process may take the answer. It belongs to one session,
ends after 15 minutes, and is taken once: who takes it holds a lease of its name.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from hmac import compare_digest
from secrets import token_hex

from mailroom import tables
from mailroom.console.accounts_desk import CALLBACK, Done, Shown
from mailroom.doctor.trial import Step
from mailroom.mailboxes import lane_of
from mailroom.objects import Account, GrantType, OutgoingServer, Provider, SinkRoute
from mailroom.transports.http import Http, client
from mailroom.vault import consent
from mailroom.vault.expiry import of_account
from mailroom.vault.provider import App, first_resource
from mailroom.vault.vault import nothing
from mailroom.wiring import connecting
from mailroom.wiring.parts import Parts, utc_now
from mailroom.wiring.proofs import Proofs
from mailroom.wiring.testing import server_trial
from mailroom_core.errors import VaultError
from mailroom_core.flow import arun
from mailroom_core.oauth import google

PATIENCE = timedelta(minutes=15)
"""For one sign-in; the provider's code lives for ten."""
_PENDING = "signin:"
_UNKNOWN = (
    "This answer belongs to no sign-in that is under way here: it was used already, took longer than 15 minutes, or was begun in another "
    "browser or by another person. Go to Accounts and start again"
)
_AGREED = (
    "nothing is connected yet, but an administrator has agreed to the permissions for the whole organisation. "
    "Go to Accounts and connect the account"
)


class Accounts:
    """Implements `console.accounts_desk.AccountsDesk`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.proofs = Proofs(parts)

    def shown(self) -> list[Shown]:
        self._parts.directory.look()
        directory, now = self._parts.directory(), utc_now()
        lanes = self._parts.store.lanes()
        found = []
        for name, account in sorted(directory.accounts.items()):
            kept = self._parts.vault.open(f"account:{name}") or {}
            servers = [each.name for each in directory.servers.values() if _uses(each, name)]
            own = [lane for lane in lanes if lane.name.startswith(f"graph:{name}:") or lane.name in {f"smarthost:{s}" for s in servers}]
            ends = of_account(account, self._parts.vault.open(f"app:{name}") or {}, kept)
            found.append(
                Shown(
                    account=account,
                    connected=bool(kept),
                    allows=_allows(account),
                    until=self._parts.vault.valid_until(name, first_resource(account)),
                    ending=[each for each in ends if each.is_soon(now)],
                    held=[lane.held for lane in own if lane.held],
                    waiting=sum(lane.waiting for lane in own),
                    servers=servers,
                    proof=self.proofs.of(name),
                )
            )
        return found

    async def begin(self, account: Account, proof: Mapping[str, str] | None, *, session: str, redirect_uri: str) -> str:
        started = consent.begin(account, await asyncio.to_thread(self._app, account, proof), redirect_uri)
        pending = {
            "account": json.dumps({"name": account.name, **tables.write(account)}),
            "proof": "" if proof is None else json.dumps(dict(proof)),
            "redirect_uri": redirect_uri,
            "verifier": started.verifier,
            "session": _digest(session),
            "until": (utc_now() + PATIENCE).isoformat(),
        }
        await asyncio.to_thread(self._keep, started.state, pending)
        return started.url

    async def for_program(self, account: Account) -> str:
        """Begun without a session: any administrator's session may take the answer. Raises VaultError."""
        ours = self._parts.settings.public_url.rstrip("/")
        if not ours:
            raise VaultError(
                "set public_url in mailroom.toml to the address that people's browsers use: the provider sends them back there"
            )
        return await self.begin(account, None, session="", redirect_uri=f"{ours}{CALLBACK}")

    async def finish(self, answer: Mapping[str, str], *, session: str, by: str) -> Done:
        if "admin_consent" in answer and "state" not in answer:
            raise VaultError(_AGREED)
        state = answer.get("state", "")
        pending = await asyncio.to_thread(self._take, state, session)
        table = json.loads(pending["account"])
        account = tables.read("account", table.pop("name"), table)
        assert isinstance(account, Account)
        proof = json.loads(pending["proof"]) if pending["proof"] else None
        app = await asyncio.to_thread(self._app, account, proof)
        started = consent.Consent(account, app, pending["redirect_uri"], state, pending["verifier"], "")
        return await self._done(account, await connecting.answered(started, answer), proof, by)

    async def app_only(self, account: Account, proof: Mapping[str, str] | None, *, by: str) -> Done:
        app = await asyncio.to_thread(self._app, account, proof)
        return await self._done(account, await connecting.app_only(account, app), proof, by)

    async def disconnect(self, name: str, *, by: str) -> str:
        account = self._parts.directory.account(name)
        kept = await asyncio.to_thread(self._parts.vault.open, f"account:{name}") or {}
        left = await self._end_at_provider(account, kept)
        await self._parts.vault.disconnected(account)
        await asyncio.to_thread(self._forget, account, by)
        return left

    def add_server(self, server: OutgoingServer, password: str, *, by: str) -> None:
        if password:
            self._parts.vault.seal(f"server:{server.name}", {"password": password})
        self._parts.store.apply([server], [], by=by)

    def trial(self, server: str, *, recipient: str, sender: str = "") -> AsyncIterator[Step]:
        self._parts.directory.look()
        return server_trial(self._parts, server, recipient=recipient, sender=sender)

    # -- steps

    def _app(self, account: Account, proof: Mapping[str, str] | None) -> App:
        return self._parts.vault.app(account, proof)

    async def _done(self, account: Account, signed: connecting.Signed, proof: Mapping[str, str] | None, by: str) -> Done:
        done = await connecting.connected(self._parts, account, signed, proof, by=by, with_server=True)
        await asyncio.to_thread(self.proofs.used, proof)
        await asyncio.to_thread(self._parts.directory.look)
        return Done(account=done.account, told=done.told, server=done.server.name if done.server else "", freed=done.freed)

    def _keep(self, state: str, pending: Mapping[str, str]) -> None:
        vault = self._parts.vault
        for name in self._parts.store.secrets():
            if name.startswith(_PENDING) and _is_over(vault.open(name) or {}):
                vault.seal(name, None)
        vault.seal(_name(state), pending)

    def _take(self, state: str, session: str) -> dict[str, str]:
        """Raises VaultError."""
        name = _name(state)
        pending = self._parts.vault.open(name)
        if pending is None or not any(compare_digest(pending["session"], _digest(each)) for each in ("", session)):
            raise VaultError(_UNKNOWN)
        if not self._parts.store.lease(name, token_hex(16), PATIENCE) or self._parts.vault.open(name) is None:
            raise VaultError(_UNKNOWN)
        self._parts.vault.seal(name, None)
        if _is_over(pending):
            raise VaultError(_UNKNOWN)
        return pending

    async def _end_at_provider(self, account: Account, kept: Mapping[str, str]) -> str:
        """What is left for a person to do."""
        if account.grant is GrantType.APPLICATION:
            return "The app registration keeps its permissions: remove its consent or its secret in the Entra admin center"
        if account.provider is Provider.MICROSOFT:
            return "Microsoft keeps the consent until its owner removes Mailroom at myapps.microsoft.com, or an administrator does"
        app = await asyncio.to_thread(self._app, account, None)
        if not isinstance(app, google.App) or not kept.get("refresh_token"):
            return ""
        async with client() as http:
            problem = await arun(google.revoke(app, token=kept["refresh_token"]), Http(http), nothing)
        return f"Google did not end the permission ({problem}); remove it at myaccount.google.com/connections" if problem else ""

    def _forget(self, account: Account, by: str) -> None:
        store = self._parts.store
        store.apply([account], [], by=by)  # so that running gateways forget its tokens
        servers = {each.name for each in self._parts.directory().servers.values() if _uses(each, account.name)}
        again = f"connect it again under Accounts, or run: mailroom connect {account.name}"
        if account.grant is GrantType.APPLICATION:
            again = f"connect it again under Accounts, or run: mailroom connect {account.name} --secret (or --certificate FILE)"
        reason = f"the account {account.name!r} was disconnected by {by}; {again}"
        directory = self._parts.directory()
        lanes = {f"smarthost:{name}" for name in servers}
        lanes |= {lane_of(directory, each) for each in directory.incoming.values() if each.source.account == account.name}
        for lane in store.lanes():
            if lane.name.startswith(f"graph:{account.name}:") or lane.name in lanes:
                store.hold_lane(lane.name, reason, account=account.name)


def _uses(server: OutgoingServer, account: str) -> bool:
    return not isinstance(server.route, SinkRoute) and server.route.account == account


def _allows(account: Account) -> str:
    if account.provider is Provider.GOOGLE:
        return "Sends through smtp.gmail.com, reads by IMAP and POP3"
    words = "Sends, also large mail, and looks before sending again" if account.read_write else "Sends only: no large mail, no looking"
    fetched = ("its mail can be fetched, and stays as it is",) if account.read and not account.read_write else ()
    return "; ".join((words, *fetched, *(name.upper() for name in ("smtp", "imap", "pop") if getattr(account, name))))


def _name(state: str) -> str:
    return f"{_PENDING}{_digest(state)[:40]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _is_over(pending: Mapping[str, str]) -> bool:
    return not pending or datetime.fromisoformat(pending["until"]) < utc_now()
