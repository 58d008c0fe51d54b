"""Whether an app registration at Microsoft is as it should be, found out before anybody signs in.

A silent sign-in (`prompt=none`) that nobody is signed in for tells without a page what a person would see: an unknown tenant, app or
redirect address ends in Microsoft's own page with the AADSTS number in it, everything else comes back to the redirect address, mostly
with `login_required`. Microsoft Entra docs, identity-platform/v2-oauth2-auth-code-flow.md and reference-error-codes.md, read
2026-11-20; OpenID Connect Core 3.1.2.6. That the redirect address is looked at first is how it must be, and not written there.
"""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import parse_qsl, urlsplit

from mailroom_core.flow import Flow, NoResponse, Request, Response, ask
from mailroom_core.oauth.microsoft import App, authorize_url
from mailroom_core.oauth.problems import ProblemKind, TokenProblem, callback_problem, no_answer
from mailroom_core.oauth.scopes import SIGN_IN

_NOBODY = frozenset({"login_required", "interaction_required", "consent_required", "account_selection_required"})
"""Somebody would have to sign in: exactly what nobody does here."""
_NO_REDIRECT = frozenset({"AADSTS50011", "AADSTS500113"})
_VERIFIER = "0" * 43
"""Nothing is redeemed, so nothing needs to be kept secret."""


def check_registration(app: App, *, redirect_uri: str) -> Flow[TokenProblem | None]:
    """None: the tenant knows the app, and the redirect address is registered. Changes nothing and leaves nothing behind."""
    url = authorize_url(app, redirect_uri=redirect_uri, scopes=SIGN_IN, state="check", verifier=_VERIFIER, prompt="none")
    try:
        response = yield from ask(Request("GET", url, {"accept": "text/html"}, auth=False))
    except NoResponse as problem:
        return no_answer(problem.why)
    location = response.headers.get("location", "")
    if location.startswith(redirect_uri):
        fields = dict(parse_qsl(urlsplit(location).query))
        return None if fields.get("error", "login_required") in _NOBODY else callback_problem(fields)
    said = callback_problem({"error": "page", "error_description": response.body.decode("utf-8", "replace")})
    return said if said is not None and not said.unmapped else _unclear(response)


def is_about_redirect(problem: TokenProblem) -> bool:
    """Whether the app itself is known, and only the redirect address is not."""
    return problem.code in _NO_REDIRECT


def roles_of(access_token: str) -> frozenset[str] | None:
    """The application permissions that an app-only token bears, lower case; None if it does not tell. To explain things with, and for
    nothing else: what a token may do is decided where it is shown, and rights that Exchange gives (RBAC for Applications) are not in it."""
    parts = access_token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    roles = claims.get("roles", []) if isinstance(claims, dict) else None
    return frozenset(str(role).lower() for role in roles) if isinstance(roles, list) else None


def _unclear(response: Response) -> TokenProblem:
    number = re.search(rb"AADSTS\d+", response.body)
    code = number[0].decode() if number else f"http_{response.status}"
    text = f"Microsoft's login answered {response.status}, which tells neither yes nor no"
    return TokenProblem(ProblemKind.TRANSIENT, code, text, "Go on: signing in shows it", unmapped=True)
