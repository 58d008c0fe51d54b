"""Microsoft's identity platform v2.0: where it is, and the conversations with it.

Sources: Microsoft Entra docs, identity-platform/v2-oauth2-auth-code-flow.md, v2-oauth2-client-creds-grant-flow.md,
certificate-credentials.md, v2-admin-consent.md, authentication-national-cloud.md; all read 2026-11-20.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from oauthlib.oauth2.rfc6749.parameters import prepare_token_request

from mailroom_core.flow import Flow, NoResponse, Request, Response, ask, json_object
from mailroom_core.oauth.grants import Grant as Grant
from mailroom_core.oauth.grants import Identity as Identity
from mailroom_core.oauth.grants import Secret as Secret
from mailroom_core.oauth.grants import challenge, read_grant, with_query
from mailroom_core.oauth.problems import ProblemKind, TokenProblem, no_answer, problem_of
from mailroom_core.oauth.scopes import Resource, application_scopes

ASSERTION_LIFETIME = timedelta(minutes=5)
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Microsoft's clouds. For an emulator, `dataclasses.replace` the two addresses: the name of the `resource` stays."""

    name: str
    login: str
    graph: str
    resource: str
    """What scopes begin with; tokens of one cloud are worth nothing in another."""
    outlook: str
    """The same for the SMTP, IMAP and POP3 servers of Exchange Online."""
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
    parameters = {
        "client_id": app.client_id,
        "response_type": "code",
        "response_mode": "query",
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        "code_challenge": challenge(app.client_id, verifier),
        "code_challenge_method": "S256",
        "prompt": prompt,
        "login_hint": login_hint,
    }
    return with_query(app.authorize_url, parameters)


def admin_consent_url(app: App, *, redirect_uri: str = "", state: str = "") -> str:
    """The link for an administrator, who agrees to all permissions of the app registration for the whole organisation.

    Without state it can be handed to anybody, and its answer goes to the first redirect address of the registration.
    Source: Microsoft Entra docs, identity/enterprise-apps/grant-admin-consent.md.
    """
    own = app if app.tenant != "common" else replace(app, tenant="organizations")
    return with_query(f"{own._authority}/adminconsent", {"client_id": app.client_id, "redirect_uri": redirect_uri, "state": state})


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
    return read_grant(response) or problem_of(response)


def _proof(app: App) -> dict[str, str]:
    if app.proof is None:
        return {}
    if isinstance(app.proof, Secret):
        return {"client_secret": app.proof.value}
    jwt = app.proof.jwt
    return {"client_assertion_type": _ASSERTION_TYPE, "client_assertion": jwt if isinstance(jwt, str) else jwt()}
