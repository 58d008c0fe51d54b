"""`/{tenant}/oauth2/v2.0/authorize`: a page for people, and a shortcut for programs (facts 4.2).

A program adds `emulator_auto=1` to the query (or sends the header `X-Emulator-Auto: 1`) and is sent back at once with a
code for the account of `login_hint`; `emulator_auto=deny` declines the consent.
"""

import re
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode, urlsplit

from starlette.responses import HTMLResponse, RedirectResponse, Response

from mailroom_emulator.entra import clients, pages, realms, scopes
from mailroom_emulator.entra.clients import Form
from mailroom_emulator.entra.errors import EntraError
from mailroom_emulator.entra.token_endpoint import consentable
from mailroom_emulator.entra.tokens import CODE_LIFETIME, Code, TokenStore
from mailroom_emulator.tenant import Account, App, Realm

_LOOPBACK = re.compile(r"^(http://(?:localhost|127\.0\.0\.1|\[::1\]))(:\d+)?(/.*)?$")


@dataclass(frozen=True)
class Back:
    """Where the answer goes, and how."""

    uri: str
    mode: str
    state: str | None


def answer(store: TokenStore, tenant_text: str, query: Form, auto: str | None, *, user_consent: bool) -> Response:
    """A page or a redirect; raises EntraError where there is nothing safe to redirect to.

    Without `user_consent` people of the organisation can't agree to anything; an administrator does (`adminconsent`).
    """
    segment = realms.resolve(store.tenant, tenant_text)
    app = clients.find_app(store.tenant, query.get("client_id", ""))
    uri = query.get("redirect_uri") or (app.redirect_uris[0] if app.redirect_uris else "")
    if not redirect_allowed(app, uri):
        raise EntraError(50011, uri=uri, client=app.client_id)
    realms.admit(store.tenant, segment, app)
    back = Back(uri, query.get("response_mode", "query"), query.get("state"))
    try:
        return _sign_in(store, segment, app, query, auto, back, user_consent=user_consent)
    except EntraError as error:
        body = error.body(store.clock.now())
        return send_back(back, {"error": body["error"], "error_description": body["error_description"]})


def _sign_in(
    store: TokenStore, segment: realms.Segment, app: App, query: Form, auto: str | None, back: Back, *, user_consent: bool
) -> Response:
    if query.get("response_type") != "code":
        raise EntraError(700051, kind=query.get("response_type", ""))
    wanted = scopes.parse(query.get("scope", ""))
    _check_challenge(app, query)
    choices = [a for a in store.tenant.accounts.values() if not a.shared and realms.admits(segment, app, a)]
    account = _chosen(store, choices, query, auto)
    if account is None:
        if query.get("prompt") == "none":
            raise EntraError(50058)
        return HTMLResponse(pages.choose_account(app, choices, query))
    if not account.enabled:
        raise EntraError(50057)
    asked = consentable(app, account, wanted)
    known = asked <= store.consented(app, account) and query.get("prompt") != "consent"
    if not (user_consent or account.realm is Realm.CONSUMERS or asked <= store.consented(app, account)):
        if auto or query.get("emulator_consent"):
            raise EntraError(90094, tenant=store.tenant.domain)
        return HTMLResponse(pages.ask_administrator(app, account, query))
    if auto == "deny" or query.get("emulator_consent") == "no":
        raise EntraError(65004)
    if not (known or auto or query.get("emulator_consent") == "yes"):
        if query.get("prompt") == "none":
            raise EntraError(65001, client=app.client_id, name=app.name)
        return HTMLResponse(pages.ask_consent(app, account, sorted(name for _, name in asked), query))
    store.consent(app, account, asked)
    return send_back(back, {"code": _new_code(store, app, account, query, back.uri)})


def _chosen(store: TokenStore, choices: list[Account], query: Form, auto: str | None) -> Account | None:
    name = query.get("emulator_user") or (query.get("login_hint") if auto or query.get("prompt") == "none" else None)
    if name:
        account = store.tenant.account(name)
        if account is None or account not in choices:
            raise EntraError(50034, user=name, tenant=store.tenant.domain)
        return account
    return choices[0] if auto and choices else None


def _check_challenge(app: App, query: Form) -> None:
    challenge, method = query.get("code_challenge"), query.get("code_challenge_method", "plain")
    if (challenge and method != "S256") or (app.spa and not challenge):
        raise EntraError(9002313)


def _new_code(store: TokenStore, app: App, account: Account, query: Form, uri: str) -> str:
    return store.add_code(
        Code(
            client_id=app.client_id,
            redirect_uri=uri,
            account=account,
            scope=query.get("scope", ""),
            challenge=query.get("code_challenge"),
            nonce=query.get("nonce"),
            expires=store.clock.now() + CODE_LIFETIME,
        )
    )


def redirect_allowed(app: App, uri: str) -> bool:
    """Exact match, except that the port of a loopback address does not count (RFC 8252 7.3)."""
    if uri in app.redirect_uris:
        return True
    loopback = _LOOPBACK.match(uri)
    if loopback is None:
        return False
    without_port = loopback[1] + (loopback[3] or "")
    return any(_without_port(known) == without_port.rstrip("/") for known in app.redirect_uris)


def _without_port(uri: str) -> str | None:
    loopback = _LOOPBACK.match(uri)
    return (loopback[1] + (loopback[3] or "")).rstrip("/") if loopback else None


def send_back(back: Back, values: Form) -> Response:
    if back.state is not None:
        values = {**values, "state": back.state}
    if back.mode == "form_post":
        fields = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in values.items())
        return HTMLResponse(
            f'<body onload="document.forms[0].submit()"><form method="post" action="{escape(back.uri)}">{fields}'
            "<button>Continue</button></form></body>"
        )
    mark = "#" if back.mode == "fragment" else ("&" if urlsplit(back.uri).query else "?")
    return RedirectResponse(f"{back.uri}{mark}{urlencode(values)}", status_code=302)
