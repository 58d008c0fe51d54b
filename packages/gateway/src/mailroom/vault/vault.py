"""The vault: sealed secrets in the store, and access tokens that are fresh when they are asked for.

An account has one grant, and of it a token for each resource that it is used for (Graph, SMTP, IMAP, POP3).

One refresh at a time per account, over all processes and machines: who wants one takes the lease `token:<account>` and looks first
whether somebody else has just done it. A new refresh token is stored before the new access token is used, because Microsoft
rotates them and the old one may be worth nothing after a crash.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import uuid4

from mailroom.objects import Account, GrantType
from mailroom.observe import events
from mailroom.ports import Clock, Store
from mailroom.vault.certificates import sign_assertion
from mailroom.vault.keys import Keys
from mailroom.vault.provider import App, app_of, fresh_token, lacks, prove_itself
from mailroom_core.errors import VaultError
from mailroom_core.flow import AsyncHttp, Note, arun
from mailroom_core.oauth.grants import Grant
from mailroom_core.oauth.problems import ProblemKind, TokenProblem
from mailroom_core.oauth.scopes import Resource

FRESH = timedelta(seconds=10)
"""A token with less left than this is refreshed before it is used."""
LEASE = timedelta(seconds=60)
WAIT = timedelta(seconds=20)
"""How long one process waits for another one's refresh."""
ONE_ANSWER = timedelta(seconds=10)
"""A refused grant is told to all who use it within this time and asked for once: sending and fetching meet the refusal together."""
_SECRET = frozenset({"AADSTS7000215", "AADSTS7000222", "AADSTS7000218"})
"""A new client secret ends these."""
_PREFIX = {Resource.GRAPH: "", Resource.SMTP: "smtp_", Resource.IMAP: "imap_", Resource.POP: "pop_"}
"""Of the fields of a kept grant that belong to one resource."""
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class SealedVault:
    """Implements `ports.Vault` over the store. `http` sends requests without a token."""

    def __init__(
        self, keys: Callable[[], Keys], store: Store, account: Callable[[str], Account], http: AsyncHttp, clock: Clock, owner: str
    ) -> None:
        self._keys = keys
        self._store = store
        self._account = account
        self._http = http
        self._clock = clock
        self._owner = owner
        self._tokens: dict[tuple[str, Resource], tuple[str, datetime]] = {}
        self._dead: dict[tuple[str, Resource], tuple[Mapping[str, str], str, datetime]] = {}
        """What was refused for good, why, and until when that is said again without asking."""
        self._locks: dict[str, asyncio.Lock] = {}

    def open(self, name: str) -> dict[str, str] | None:
        sealed = self._store.secret(name)
        if sealed is None:
            return None
        opened: dict[str, str] = json.loads(self._keys().open(name, sealed))
        return opened

    def seal(self, name: str, secret: Mapping[str, str] | None) -> None:
        self._store.put_secret(name, None if secret is None else self._keys().seal(name, json.dumps(dict(secret)).encode()))

    def reseal(self) -> int:
        """Seal everything with the newest key (before and after `add_key`); how many were sealed anew."""
        return sum(map(self._reseal, self._store.secrets()))

    def _reseal(self, name: str) -> bool:
        """What somebody has kept since it was read, such as a refreshed grant, is read again and never written over."""
        while (sealed := self._store.secret(name)) is not None and not self._keys().sealed_by_newest(sealed):
            if self._store.replace_secret(name, sealed, self._keys().seal(name, self._keys().open(name, sealed))):
                return True
        return False

    async def token(self, account: str, *, resource: Resource = Resource.GRAPH, refused: str = "") -> str:
        if token := self._cached(account, resource, refused):
            return token
        async with self._locks.setdefault(account, asyncio.Lock()):
            if token := self._cached(account, resource, refused) or await asyncio.to_thread(self._stored, account, resource, refused):
                return token
            return await self._refresh_once(account, resource, refused)

    def app(self, account: Account, proof: Mapping[str, str] | None = None) -> App:
        """The app registration with its proof, if it has one; `proof` is one that is not kept yet, empty for none."""
        kept = (self.open(f"app:{account.name}") or {}) if proof is None else proof
        return app_of(account, kept, lambda app, pem: sign_assertion(app, pem, now=self._clock(), unique=str(uuid4())))

    async def connected(
        self, account: str, grant: Grant, proof: Mapping[str, str] | None = None, *, resource: Resource = Resource.GRAPH
    ) -> None:
        """Keep what a sign-in gave, and with what, when nobody is refreshing the grant of before, who would write over it.

        Nothing of the grant of before stays: its tokens may be another person's.
        """
        async with self._alone(account):
            if proof is not None:
                await asyncio.to_thread(self.seal, f"app:{account}", proof or None)
            for each in Resource:
                self._tokens.pop((account, each), None)
            await asyncio.to_thread(self._keep, account, grant, resource, {})

    async def disconnected(self, account: Account) -> None:
        """Forget what gets a token, when nobody is refreshing the grant, who would store it again.

        The proof of an app that acts by itself gets one, and goes; that of an app that acts for people stays, for the next sign-in.
        """
        async with self._alone(account.name):
            if account.grant is GrantType.APPLICATION:
                await asyncio.to_thread(self.seal, f"app:{account.name}", None)
            await asyncio.to_thread(self.seal, f"account:{account.name}", None)
            for each in Resource:
                self._tokens.pop((account.name, each), None)

    def valid_until(self, account: str, resource: Resource = Resource.GRAPH) -> datetime | None:
        """When the kept access token ends; None if there is none. Blocking."""
        kept = self.open(f"account:{account}") or {}
        return datetime.fromisoformat(kept[at]) if (at := f"{_PREFIX[resource]}expires_at") in kept else None

    def forget(self) -> None:
        """Objects have changed: an account may have been connected anew, with other rights. What is stored is read again."""
        self._tokens.clear()
        self._dead.clear()

    def keep(self, account: str, grant: Grant, resource: Resource = Resource.GRAPH) -> None:
        """Store a grant. The refresh token stays what it was if none came with it, and so do the tokens for other resources.

        Raises VaultError.
        """
        self._keep(account, grant, resource, self.open(f"account:{account}") or {})

    def _keep(self, account: str, grant: Grant, resource: Resource, old: Mapping[str, str]) -> None:
        if not _VISIBLE.fullmatch(grant.access_token):
            raise VaultError(f"the token for {account!r} holds characters that can't stand in a request; sign in again")
        expires = self._clock() + grant.expires_in
        of = _PREFIX[resource]
        fresh = {
            "refresh_token": grant.refresh_token or old.get("refresh_token", ""),
            f"{of}access_token": grant.access_token,
            f"{of}expires_at": expires.isoformat(),
            f"{of}scope": grant.scope or old.get(f"{of}scope", ""),
            "used_at": self._clock().isoformat(),
        }
        if grant.refresh_expires_in is not None:
            fresh["ends_at"] = (self._clock() + grant.refresh_expires_in).isoformat()
        self.seal(f"account:{account}", {**old, **fresh})
        self._tokens[account, resource] = (grant.access_token, expires)

    def _cached(self, account: str, resource: Resource, refused: str) -> str:
        token, expires = self._tokens.get((account, resource), ("", self._clock()))
        return token if token != refused and expires - self._clock() > FRESH else ""

    def _stored(self, account: str, resource: Resource, refused: str) -> str:
        """Another process may have refreshed it."""
        kept, of = self.open(f"account:{account}") or {}, _PREFIX[resource]
        if token := kept.get(f"{of}access_token"):
            self._tokens[account, resource] = (token, datetime.fromisoformat(kept[f"{of}expires_at"]))
        return self._cached(account, resource, refused)

    async def _refresh_once(self, account: str, resource: Resource, refused: str) -> str:
        async with self._alone(account):
            if token := await asyncio.to_thread(self._stored, account, resource, refused):
                return token
            return await self._refresh(account, resource)

    @asynccontextmanager
    async def _alone(self, account: str) -> AsyncIterator[None]:
        """Nobody else, on no machine, changes the grant meanwhile. Raises VaultError."""
        deadline = self._clock() + WAIT
        while not await asyncio.to_thread(self._store.lease, f"token:{account}", self._owner, LEASE):
            if self._clock() > deadline:
                raise VaultError(f"another process has been refreshing the token of {account!r} for {WAIT.seconds} s", transient=True)
            await asyncio.sleep(0.2)
        try:
            yield
        finally:
            await asyncio.to_thread(self._store.unlease, f"token:{account}", self._owner)

    async def _refresh(self, name: str, resource: Resource) -> str:
        account = self._account(name)
        kept = await asyncio.to_thread(self.open, f"account:{name}") or {}
        if account.grant is GrantType.DELEGATED and not kept.get("refresh_token"):
            raise VaultError(f"the account {name!r} is not connected; run: mailroom connect {shlex.quote(name)}")
        if missing := lacks(account, resource):
            raise VaultError(missing)
        dead, why, until = self._dead.get((name, resource), (None, "", self._clock()))
        if dead == kept and self._clock() < until:
            raise VaultError(why)
        app = await asyncio.to_thread(self.app, account)
        prove_itself(account, app)
        grant = await arun(fresh_token(app, account, resource, kept.get("refresh_token", "")), self._http, nothing)
        if isinstance(grant, TokenProblem):
            events.token_refused(name, str(grant))
            why, transient = f"account {name!r}: {grant}{_command(name, grant)}", grant.kind is ProblemKind.TRANSIENT
            if not transient:
                self._dead[name, resource] = (kept, why, self._clock() + ONE_ANSWER)
            raise VaultError(why, transient=transient)
        if self._account(name).place != account.place or (await asyncio.to_thread(self.open, f"account:{name}") or {}) != kept:
            raise VaultError(f"the account {name!r} was changed while its token was refreshed; it is tried again", transient=True)
        await asyncio.to_thread(self.keep, name, grant, resource)
        events.token_refreshed(name)
        return grant.access_token


def _command(account: str, problem: TokenProblem) -> str:
    """What a person runs in the end; nothing if it passes by itself."""
    run = f"run: mailroom connect {shlex.quote(account)}"
    match problem.kind:
        case ProblemKind.TRANSIENT:
            return ""
        case ProblemKind.RECONNECT:
            return f"; {run}"
        case _:
            return f"; then {run}{' --secret' if problem.code in _SECRET else ''}"


async def nothing(note: Note) -> None:
    raise AssertionError(f"a token conversation has nothing to remember, but noted {sorted(note.facts)}")
