"""The vault: sealed secrets in the store, and access tokens that are fresh when they are asked for.

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
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from mailroom.objects import Account, GrantType
from mailroom.observe import events
from mailroom.ports import Clock, Store
from mailroom.vault.certificates import sign_assertion
from mailroom.vault.keys import Keys
from mailroom_core.errors import VaultError
from mailroom_core.flow import AsyncHttp, Note, arun
from mailroom_core.oauth import microsoft
from mailroom_core.oauth.microsoft import App, Assertion, Grant, Secret
from mailroom_core.oauth.problems import ProblemKind, TokenProblem
from mailroom_core.oauth.scopes import Tier, delegated_scopes

FRESH = timedelta(seconds=10)
"""A token with less left than this is refreshed before it is used."""
LEASE = timedelta(seconds=60)
WAIT = timedelta(seconds=20)
"""How long one process waits for another one's refresh."""
_SECRET = frozenset({"AADSTS7000215", "AADSTS7000222", "AADSTS7000218"})
"""A new client secret ends these."""
_VISIBLE = re.compile(r"[\x21-\x7e]+")


def cloud_of(account: Account) -> microsoft.Cloud:
    """Where the account lives; the addresses of an emulator replace the real ones."""
    cloud = microsoft.CLOUDS[account.cloud]
    return replace(cloud, login=account.login_url or cloud.login, graph=account.graph_url or cloud.graph)


def scopes_of(account: Account) -> tuple[str, ...]:
    """What we ask for when a person signs in, and at every refresh."""
    tier = Tier.READ_WRITE if account.read_write else Tier.SEND
    return delegated_scopes(cloud_of(account).resource, tier, shared=account.shared)


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
        self._tokens: dict[str, tuple[str, datetime]] = {}
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
        count = 0
        for name in self._store.secrets():
            sealed = self._store.secret(name)
            if sealed is not None and not self._keys().sealed_by_newest(sealed):
                self._store.put_secret(name, self._keys().seal(name, self._keys().open(name, sealed)))
                count += 1
        return count

    async def token(self, account: str, *, refused: str = "") -> str:
        if token := self._cached(account, refused):
            return token
        async with self._locks.setdefault(account, asyncio.Lock()):
            if token := self._cached(account, refused) or await asyncio.to_thread(self._stored, account, refused):
                return token
            return await self._refresh_once(account, refused)

    def app(self, account: Account, proof: Mapping[str, str] | None = None) -> App:
        """The app registration with its proof, if it has one; `proof` is one that is not kept yet, empty for none."""
        registration = (self.open(f"app:{account.name}") or {}) if proof is None else proof
        app = App(account.client_id, account.tenant, cloud=cloud_of(account))
        if secret := registration.get("secret"):
            return replace(app, proof=Secret(secret))
        if pem := registration.get("certificate"):
            return replace(app, proof=Assertion(lambda: sign_assertion(app, pem, now=self._clock(), unique=str(uuid4()))))
        return app

    async def connected(self, account: str, grant: Grant, proof: Mapping[str, str] | None = None) -> None:
        """Keep what a sign-in gave, and with what, when nobody is refreshing the grant of before, who would write over it."""
        async with self._alone(account):
            if proof is not None:
                await asyncio.to_thread(self.seal, f"app:{account}", proof or None)
            await asyncio.to_thread(self.keep, account, grant)

    def forget(self) -> None:
        """Objects have changed: an account may have been connected anew, with other rights. What is stored is read again."""
        self._tokens.clear()

    def keep(self, account: str, grant: Grant) -> None:
        """Store a grant. The refresh token stays what it was if none came with it. Raises VaultError."""
        if not _VISIBLE.fullmatch(grant.access_token):
            raise VaultError(f"the token for {account!r} holds characters that can't stand in a request; sign in again")
        name = f"account:{account}"
        expires = self._clock() + grant.expires_in
        old = self.open(name) or {}
        self.seal(
            name,
            {
                "refresh_token": grant.refresh_token or old.get("refresh_token", ""),
                "access_token": grant.access_token,
                "expires_at": expires.isoformat(),
                "scope": grant.scope or old.get("scope", ""),
            },
        )
        self._tokens[account] = (grant.access_token, expires)

    def _cached(self, account: str, refused: str) -> str:
        token, expires = self._tokens.get(account, ("", self._clock()))
        return token if token != refused and expires - self._clock() > FRESH else ""

    def _stored(self, account: str, refused: str) -> str:
        """Another process may have refreshed it."""
        kept = self.open(f"account:{account}")
        if kept and kept["access_token"]:
            self._tokens[account] = (kept["access_token"], datetime.fromisoformat(kept["expires_at"]))
        return self._cached(account, refused)

    async def _refresh_once(self, account: str, refused: str) -> str:
        async with self._alone(account):
            if token := await asyncio.to_thread(self._stored, account, refused):
                return token
            return await self._refresh(account)

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

    async def _refresh(self, name: str) -> str:
        account = self._account(name)
        app = await asyncio.to_thread(self.app, account)
        if account.grant is GrantType.APPLICATION:
            flow = microsoft.client_credentials(app)
        else:
            kept = await asyncio.to_thread(self.open, f"account:{name}")
            if not kept or not kept["refresh_token"]:
                raise VaultError(f"the account {name!r} is not connected; run: mailroom connect {name}")
            flow = microsoft.refresh(app, refresh_token=kept["refresh_token"], scopes=scopes_of(account))
        grant = await arun(flow, self._http, nothing)
        if isinstance(grant, TokenProblem):
            events.token_refused(name, str(grant))
            raise VaultError(f"account {name!r}: {grant}{_command(name, grant)}", transient=grant.kind is ProblemKind.TRANSIENT)
        await asyncio.to_thread(self.keep, name, grant)
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
