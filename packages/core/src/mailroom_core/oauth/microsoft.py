"""Microsoft's identity platform v2.0: where it is, and the conversations with it.

Sources: Microsoft Entra docs, identity-platform/v2-oauth2-auth-code-flow.md, v2-oauth2-client-creds-grant-flow.md,
certificate-credentials.md, v2-admin-consent.md, authentication-national-cloud.md; all read 2026-11-20.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from oauthlib.common import add_params_to_uri
from oauthlib.oauth2 import WebApplicationClient
from oauthlib.oauth2.rfc6749.parameters import prepare_token_request

from mailroom_core.flow import Flow, NoResponse, Request, Response, ask, json_object
from mailroom_core.oauth.problems import ProblemKind, TokenProblem, no_answer, problem_of
from mailroom_core.oauth.scopes import Resource, application_scopes

ASSERTION_LIFETIME = timedelta(minutes=5)
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}", re.ASCII)  # RFC 7636 4.1


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Microsoft's clouds. For an emulator, `dataclasses.replace` the two addresses: the name of the `resource` stays."""

    name: str
    login: str
    graph: str
    resource: str
    """What scopes begin with; tokens of one cloud are worth nothing in another."""
    outlook: str
    """The same for Exchange Online's SMTP."""
    outlook_app: str
    """The same for app-only, which has a name of its own."""


GLOBAL = Cloud(
    "global",
    "https://login.microsoftonline.com",
    "https://graph.microsoft.com",
    "https://graph.microsoft.com",
    "https://outlook.office.com",
    "https://outlook.office365.com",
)
# The names of Exchange Online in the national clouds are those of their web addresses; no page of the vendor gives them for SMTP.
_US = ("https://outlook.office365.us", "https://outlook.office365.us")
_MILITARY = ("https://webmail.apps.mil", "https://webmail.apps.mil")
USGOV = Cloud("usgov", "https://login.microsoftonline.us", "https://graph.microsoft.us", "https://graph.microsoft.us", *_US)
DOD = Cloud("dod", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us", "https://dod-graph.microsoft.us", *_MILITARY)
# The Entra page names login.partner.microsoftonline.cn; the Graph page and MSAL's constant name the older login.chinacloudapi.cn.
CHINA = Cloud(
    "china",
    "https://login.partner.microsoftonline.cn",
    "https://microsoftgraph.chinacloudapi.cn",
    "https://microsoftgraph.chinacloudapi.cn",
    "https://partner.outlook.cn",
    "https://partner.outlook.cn",
)
CLOUDS: Mapping[str, Cloud] = {cloud.name: cloud for cloud in (GLOBAL, USGOV, DOD, CHINA)}


@dataclass(frozen=True, slots=True)
class Secret:
    """A client secret."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Assertion:
    """A signed JWT instead of a secret (`assertion_claims` has what is to be signed). A callable is asked anew for each request."""

    jwt: str | Callable[[], str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class App:
    """An app registration. Without a proof it is a public client, which is safe with PKCE only."""

    client_id: str
    tenant: str = "common"
    """A tenant's ID or domain, `common`, `organizations` or `consumers`; app-only grants need a concrete one."""
    proof: Secret | Assertion | None = None
    cloud: Cloud = GLOBAL

    @property
    def token_url(self) -> str:
        return f"{self._authority}/oauth2/v2.0/token"

    @property
    def authorize_url(self) -> str:
        return f"{self._authority}/oauth2/v2.0/authorize"

    @property
    def _authority(self) -> str:
        return f"{self.cloud.login.rstrip('/')}/{quote(self.tenant, safe='')}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A token, and what came with it. Store a new refresh token before the access token is used: the old one may be spent."""

    access_token: str = field(repr=False)
    expires_in: timedelta
    refresh_token: str | None = field(default=None, repr=False)
    """None: keep the one that you have (app-only grants never get one)."""
    scope: str = ""
    id_claims: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in: compare `addresses` (lower case) with the mailbox that the account is meant for."""

    id: str
    name: str
    addresses: tuple[str, ...]


def authorize_url(
    app: App,
    *,
    redirect_uri: str,
    scopes: Sequence[str],
    state: str,
    verifier: str,
    login_hint: str = "",
    prompt: str = "select_account",
) -> str:
    """Where to send the browser of the person who connects an account: authorization code with PKCE S256 (RFC 7636).

    `verifier` is 43 to 128 unreserved characters that only we know until `redeem_code`; ValueError if not. The answer comes
    to `redirect_uri` as a query (a form would be a cross-site POST, which arrives without the session's cookie).
    """
    if not _VERIFIER.fullmatch(verifier):
        raise ValueError("a PKCE verifier has 43 to 128 letters, digits, or -._~ (RFC 7636 4.1)")
    client = WebApplicationClient(app.client_id)
    parameters = {
        "client_id": app.client_id,
        "response_type": "code",
        "response_mode": "query",
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        "code_challenge": client.create_code_challenge(verifier, "S256"),
        "code_challenge_method": "S256",
        "prompt": prompt,
        "login_hint": login_hint,
    }
    return _url(app.authorize_url, parameters)


def admin_consent_url(app: App, *, redirect_uri: str, state: str) -> str:
    """Where an administrator agrees to the app's permissions for a whole organisation. Never trust the `tenant` that comes back."""
    base = f"{app.authorize_url.removesuffix('/oauth2/v2.0/authorize')}/v2.0/adminconsent"
    scope = " ".join(application_scopes(app.cloud.resource))
    return _url(base, {"client_id": app.client_id, "scope": scope, "redirect_uri": redirect_uri, "state": state})


def redeem_code(app: App, *, code: str, redirect_uri: str, verifier: str, scopes: Sequence[str]) -> Flow[Grant | TokenProblem]:
    """Turn the code that the browser brought back into a grant. A code lives ten minutes and works once."""
    parameters = {"code": code, "redirect_uri": redirect_uri, "code_verifier": verifier, "scope": " ".join(scopes)}
    return (yield from _token(app, "authorization_code", parameters))


def refresh(app: App, *, refresh_token: str, scopes: Sequence[str]) -> Flow[Grant | TokenProblem]:
    """A new access token, and nearly always a new refresh token. One at a time per account, over all processes."""
    return (yield from _token(app, "refresh_token", {"refresh_token": refresh_token, "scope": " ".join(scopes)}))


def client_credentials(app: App, resource: Resource = Resource.GRAPH) -> Flow[Grant | TokenProblem]:
    """An app-only token. There is no refresh token: ask again."""
    name = app.cloud.resource if resource is Resource.GRAPH else app.cloud.outlook_app
    return (yield from _token(app, "client_credentials", {"scope": " ".join(application_scopes(name))}))


def assertion_claims(
    app: App, *, thumbprint: bytes, now: datetime, unique: str, lifetime: timedelta = ASSERTION_LIFETIME
) -> tuple[dict[str, str], dict[str, str | int]]:
    """Header and claims of the JWT that proves a certificate; the caller signs with RSASSA-PSS and SHA-256.

    `thumbprint` is the SHA-256 of the certificate's DER form, `unique` a fresh UUID (the `jti`).
    """
    issued = int(now.timestamp())
    header = {"alg": "PS256", "typ": "JWT", "x5t#S256": base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()}
    claims: dict[str, str | int] = {
        "aud": app.token_url,
        "iss": app.client_id,
        "sub": app.client_id,
        "jti": unique,
        "nbf": issued,
        "iat": issued,
        "exp": issued + int(lifetime.total_seconds()),
    }
    return header, claims


def who_am_i(cloud: Cloud) -> Flow[Identity | TokenProblem]:
    """Whose token this is (`GET /me`; delegated grants only)."""
    url = f"{cloud.graph.rstrip('/')}/v1.0/me?$select=id,displayName,mail,userPrincipalName"
    try:
        response = yield from ask(Request("GET", url, {"accept": "application/json"}))
    except NoResponse as problem:
        return no_answer(problem.why)
    fields = json_object(response)
    if response.status == 200 and isinstance(fields.get("id"), str):
        given = (fields.get("mail"), fields.get("userPrincipalName"))
        addresses = tuple(dict.fromkeys(value.lower() for value in given if isinstance(value, str) and value))
        return Identity(str(fields["id"]), str(fields.get("displayName") or ""), addresses)
    return _not_told(response)


def _not_told(response: Response) -> TokenProblem:
    code = f"http_{response.status}"
    match response.status:
        case 401:
            text = "Microsoft Graph does not accept the token"
            return TokenProblem(ProblemKind.RECONNECT, code, text, "Connect the account again: its owner signs in once")
        case 403 | 404:
            text = "Microsoft Graph does not tell who signed in"
            return TokenProblem(ProblemKind.CONFIG, code, text, "Add the delegated permission User.Read to the app registration")
        case _:
            text = f"Microsoft Graph answered {response.status} to the question who signed in"
            return TokenProblem(ProblemKind.TRANSIENT, code, text, "Try again in a minute")


def _token(app: App, grant_type: str, parameters: Mapping[str, str]) -> Flow[Grant | TokenProblem]:
    fields: dict[str, Any] = {"client_id": app.client_id, **parameters, **_proof(app)}
    body = prepare_token_request(grant_type, **fields)
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    try:
        response = yield from ask(Request("POST", app.token_url, headers, body.encode("ascii"), auth=False))
    except NoResponse as problem:
        return no_answer(problem.why)
    return _grant(response) or problem_of(response)


def _proof(app: App) -> dict[str, str]:
    if app.proof is None:
        return {}
    if isinstance(app.proof, Secret):
        return {"client_secret": app.proof.value}
    jwt = app.proof.jwt
    return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": jwt if isinstance(jwt, str) else jwt()}


def _grant(response: Response) -> Grant | None:
    fields = json_object(response)
    token, refreshed = fields.get("access_token"), fields.get("refresh_token")
    if response.status != 200 or not isinstance(token, str) or not token:
        return None
    return Grant(
        access_token=token,
        expires_in=_seconds(fields.get("expires_in")),
        refresh_token=refreshed if isinstance(refreshed, str) and refreshed else None,
        scope=str(fields.get("scope") or ""),
        id_claims=_claims(fields.get("id_token")),
    )


def _seconds(value: object) -> timedelta:
    """`expires_in` comes as a number or as its text; unreadable means used at once and never again."""
    try:
        return timedelta(seconds=int(str(value)))
    except (ValueError, OverflowError):
        return timedelta()


def _claims(id_token: object) -> Mapping[str, object]:
    """The claims of an ID token. Its signature needs no check: it came straight from the issuer over TLS (OpenID Connect Core 3.1.3.7)."""
    parts = id_token.split(".") if isinstance(id_token, str) else []
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _url(base: str, parameters: Mapping[str, str]) -> str:
    return str(add_params_to_uri(base, [(name, value) for name, value in parameters.items() if value]))
