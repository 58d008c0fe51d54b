"""Why Google gives no token, and what a person has to do: one table for what its token endpoint and its callback answer.

Google says little: most of what can go wrong is one `invalid_grant`. The more exact rows (by `error_subtype`, by the words of
`error_description`) stand before the general ones, and the first that fits decides. Several errors never reach us, because Google shows
them to the person on its own page (redirect_uri_mismatch, org_internal, admin_policy_enforced, an app in Testing without that test
user); they are in the table for who looks them up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mailroom_core.flow import Response, json_object
from mailroom_core.oauth.problems import ProblemKind, TokenProblem


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `error` and `subtype` are Google's words, `description` a regular expression within its text."""

    error: str
    kind: ProblemKind
    text: str
    what_to_do: str
    source: str
    subtype: str = ""
    description: str = ""

    def fits(self, error: str, subtype: str, description: str) -> bool:
        return (
            error == self.error
            and (not self.subtype or subtype == self.subtype)
            and (not self.description or re.search(self.description, description, re.IGNORECASE) is not None)
        )


_RECONNECT, _CONFIG, _ADMIN, _TRANSIENT = ProblemKind

_WEB = "Google Identity docs, identity/protocols/oauth2/web-server, Errors; read 2026-11-21"
_EXPIRY = "Google Identity docs, identity/protocols/oauth2, Refresh token expiration; read 2026-11-21"
_HELP = "Google Account help, answer/16668185, Understand & fix error codes; read 2026-11-21"
_AUDIENCE = "Google Cloud help, answer/15549945, Manage App Audience; read 2026-11-21"
_RAPT = "googleapis/google-auth-library-nodejs#1961; minodisk/bigquery-runner#47; read 2026-11-21"
_REVOKED = "apache/opendal#3901; googleapis/google-cloud-node-core#527; read 2026-11-21"
_RFC = "RFC 6749 4.1.2.1 and 5.2"

_AGAIN = "Connect the account again: its owner signs in once"
_BY_ITSELF = "It is tried again by itself"
_SESSION = (
    f"{_AGAIN}. To end this for good, the administrator exempts Mailroom's app from the session length for Google Cloud "
    "(Admin console, Security, Google Cloud session control: exempt trusted apps)"
)

ROWS: tuple[Row, ...] = (
    # -- invalid_grant, the most exact first
    Row("invalid_grant", _RECONNECT, "The organisation demands a fresh sign-in at intervals", _SESSION, _RAPT, subtype="invalid_rapt"),
    Row("invalid_grant", _RECONNECT, "The organisation demands a fresh sign-in at intervals", _SESSION, _RAPT, subtype="rapt_required"),
    Row(
        "invalid_grant",
        _RECONNECT,
        "The permission has ended: it was withdrawn, the password was changed, it was not used for six months, or the app is in Testing, "
        "where it lasts seven days",
        f"{_AGAIN}. If it happens every week, publish the app or make it Internal (Google Auth Platform, Audience)",
        _REVOKED,
        description="expired or revoked",
    ),
    Row(
        "invalid_grant",
        _RECONNECT,
        "The answer of the sign-in was used before, or came too late",
        "Start connecting the account again, and finish it within ten minutes in the same browser",
        _WEB,
        description="bad request|malformed auth code|redeemed|code verifier",
    ),
    Row("invalid_grant", _RECONNECT, "The sign-in is not valid any more", _AGAIN, _EXPIRY),
    # -- the app
    Row(
        "invalid_client",
        _CONFIG,
        "Google does not know this client, or its secret is wrong",
        "Copy client ID and client secret again from Google Auth Platform, Clients",
        _WEB,
    ),
    Row(
        "deleted_client",
        _CONFIG,
        "The client was deleted at Google",
        "Restore it within 30 days, or make a new one and connect with its client ID and secret",
        _WEB,
    ),
    Row(
        "disabled_client",
        _CONFIG,
        "The client is disabled at Google",
        "Enable it in the Google Cloud console",
        _HELP,
    ),
    Row(
        "redirect_uri_mismatch",
        _CONFIG,
        "Google does not know the address that the answer goes to",
        "Add the address that Mailroom shows to the client's Authorized redirect URIs, letter by letter; for the command line use a client "
        "of the kind Desktop app, which needs none",
        _WEB,
    ),
    Row(
        "unauthorized_client",
        _CONFIG,
        "This kind of client may not sign in this way",
        "Use a client of the kind Web application (console) or Desktop app (command line)",
        _RFC,
    ),
    Row("invalid_scope", _CONFIG, "Google does not know a permission that was asked for", "Update Mailroom; its scopes are Google's", _RFC),
    Row(
        "invalid_request",
        _CONFIG,
        "Google could not make sense of the request, or its rules forbid it",
        "Check the kind of the client and its redirect address; addresses must be https, or http on this machine",
        _WEB,
    ),
    Row(
        "unsupported_grant_type",
        _CONFIG,
        "The client may not sign in this way",
        "Use a client of the kind Web application or Desktop app",
        _RFC,
    ),
    # -- whom Google lets sign in
    Row(
        "org_internal",
        _ADMIN,
        "The app is Internal, and the account belongs to another organisation",
        "Sign in with an account of the organisation, or make the app External (Google Auth Platform, Audience)",
        _AUDIENCE,
    ),
    Row(
        "admin_policy_enforced",
        _ADMIN,
        "The organisation does not allow this app",
        "The Workspace administrator trusts the client ID in the Admin console: Security, API controls, App access control",
        _HELP,
    ),
    Row(
        "access_denied",
        _RECONNECT,
        "The sign-in was cancelled, or the account is no test user of an app in Testing",
        "Accept the permissions; for an app in Testing, first add the account under Google Auth Platform, Audience, Test users",
        _AUDIENCE,
    ),
    Row(
        "disallowed_useragent",
        _RECONNECT,
        "Google allows no sign-in in an embedded browser",
        "Open the address in an ordinary browser",
        _WEB,
    ),
    # -- passes by itself
    Row("rate_limit_exceeded", _TRANSIENT, "Google was asked for too many tokens", _BY_ITSELF, _HELP),
    Row("internal_failure", _TRANSIENT, "Google's login has a passing fault", _BY_ITSELF, _RFC),
    Row("temporarily_unavailable", _TRANSIENT, "Google's login is unavailable", _BY_ITSELF, _RFC),
    Row("server_error", _TRANSIENT, "Google's login is unavailable", _BY_ITSELF, _RFC),
)


def problem_of(response: Response) -> TokenProblem:
    """What an answer of Google's without a token means."""
    fields = json_object(response)
    error, subtype, description = (str(fields.get(name) or "") for name in ("error", "error_subtype", "error_description"))
    found = _look_up(error, subtype, description)
    passing = response.status == 429 or response.status >= 500
    if found is not None and not (found.unmapped and passing):
        return found
    text = f"Google's login answered {response.status} without a token"
    return TokenProblem(_TRANSIENT, f"http_{response.status}", text, _BY_ITSELF, unmapped=not passing)


def callback_problem(parameters: Mapping[str, str]) -> TokenProblem | None:
    """What the browser brought back instead of a code. None if there is no error among the parameters."""
    return _look_up(parameters.get("error", ""), parameters.get("error_subtype", ""), parameters.get("error_description", ""))


def no_answer(why: str) -> TokenProblem:
    """The login could not be reached, or did not answer."""
    text = f"Google's login gave no answer ({why})"
    return TokenProblem(_TRANSIENT, "no_response", text, f"{_BY_ITSELF}; if it lasts, check network, proxy and DNS")


def _look_up(error: str, subtype: str, description: str) -> TokenProblem | None:
    if not error:
        return None
    row = next((row for row in ROWS if row.fits(error, subtype, description)), None)
    code = f"{error}/{subtype}" if subtype else error
    if row is not None:
        return TokenProblem(row.kind, code[:80], row.text, row.what_to_do)
    text = f"Google's login answered {error[:80]!r}, which Mailroom does not know"
    return TokenProblem(_TRANSIENT, code[:80], text, f"{_BY_ITSELF}; if it lasts, look the word up in Google's documentation", True)
