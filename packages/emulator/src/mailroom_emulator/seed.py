"""Who lives in the tenant at the start: the built-in one, or what a TOML file says."""

import tomllib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mailroom_emulator.entra.scopes import DELEGATED, ROLES
from mailroom_emulator.jws import read_certificate
from mailroom_emulator.tenant import Account, App, Audience, Realm, Right, Secret, Tenant, make_oid

Table = dict[str, Any]
TENANT_ID = "11111111-1111-1111-1111-111111111111"
PUBLIC_CLIENT = "aaaaaaaa-0000-0000-0000-000000000001"
CONFIDENTIAL_CLIENT = "aaaaaaaa-0000-0000-0000-000000000002"
SECRET = "emulator-secret"
_LOOPBACK = ["http://localhost", "http://127.0.0.1"]
_MAILROOM = [f"{host}/signin/callback" for host in _LOOPBACK]
"""Where the console of Mailroom waits for the answer."""
_LIKE_ACCOUNT = {"upn", "name", "oid", "realm", "shared", "enabled", "licensed", "aliases", "rights",
                 "max_message_size", "recipient_limit", "copy_for_sent_as", "copy_for_send_on_behalf"}  # fmt: skip
_LIKE_APP = {"client_id", "name", "public", "audience", "redirect_uris", "spa", "secret", "secrets", "certificate",
             "roles", "admin_scopes", "requested_roles", "requested_scopes", "only_mailboxes", "enabled"}  # fmt: skip

DEFAULT: Table = {
    "tenant": {"id": TENANT_ID, "domain": "contoso.example"},
    "accounts": [
        {
            "upn": "mary@contoso.example",
            "name": "Mary Major",
            "rights": {
                "sales@contoso.example": ["FullAccess", "SendAs"],
                "info@contoso.example": ["FullAccess", "SendAs"],
            },
        },
        {"upn": "notifications@contoso.example", "name": "Contoso Notifications"},
        {"upn": "tom@contoso.example", "name": "Tom Thumb", "rights": {"sales@contoso.example": ["SendOnBehalf"]}},
        {"upn": "sales@contoso.example", "name": "Contoso Sales", "shared": True},
        {"upn": "info@contoso.example", "name": "Contoso Info", "shared": True},
        {"upn": "pat@outlook.example", "name": "Pat Personal", "realm": "consumers"},
    ],
    "apps": [
        {
            "client_id": PUBLIC_CLIENT,
            "name": "Emulator public client",
            "public": True,
            "audience": "AzureADandPersonalMicrosoftAccount",
            "redirect_uris": _LOOPBACK,
        },
        {
            "client_id": CONFIDENTIAL_CLIENT,
            "name": "Emulator confidential client",
            "public": False,
            "audience": "AzureADMyOrg",
            "redirect_uris": [*_LOOPBACK, *_MAILROOM],
            "secrets": [{"value": SECRET}],
            "roles": ["Mail.Send", "Mail.ReadWrite"],
        },
    ],
}


class SeedError(ValueError):
    """The seed, or what the control API was given, can't be used; the text says where and why."""


@dataclass(frozen=True)
class Seed:
    """What a reset goes back to."""

    table: Table = field(default_factory=lambda: DEFAULT)

    def build(self) -> Tenant:
        head = self.table.get("tenant", {})
        tenant = Tenant(str(head.get("id", TENANT_ID)).lower(), str(head.get("domain", "contoso.example")).lower())
        tenant.domains.update(str(d).lower() for d in head.get("domains", ()))
        rows = self.table.get("accounts", [])
        for row in rows:
            tenant.add(read_account(row))
        for row in rows:
            set_rights(tenant, str(row["upn"]), row.get("rights", {}))
        for row in self.table.get("apps", []):
            app = read_app(row, tenant)
            tenant.apps[app.client_id] = app
        return tenant

    @property
    def switches(self) -> Table:
        return dict(self.table.get("switches", {}))


def load(path: Path) -> Seed:
    """Read a seed file and try it, so that its mistakes are told at the start."""
    try:
        seed = Seed(tomllib.loads(path.read_text()))
        _only(seed.table, {"tenant", "accounts", "apps", "switches"}, "the seed")
        seed.build()
    except (OSError, tomllib.TOMLDecodeError, SeedError) as error:
        raise SeedError(f"{path}: {error}") from error
    return seed


def read_account(row: Table) -> Account:
    _only(row, _LIKE_ACCOUNT, "an account")
    upn = str(row.get("upn", "")).lower()
    if "@" not in upn:
        raise SeedError("an account needs a upn with an @")
    return Account(
        upn=upn,
        name=str(row.get("name", upn.partition("@")[0].capitalize())),
        oid=str(row.get("oid", make_oid(upn))).lower(),
        realm=_one_of(Realm, row.get("realm", "organization"), "realm"),
        shared=bool(row.get("shared", False)),
        enabled=bool(row.get("enabled", True)),
        licensed=bool(row.get("licensed", True)),
        aliases=[str(a) for a in row.get("aliases", ())],
        max_message_size=int(row.get("max_message_size", 35 * 1024 * 1024)),
        recipient_limit=int(row.get("recipient_limit", 500)),
        copy_for_sent_as=bool(row.get("copy_for_sent_as", False)),
        copy_for_send_on_behalf=bool(row.get("copy_for_send_on_behalf", False)),
    )


def set_rights(tenant: Tenant, upn: str, rights: Table) -> None:
    """Replace what an account may do in the mailboxes that are named."""
    account = need_account(tenant, upn)
    for address, names in rights.items():
        other = need_account(tenant, address)
        account.rights[other.oid] = {_one_of(Right, name, "right") for name in names}


def need_account(tenant: Tenant, name: str) -> Account:
    account = tenant.account(name)
    if account is None:
        raise SeedError(f"there is no account {name!r}; there are: {', '.join(a.upn for a in tenant.accounts.values())}")
    return account


def read_app(row: Table, tenant: Tenant) -> App:
    _only(row, _LIKE_APP, "an app")
    if "client_id" not in row:
        raise SeedError("an app needs a client_id")
    secrets = [Secret(str(s["value"]), _moment(s.get("expires"))) for s in row.get("secrets", ())]
    if "secret" in row:
        secrets.append(Secret(str(row["secret"])))
    certificates = [read_certificate(str(row["certificate"]).encode())] if "certificate" in row else []
    only = row.get("only_mailboxes")
    return App(
        client_id=str(row["client_id"]).lower(),
        name=str(row.get("name", "An application")),
        public=bool(row.get("public", not secrets and not certificates)),
        audience=_one_of(Audience, row.get("audience", "AzureADMyOrg"), "audience"),
        redirect_uris=[str(u) for u in row.get("redirect_uris", _LOOPBACK)],
        spa=bool(row.get("spa", False)),
        secrets=secrets,
        certificates=certificates,
        roles=_permissions(row.get("roles", ()), ROLES, "role"),
        admin_scopes=_permissions(row.get("admin_scopes", ()), DELEGATED, "scope"),
        requested_roles=_permissions(row.get("requested_roles", ()), ROLES, "role"),
        requested_scopes=_permissions(row.get("requested_scopes", set().union(*DELEGATED.values())), DELEGATED, "scope"),
        only_mailboxes=None if only is None else {need_account(tenant, str(name)).oid for name in only},
        enabled=bool(row.get("enabled", True)),
    )


def _permissions(names: Any, known: dict[str, set[str]], what: str) -> set[str]:
    every = set().union(*known.values())
    wrong = sorted(set(names) - every)
    if wrong:
        raise SeedError(f"there is no {what} {wrong[0]!r}; there are: {', '.join(sorted(every))}")
    return set(names)


def _one_of(kind: Any, value: object, what: str) -> Any:
    try:
        return kind(value)
    except ValueError as error:
        raise SeedError(f"{what} must be one of {', '.join(k.value for k in kind)}, not {value!r}") from error


def _moment(value: object) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(str(value))


def _only(row: Table, known: set[str], what: str) -> None:
    wrong = sorted(set(row) - known)
    if wrong:
        raise SeedError(f"{what} has no {wrong[0]!r}; it has: {', '.join(sorted(known))}")
