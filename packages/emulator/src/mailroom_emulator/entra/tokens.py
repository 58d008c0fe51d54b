"""Tokens: issued, remembered, refreshed, revoked, and read again by Graph."""

import json
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mailroom_emulator.clock import Clock
from mailroom_emulator.entra import scopes
from mailroom_emulator.jws import BadToken, Json, Signer, b64
from mailroom_emulator.tenant import Account, App, Tenant

ACCESS_LIFETIME = timedelta(seconds=3600)
CODE_LIFETIME = timedelta(minutes=10)
REFRESH_LIFETIME = timedelta(days=90)  # facts 4.4
SPA_REFRESH_LIFETIME = timedelta(hours=24)
_CACHE_LIMIT = 10_000


@dataclass
class Code:
    """An authorization code and what it was given for."""

    client_id: str
    redirect_uri: str
    account: Account
    scope: str
    challenge: str | None
    nonce: str | None
    expires: datetime
    redeemed: bool = False


@dataclass
class RefreshToken:
    client_id: str
    account: Account
    issued: datetime
    expires: datetime
    killed_by: int | None = None  # the AADSTS code that it is refused with


@dataclass
class DeviceCode:
    client_id: str
    scope: str
    user_code: str
    expires: datetime
    account: Account | None = None
    declined: bool = False


@dataclass(frozen=True)
class Claims:
    """What an access token says, as far as Graph cares. `account` is None for an app-only token."""

    client_id: str
    audience: str
    account_oid: str | None
    permissions: frozenset[str]
    expires: datetime
    token_id: str
    issued: datetime


@dataclass
class TokenStore:
    """Everything that was issued."""

    tenant: Tenant
    clock: Clock
    signer: Signer
    codes: dict[str, Code] = field(default_factory=dict)
    refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict)
    device_codes: dict[str, DeviceCode] = field(default_factory=dict)
    consents: dict[tuple[str, str], set[tuple[str, str]]] = field(default_factory=dict)
    revoked_token_ids: set[str] = field(default_factory=set)
    access_lifetime: timedelta = ACCESS_LIFETIME
    _read: dict[str, Claims] = field(default_factory=dict)

    def add_code(self, code: Code) -> str:
        text = f"1.{secrets.token_urlsafe(64)}"
        self.codes[text] = code
        return text

    def consented(self, app: App, account: Account) -> set[tuple[str, str]]:
        by_admin = {(resource, name) for name in app.admin_scopes for resource in scopes.DELEGATED if name in scopes.DELEGATED[resource]}
        return self.consents.get((app.client_id, account.oid), set()) | by_admin

    def consent(self, app: App, account: Account, names: set[tuple[str, str]]) -> None:
        self.consents.setdefault((app.client_id, account.oid), set()).update(names)

    def revoke(self, account: Account, client_id: str | None, code: int = 50173, *, access_tokens: bool = False) -> int:
        """Refuse the account's refresh tokens with `code` from now on; says how many. A client id narrows it."""
        killed = 0
        for token in self.refresh_tokens.values():
            if token.account.oid == account.oid and client_id in (None, token.client_id):
                token.killed_by = code
                killed += 1
        if access_tokens:
            for claims in self._read.values():
                if claims.account_oid == account.oid and client_id in (None, claims.client_id):
                    self.revoked_token_ids.add(claims.token_id)
        return killed

    def new_refresh_token(self, app: App, account: Account, until: datetime | None = None) -> str:
        now = self.clock.now()
        lifetime = SPA_REFRESH_LIFETIME if app.spa else REFRESH_LIFETIME
        text = f"1.A{secrets.token_urlsafe(96)}"
        self.refresh_tokens[text] = RefreshToken(app.client_id, account, now, until or now + lifetime)
        return text

    def new_access_token(self, app: App, resource: str, account: Account | None, permissions: set[str]) -> str:
        """A signed token for one resource: `scp` for an account, `roles` for an application by itself."""
        now = self.clock.now()
        tenant_id = self.tenant.realm_tenant(account) if account else self.tenant.id
        claims: Json = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{tenant_id}/",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + self.access_lifetime).timestamp()),
            "appid": app.client_id,
            "app_displayname": app.name,
            "appidacr": "0" if app.public else "1",
            "tid": tenant_id,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        if account is None:
            claims |= {"idtyp": "app", "oid": _service_principal(app), "roles": sorted(permissions)}
        else:
            claims |= {"idtyp": "user", "oid": account.oid, "scp": " ".join(sorted(permissions))}
            claims |= {"upn": account.upn, "unique_name": account.upn, "name": account.name}
        return self.signer.sign(claims)

    def read_access_token(self, token: str) -> Claims:
        """Raises BadToken when it is not ours. Expiry and audience are the reader's business."""
        found = self._read.get(token)
        if found is not None:
            return found
        raw = self.signer.read(token)
        permissions = str(raw.get("scp", "")).split() if "scp" in raw else raw.get("roles", [])
        if "appid" not in raw:
            raise BadToken("not an access token")
        claims = Claims(
            client_id=raw["appid"],
            audience=raw["aud"],
            account_oid=raw["oid"] if raw.get("idtyp") == "user" else None,
            permissions=frozenset(permissions),
            expires=datetime.fromtimestamp(raw["exp"], tz=self.clock.now().tzinfo),
            token_id=raw["uti"],
            issued=datetime.fromtimestamp(raw["iat"], tz=self.clock.now().tzinfo),
        )
        if len(self._read) >= _CACHE_LIMIT:
            self._read.clear()
        self._read[token] = claims
        return claims

    def id_token(self, app: App, account: Account, nonce: str | None, issuer: str) -> str:
        now = int(self.clock.now().timestamp())
        claims: Json = {
            "aud": app.client_id,
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + int(self.access_lifetime.total_seconds()),
            "name": account.name,
            "oid": account.oid,
            "preferred_username": account.upn,
            "email": account.upn,
            "sub": b64(uuid.uuid5(uuid.UUID(account.oid), app.client_id).bytes * 2),
            "tid": self.tenant.realm_tenant(account),
            "ver": "2.0",
        }
        if nonce:
            claims["nonce"] = nonce
        return self.signer.sign(claims)


def client_info(tenant: Tenant, account: Account) -> str:
    """What MSAL wants beside the tokens when it sends client_info=1."""
    return b64(json.dumps({"uid": account.oid, "utid": tenant.realm_tenant(account)}).encode())


def _service_principal(app: App) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"service-principal:{app.client_id}"))
