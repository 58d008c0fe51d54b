"""Google's OAuth 2.0 for mail: where it is, and the conversations with it.

The scope `https://mail.google.com/` is the one that Google's SMTP takes (XOAUTH2). It is a restricted one: an app of your own
organisation (user type Internal) needs no verification, an external one in Testing gets grants that end after seven days.
Sources: Google Identity docs, identity/protocols/oauth2/web-server and native-app; Gmail docs, gmail/imap/xoauth2-protocol;
OpenID Connect discovery document (accounts.google.com/.well-known/openid-configuration); all read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from oauthlib.oauth2.rfc6749.parameters import prepare_token_request

from mailroom_core.flow import Flow, NoResponse, Request, Response, ask, json_object
from mailroom_core.oauth.google_problems import no_answer, problem_of
from mailroom_core.oauth.grants import Grant, Identity, Secret, challenge, read_grant, with_query
from mailroom_core.oauth.problems import ProblemKind, TokenProblem

MAIL = "https://mail.google.com/"
SCOPES = ("openid", "email", MAIL)
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Site:
    """Google's four addresses."""

    authorize: str = "https://accounts.google.com/o/oauth2/v2/auth"
    token: str = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address
    revoke: str = "https://oauth2.googleapis.com/revoke"
    userinfo: str = "https://openidconnect.googleapis.com/v1/userinfo"

    @classmethod
    def at(cls, base: str) -> Site:
        """All of them at one address, for a stand-in."""
        base = base.rstrip("/")
        return cls(f"{base}/o/oauth2/v2/auth", f"{base}/token", f"{base}/revoke", f"{base}/v1/userinfo")


@dataclass(frozen=True, slots=True)
class App:
    """An OAuth client of Google Cloud. Both kinds (Web application, Desktop app) have a secret; that of a desktop app is no secret."""

    client_id: str
    secret: Secret
    site: Site = Site()


def authorize_url(app: App, *, redirect_uri: str, state: str, verifier: str, login_hint: str = "") -> str:
    """Where to send the browser of the person who connects a mailbox.

    Only `access_type=offline` gives a refresh token, and only `prompt=consent` gives one to who has agreed before.
    """
    return with_query(
        app.site.authorize,
        {
            "client_id": app.client_id,
            "response_type": "code",
            "redirect_uri": redirect_uri,
            "scope": " ".join(SCOPES),
            "state": state,
            "code_challenge": challenge(app.client_id, verifier),
            "code_challenge_method": "S256",
            "access_type": "offline",
            "prompt": "consent",
            "login_hint": login_hint,
        },
    )


def redeem_code(app: App, *, code: str, redirect_uri: str, verifier: str) -> Flow[Grant | TokenProblem]:
    """Turn the code that the browser brought back into a grant. A grant that can't be kept, or not used for mail, is a problem."""
    grant = yield from _token(app, "authorization_code", {"code": code, "redirect_uri": redirect_uri, "code_verifier": verifier})
    if isinstance(grant, TokenProblem):
        return grant
    if MAIL not in grant.scope.split():
        text = "The permission for mail was not given"
        return TokenProblem(
            ProblemKind.RECONNECT, "no_mail_scope", text, "Connect again, and tick the box that allows Mailroom to use Gmail"
        )
    if grant.refresh_token is None:
        text = "Google gave no lasting permission"
        return TokenProblem(
            ProblemKind.RECONNECT,
            "no_refresh_token",
            text,
            "Remove Mailroom from the third-party connections of the Google account (myaccount.google.com/connections), and connect again",
        )
    return grant


def refresh(app: App, *, refresh_token: str) -> Flow[Grant | TokenProblem]:
    """A new access token. Google does not rotate refresh tokens."""
    return (yield from _token(app, "refresh_token", {"refresh_token": refresh_token}))


def revoke(app: App, *, token: str) -> Flow[TokenProblem | None]:
    """End a grant: all tokens of this person for this app. None when there is none any more, also when it was gone before."""
    try:
        response = yield from ask(Request("POST", app.site.revoke, _FORM, urlencode({"token": token}).encode("ascii"), auth=False))
    except NoResponse as problem:
        return no_answer(problem.why)
    if response.status == 200 or json_object(response).get("error") == "invalid_token":
        return None
    return problem_of(response)


def who_am_i(site: Site) -> Flow[Identity | TokenProblem]:
    """Whose token this is."""
    try:
        response = yield from ask(Request("GET", site.userinfo, {"accept": "application/json"}))
    except NoResponse as problem:
        return no_answer(problem.why)
    fields = json_object(response)
    email = fields.get("email")
    if response.status == 200 and isinstance(email, str) and email and fields.get("email_verified") is not False:
        return Identity(str(fields.get("sub", "")), str(fields.get("name") or ""), (email.lower(),))
    return _not_told(response)


def _not_told(response: Response) -> TokenProblem:
    code = f"http_{response.status}"
    if response.status in (401, 403):
        return TokenProblem(ProblemKind.RECONNECT, code, "Google does not accept the token", "Connect the account again")
    if response.status == 200:
        text = "Google does not tell a verified address of who signed in"
        return TokenProblem(ProblemKind.CONFIG, code, text, "Sign in with an account that has a mailbox")
    text = f"Google answered {response.status} to the question who signed in"
    return TokenProblem(ProblemKind.TRANSIENT, code, text, "Try again in a minute")


def _token(app: App, grant_type: str, parameters: Mapping[str, str]) -> Flow[Grant | TokenProblem]:
    fields: dict[str, Any] = {"client_id": app.client_id, "client_secret": app.secret.value, **parameters}
    body = prepare_token_request(grant_type, **fields)
    try:
        response = yield from ask(Request("POST", app.site.token, _FORM, body.encode("ascii"), auth=False))
    except NoResponse as problem:
        return no_answer(problem.why)
    return read_grant(response) or problem_of(response)
