"""Accounts and applications."""

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mailroom_emulator import seed
from mailroom_emulator.jws import read_certificate
from mailroom_emulator.tenant import Account, App

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

Json = dict[str, Any]


class Directory:
    def __init__(self, emulator: "Emulator") -> None:
        self._e = emulator

    async def accounts(self, request: Request) -> Response:
        return JSONResponse([self._account_json(a) for a in self._e.tenant.accounts.values()])

    async def add_account(self, request: Request) -> Response:
        row = await request.json()
        account = self._e.tenant.add(seed.read_account(row))
        seed.set_rights(self._e.tenant, account.upn, row.get("rights", {}))
        return JSONResponse(self._account_json(account), 201)

    async def change_account(self, request: Request) -> Response:
        account, value = self._account(request), await request.json()
        for name in ("enabled", "licensed", "copy_for_sent_as", "copy_for_send_on_behalf"):
            if name in value:
                setattr(account, name, bool(value[name]))
        for name in ("max_message_size", "recipient_limit"):
            if name in value:
                setattr(account, name, int(value[name]))
        for alias in value.get("add_aliases", ()):
            self._e.tenant.add_alias(account, str(alias))
        return JSONResponse(self._account_json(account))

    async def remove_account(self, request: Request) -> Response:
        self._e.tenant.remove(self._account(request))
        return Response(status_code=204)

    async def rights(self, request: Request) -> Response:
        """{"sales@contoso.example": ["FullAccess", "SendAs"]}: what this account may do there, from now on."""
        account = self._account(request)
        seed.set_rights(self._e.tenant, account.upn, await request.json())
        return JSONResponse(self._account_json(account))

    async def revoke(self, request: Request) -> Response:
        """{"client_id": optional, "code": 50173, "access_tokens": false}: the grant is dead."""
        value = await request.json() if await request.body() else {}
        account = self._account(request)
        count = self._e.tokens.revoke(
            account,
            value.get("client_id"),
            int(value.get("code", 50173)),
            access_tokens=bool(value.get("access_tokens", False)),
        )
        return JSONResponse({"revoked": count})

    async def apps(self, request: Request) -> Response:
        return JSONResponse([_app_json(a) for a in self._e.tenant.apps.values()])

    async def add_app(self, request: Request) -> Response:
        app = seed.read_app(await request.json(), self._e.tenant)
        self._e.tenant.apps[app.client_id] = app
        return JSONResponse(_app_json(app), 201)

    async def change_app(self, request: Request) -> Response:
        """Replace what is named: redirect_uris, roles, secrets, enabled, ...; {"expire_secrets": true} does that."""
        app, value = self._app(request), await request.json()
        if value.pop("expire_secrets", False):
            for secret in app.secrets:
                secret.expires = self._e.clock.now()
        changed = seed.read_app({"client_id": app.client_id, **value}, self._e.tenant)
        for name in value:
            attribute = {"secret": "secrets", "certificate": "certificates"}.get(name, name)
            setattr(app, attribute, getattr(changed, attribute))
        return JSONResponse(_app_json(app))

    async def add_certificate(self, request: Request) -> Response:
        """The body is the certificate in PEM."""
        certificate = read_certificate(await request.body())
        self._app(request).certificates.append(certificate)
        return JSONResponse({"x5t": certificate.sha1, "x5t#S256": certificate.sha256}, 201)

    def _account(self, request: Request) -> Account:
        return seed.need_account(self._e.tenant, request.path_params["name"])

    def _app(self, request: Request) -> App:
        app = self._e.tenant.apps.get(request.path_params["client_id"].lower())
        if app is None:
            raise ValueError(f"there is no application {request.path_params['client_id']!r}")
        return app

    def _account_json(self, account: Account) -> Json:
        names = self._e.tenant.accounts
        rights = {names[oid].upn: sorted(r.value for r in rights) for oid, rights in account.rights.items() if oid in names}
        return {
            "oid": account.oid,
            "upn": account.upn,
            "name": account.name,
            "realm": account.realm.value,
            "shared": account.shared,
            "enabled": account.enabled,
            "licensed": account.licensed,
            "aliases": account.aliases,
            "rights": rights,
            "max_message_size": account.max_message_size,
            "recipient_limit": account.recipient_limit,
        }


def _app_json(app: App) -> Json:
    return {
        "client_id": app.client_id,
        "name": app.name,
        "public": app.public,
        "audience": app.audience.value,
        "redirect_uris": app.redirect_uris,
        "roles": sorted(app.roles),
        "secrets": len(app.secrets),
        "certificates": [c.sha256 for c in app.certificates],
        "enabled": app.enabled,
    }
