"""The paths of the identity platform."""

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, Router

from mailroom_emulator.entra import authorize, clients, pages, realms, scopes, token_endpoint
from mailroom_emulator.entra.errors import EntraError
from mailroom_emulator.entra.tokens import DeviceCode
from mailroom_emulator.hosts import REAL, Hosts, seen_by
from mailroom_emulator.tenant import Realm

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

_NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}


def router(emulator: "Emulator") -> Router:
    routes = _Entra(emulator)
    return Router(
        [
            Route("/common/discovery/instance", routes.instance),
            Route("/{tenant}/oauth2/v2.0/authorize", routes.authorize, methods=["GET", "POST"]),
            Route("/{tenant}/oauth2/v2.0/token", routes.token, methods=["POST"]),
            Route("/{tenant}/oauth2/v2.0/devicecode", routes.device_code, methods=["POST"]),
            Route("/{tenant}/oauth2/v2.0/logout", routes.logout),
            Route("/devicelogin", routes.device_login),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", routes.metadata),
            Route("/{tenant}/.well-known/openid-configuration", routes.metadata),
            Route("/{tenant}/discovery/v2.0/keys", routes.keys),
            Route("/{tenant}/v2.0/adminconsent", routes.admin_consent),
            Route("/{tenant}/adminconsent", routes.admin_consent),
        ]
    )


class _Entra:
    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator

    async def token(self, request: Request) -> Response:
        tenant = request.path_params["tenant"]
        try:
            form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
            form = {**clients.basic_credentials(request.headers.get("authorization")), **form}
            used_once = self._emulator.switches.refresh_tokens == "used_once"
            body = token_endpoint.answer(self._emulator.tokens, tenant, form, _hosts(request).login, used_once=used_once)
        except (EntraError, UnicodeDecodeError) as error:
            return self._refuse(error if isinstance(error, EntraError) else EntraError(9002313))
        return JSONResponse(body, headers=_NO_STORE)

    async def authorize(self, request: Request) -> Response:
        query = dict(request.query_params)
        if request.method == "POST":
            query |= dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        auto = query.pop("emulator_auto", None) or request.headers.get("x-emulator-auto")
        tenant, people_may = request.path_params["tenant"], self._emulator.switches.user_consent
        try:
            return authorize.answer(self._emulator.tokens, tenant, query, auto, user_consent=people_may)
        except EntraError as error:
            return HTMLResponse(pages.sorry(error.text), 400)

    async def admin_consent(self, request: Request) -> Response:
        query = dict(request.query_params)
        auto = query.pop("emulator_auto", None) or request.headers.get("x-emulator-auto")
        tenant = self._emulator.tenant
        try:
            realms.resolve(tenant, request.path_params["tenant"])
            app = clients.find_app(tenant, query.get("client_id", ""))
            uri = query.get("redirect_uri") or (app.redirect_uris[0] if app.redirect_uris else "")
            if not authorize.redirect_allowed(app, uri):
                raise EntraError(50011, uri=uri, client=app.client_id)
        except EntraError as error:
            return HTMLResponse(pages.sorry(error.text), 400)
        back = authorize.Back(uri, "query", query.get("state"))
        decision = query.get("emulator_consent") or {"deny": "no", None: None}.get(auto, "yes")
        if decision is None:
            return HTMLResponse(pages.admin_consent(app, sorted(app.requested_roles | app.roles | app.requested_scopes), query))
        if decision == "no":
            text = "AADSTS65004: User declined to consent to access the app."
            return authorize.send_back(back, {"error": "access_denied", "error_description": text})
        app.roles |= app.requested_roles
        app.admin_scopes |= app.requested_scopes
        return authorize.send_back(back, {"admin_consent": "True", "tenant": tenant.id, "scope": query.get("scope", "")})

    async def device_code(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        try:
            realms.resolve(self._emulator.tenant, request.path_params["tenant"])
            app = clients.find_app(self._emulator.tenant, form.get("client_id", ""))
        except EntraError as error:
            return self._refuse(error)
        code, user_code = secrets.token_urlsafe(64), secrets.token_hex(5).upper()[:9]
        expires = self._emulator.clock.now() + timedelta(seconds=900)
        self._emulator.tokens.device_codes[code] = DeviceCode(app.client_id, form.get("scope", ""), user_code, expires)
        uri = f"{_hosts(request).login}/devicelogin"
        text = f"To sign in, use a web browser to open the page {uri} and enter the code {user_code} to authenticate."
        return JSONResponse(
            {
                "user_code": user_code,
                "device_code": code,
                "verification_uri": uri,
                "expires_in": 900,
                "interval": 5,
                "message": text,
            }
        )

    async def device_login(self, request: Request) -> Response:
        user_code = request.query_params.get("user_code", "")
        known = [c for c in self._emulator.tokens.device_codes.values() if c.user_code == user_code]
        if not known:
            return HTMLResponse(pages.sorry("Add ?user_code=... with the code that the device shows."), 400)
        tenant, code = self._emulator.tenant, known[0]
        account = tenant.account(request.query_params.get("emulator_user", ""))
        if account is None:
            return HTMLResponse(pages.device(user_code, [a for a in tenant.accounts.values() if not a.shared]))
        app = tenant.apps[code.client_id]
        wanted = scopes.parse(code.scope)
        self._emulator.tokens.consent(app, account, token_endpoint.consentable(app, account, wanted))
        code.account = account
        return HTMLResponse(pages.done("You have signed in on your device."))

    async def logout(self, request: Request) -> Response:
        return HTMLResponse(pages.done("You signed out of your account."))

    async def metadata(self, request: Request) -> Response:
        name = request.path_params["tenant"]
        try:
            segment = realms.resolve(self._emulator.tenant, name)
        except EntraError as error:
            return self._refuse(error)
        base = _hosts(request).login
        issuer = "{tenantid}" if segment.realms == frozenset(Realm) or name.lower() == "organizations" else name
        if segment.concrete:
            issuer = self._emulator.tenant.id
        return JSONResponse(_metadata(base, name, issuer))

    async def keys(self, request: Request) -> Response:
        return JSONResponse({"keys": [self._emulator.tokens.signer.jwk]})

    async def instance(self, request: Request) -> Response:
        base = _hosts(request).login
        host = base.partition("://")[2]
        aliases = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
        if base != REAL.login:
            aliases = [host]
        return JSONResponse(
            {
                "tenant_discovery_endpoint": f"{base}/common/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": aliases[0], "preferred_cache": aliases[-1], "aliases": aliases}],
            }
        )

    def _refuse(self, error: EntraError) -> Response:
        return JSONResponse(error.body(self._emulator.clock.now()), error.kind.status, headers=_NO_STORE)


def _hosts(request: Request) -> Hosts:
    return seen_by(request.url.scheme, request.headers)


def _metadata(base: str, name: str, issuer: str) -> dict[str, Any]:
    return {
        "token_endpoint": f"{base}/{name}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": f"{base}/{name}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": f"{base}/{issuer}/v2.0",
        "authorization_endpoint": f"{base}/{name}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{base}/{name}/oauth2/v2.0/devicecode",
        "end_session_endpoint": f"{base}/{name}/oauth2/v2.0/logout",
        "code_challenge_methods_supported": ["plain", "S256"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "msgraph_host": "graph.microsoft.com",
    }
