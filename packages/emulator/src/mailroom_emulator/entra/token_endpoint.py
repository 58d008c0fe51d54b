"""`POST /{tenant}/oauth2/v2.0/token`: five ways to get tokens (facts 4.2, 4.4, 4.6, 4.8)."""

from datetime import datetime
from typing import Any

from mailroom_emulator.entra import clients, realms, scopes
from mailroom_emulator.entra.clients import Form
from mailroom_emulator.entra.errors import EntraError
from mailroom_emulator.entra.scopes import Wanted
from mailroom_emulator.entra.tokens import TokenStore, client_info
from mailroom_emulator.tenant import Account, App, Realm

Answer = dict[str, Any]
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def answer(store: TokenStore, tenant_text: str, form: Form, issuer_base: str, *, used_once: bool = False) -> Answer:
    """The JSON of a success; raises EntraError otherwise. `used_once`: a refresh token is good for one refresh."""
    segment = realms.resolve(store.tenant, tenant_text)
    app = clients.find_app(store.tenant, _need(form, "client_id"))
    grant = _need(form, "grant_type")
    if grant == "client_credentials":
        return _client_credentials(store, segment, app, form)
    realms.admit(store.tenant, segment, app)
    if grant == DEVICE_GRANT:
        return _device_code(store, app, form, issuer_base)
    clients.authenticate(app, form, store.clock, tenant_text)
    if grant == "authorization_code":
        return _authorization_code(store, app, form, issuer_base)
    if grant == "refresh_token":
        return _refresh(store, app, form, issuer_base, used_once=used_once)
    raise EntraError(70003, grant=grant)


def _client_credentials(store: TokenStore, segment: realms.Segment, app: App, form: Form) -> Answer:
    if not segment.concrete:
        raise EntraError(50194, client=app.client_id)
    if app.public:
        raise EntraError(7000218)
    clients.authenticate(app, form, store.clock, segment.text)
    text = _need(form, "scope")
    wanted = scopes.parse(text)
    if len(wanted.resources) > 1:
        raise EntraError(700022)
    if wanted.names or len(wanted.default_of) != 1:
        raise EntraError(70011, scope=text)
    resource = next(iter(wanted.default_of))
    token = store.new_access_token(app, resource, None, app.roles & scopes.ROLES[resource])
    seconds = int(store.access_lifetime.total_seconds()) - 1
    return {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}


def _authorization_code(store: TokenStore, app: App, form: Form, issuer_base: str) -> Answer:
    code = store.codes.get(_need(form, "code"))
    if code is None:
        raise EntraError(9002313)
    if code.client_id != app.client_id:
        raise EntraError(700005)
    if code.redeemed:
        raise EntraError(54005)
    if code.expires <= store.clock.now():
        raise EntraError(70008)
    if form.get("redirect_uri", "") != code.redirect_uri:
        raise EntraError(500112, uri=form.get("redirect_uri", ""))
    if not clients.pkce_matches(code.challenge, form.get("code_verifier")):
        raise EntraError(501481)
    wanted = scopes.parse(form.get("scope") or code.scope)
    granted_openid = scopes.parse(code.scope).openid
    if not form.get("scope") and len(wanted.resources) > 1:
        wanted = _only_graph(wanted)  # consented together, but one token is for one resource
    result = _tokens(store, app, code.account, wanted, form, issuer_base, granted_openid | wanted.openid, code.nonce)
    code.redeemed = True
    return result


def _refresh(store: TokenStore, app: App, form: Form, issuer_base: str, *, used_once: bool) -> Answer:
    token = store.refresh_tokens.get(_need(form, "refresh_token"))
    if token is None:
        raise EntraError(9002313)
    if token.client_id != app.client_id:
        raise EntraError(700005)
    issued = token.issued.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if token.killed_by is not None:
        raise EntraError(token.killed_by, issued=issued, client=app.client_id, name=app.name)
    if token.expires <= store.clock.now():
        raise EntraError(700084 if app.spa else 700082, issued=issued)
    wanted = scopes.parse(form.get("scope", ""))
    until = token.expires if app.spa else None  # a SPA's day can't be extended
    openid = wanted.openid | {"offline_access"}
    result = _tokens(store, app, token.account, wanted, form, issuer_base, openid, None, until)
    if used_once:
        token.killed_by = 70000
    return result


def _device_code(store: TokenStore, app: App, form: Form, issuer_base: str) -> Answer:
    code = store.device_codes.get(form.get("device_code") or form.get("code") or "")
    if code is None or code.client_id != app.client_id:
        raise EntraError(70019)
    if code.expires <= store.clock.now():
        raise EntraError(70020)
    if code.declined:
        raise EntraError(65004)
    if code.account is None:
        raise EntraError(70016)
    wanted = scopes.parse(code.scope)
    return _tokens(store, app, code.account, wanted, form, issuer_base, wanted.openid, None)


def _tokens(
    store: TokenStore,
    app: App,
    account: Account,
    wanted: Wanted,
    form: Form,
    issuer_base: str,
    openid: frozenset[str],
    nonce: str | None,
    refresh_until: datetime | None = None,
) -> Answer:
    if not account.enabled:
        raise EntraError(50057)
    if store.tenant.account(account.oid) is not account:
        raise EntraError(50034, user=account.upn, tenant=store.tenant.domain)
    if len(wanted.resources) > 1:
        raise EntraError(700022)
    consented = store.consented(app, account)
    resource = next(iter(wanted.resources), scopes.GRAPH)
    missing = wanted.names - consented
    if missing:
        raise EntraError(65001, client=app.client_id, name=app.name)
    permissions = {name for res, name in consented if res == resource}
    if not permissions:
        raise EntraError(65001, client=app.client_id, name=app.name)
    seconds = int(store.access_lifetime.total_seconds()) - 1
    result: Answer = {
        "token_type": "Bearer",
        "scope": _scope_text(wanted, resource, permissions, openid),
        "expires_in": seconds,
        "ext_expires_in": seconds,
        "access_token": store.new_access_token(app, resource, account, permissions),
    }
    if "offline_access" in openid:
        result["refresh_token"] = store.new_refresh_token(app, account, refresh_until)
    if "openid" in openid:
        issuer = f"{issuer_base}/{store.tenant.realm_tenant(account)}/v2.0"
        result["id_token"] = store.id_token(app, account, nonce, issuer)
    if form.get("client_info") == "1":
        result["client_info"] = client_info(store.tenant, account)
    return result


def _scope_text(wanted: Wanted, resource: str, permissions: set[str], openid: frozenset[str]) -> str:
    """Everything granted, written as the request wrote it; MSAL finds its cached token by that."""
    full = bool(wanted.default_of) or any("/" in text for text in wanted.spelling.values())
    names = []
    for permission in sorted(permissions):
        plain = f"{resource}/{permission}" if full or resource != scopes.GRAPH else permission
        names.append(wanted.spelling.get((resource, permission), plain))
    names += [f"{resource}/.default"] if wanted.default_of else []
    return " ".join([*names, *sorted(openid - {"offline_access"})])


def _only_graph(wanted: Wanted) -> Wanted:
    names = frozenset(n for n in wanted.names if n[0] == scopes.GRAPH)
    return Wanted(names, wanted.default_of & {scopes.GRAPH}, wanted.openid, wanted.spelling)


def _need(form: Form, name: str) -> str:
    value = form.get(name)
    if not value:
        raise EntraError(900144, name=name)
    return value


def consentable(app: App, account: Account, wanted: Wanted) -> set[tuple[str, str]]:
    """What the account's consent to this request covers."""
    names = set(wanted.names)
    if not names and not wanted.default_of:
        names = {(scopes.GRAPH, "User.Read")}
    if account.realm is Realm.CONSUMERS:
        names = {n for n in names if n[1] not in scopes.NOT_FOR_CONSUMERS}
    return names
