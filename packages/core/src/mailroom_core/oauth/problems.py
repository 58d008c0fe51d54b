"""Why a token can't be had, and what a person has to do: one table for everything that Microsoft's login answers.

The vendor's rule is to act on `error` and to use the AADSTS numbers for the explanation. A number of ours that is more exact
than its `error` (a Conditional Access block also says `invalid_grant`) decides first, then `error`, then the HTTP status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from mailroom_core.flow import Response, json_object


class ProblemKind(Enum):
    """Who can help."""

    RECONNECT = "reconnect"
    """The person who owns the account signs in again."""
    CONFIG = "config"
    """Our operator corrects the account's settings or the app registration."""
    ADMIN = "admin"
    """The tenant's administrator allows something."""
    TRANSIENT = "transient"
    """Nobody: trying again later helps."""


@dataclass(frozen=True, slots=True)
class TokenProblem:
    """No token. `code` is Microsoft's (`AADSTS700082`, else its `error`), `text` says what happened, `what_to_do` the way out.

    With `unmapped` the code is unknown to us: the driver logs it, so that the table can learn it.
    """

    kind: ProblemKind
    code: str
    text: str
    what_to_do: str
    unmapped: bool = False

    def __str__(self) -> str:
        return f"{self.code}: {self.text}. {self.what_to_do}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `codes` are AADSTS numbers as text, or values of `error`."""

    codes: tuple[str, ...]
    kind: ProblemKind
    text: str
    what_to_do: str
    source: str


_CODES = "Microsoft Entra docs, identity-platform/reference-error-codes.md, read 2026-11-20"
_CODE_FLOW = "Microsoft Entra docs, identity-platform/v2-oauth2-auth-code-flow.md, read 2026-11-20"
_REFRESH = "Microsoft Entra docs, identity-platform/refresh-tokens.md, read 2026-11-20"
_CREDENTIALS = "Microsoft Entra docs, identity-platform/v2-oauth2-client-creds-grant-flow.md, read 2026-11-20"
_CERTIFICATE = "Microsoft Entra docs, identity-platform/certificate-credentials.md, read 2026-11-20"
_CLOCK = "AzureAD/microsoft-authentication-library-for-dotnet#4951; AzureAD/azure-activedirectory-library-for-java#46; read 2026-11-20"
_RFC = "RFC 6749 4.1.2.1 and 5.2"

_RECONNECT, _CONFIG, _ADMIN, _TRANSIENT = ProblemKind

_SIGN_IN = "Connect the account again: its owner signs in once"
_BY_ITSELF = "It is tried again by itself"
_START_OVER = "Start connecting the account again, and finish it within ten minutes in the same browser"

ROWS: tuple[Row, ...] = (
    # -- a person signs in again
    Row(("70008", "700082"), _RECONNECT, "The sign-in has expired because it was not used for 90 days", _SIGN_IN, _CODES),
    Row(("50173",), _RECONNECT, "The sign-in was revoked, by its owner or by an administrator", _SIGN_IN, _CODES),
    Row(
        ("70043",),
        _RECONNECT,
        "The organisation demands a fresh sign-in at intervals (sign-in frequency)",
        f"{_SIGN_IN}. To end this for good, the administrator excludes this app from that Conditional Access policy",
        _CODES,
    ),
    Row(("54005",), _RECONNECT, "The sign-in code was used before", _START_OVER, _CODES),
    Row(("501481",), _RECONNECT, "The sign-in was finished by another browser than the one that began it", _START_OVER, _CODES),
    Row(
        ("65001",),
        _RECONNECT,
        "Nobody has agreed to the permissions that are asked for",
        "Connect the account again and accept the permissions; an app-only account needs its administrator's consent",
        _CODES,
    ),
    Row(("65004",), _RECONNECT, "The permissions were declined", "Connect the account again and accept the permissions", _CODES),
    Row(("50072", "50074", "50076", "50078", "50079", "50158"), _RECONNECT, "The organisation demands a second factor", _SIGN_IN, _CODES),
    Row(
        ("50055", "50144"),
        _RECONNECT,
        "The password of the account's owner has expired",
        f"Its owner sets a new one in a browser. {_SIGN_IN}",
        _CODES,
    ),
    Row(("50132", "50133", "50089", "70000", "700020"), _RECONNECT, "The sign-in is not valid any more", _SIGN_IN, _CODES),
    Row(("50126", "50056", "50064"), _RECONNECT, "User or password were wrong", _SIGN_IN, _CODES),
    Row(("70018", "70019"), _RECONNECT, "The code that was to be entered is wrong or has expired", _START_OVER, _CODES),
    # -- an administrator allows it
    Row(
        ("90094", "90095"),
        _ADMIN,
        "Only an administrator may agree to these permissions",
        "An administrator of the organisation opens the consent link and accepts, or presses Grant admin consent in the app registration",
        _CODES,
    ),
    Row(
        ("53003", "53000", "53001", "53002", "50005", "50131", "530032"),
        _ADMIN,
        "A Conditional Access policy of the organisation blocks the sign-in",
        "The administrator allows this app in that policy; Entra's sign-in log names it",
        _CODES,
    ),
    Row(
        ("530035",),
        _ADMIN,
        "The organisation's security defaults block the sign-in",
        "The administrator looks it up in Entra's sign-in log and allows this app, or replaces the security defaults by policies",
        _CODES,
    ),
    Row(
        ("50105",),
        _ADMIN,
        "The user is not assigned to the app",
        "The administrator assigns the user in Entra: Enterprise applications, the app, Users and groups",
        _CODES,
    ),
    Row(
        ("50053",),
        _ADMIN,
        "The user is locked: there were too many wrong passwords, or the address that it came from has a bad name",
        "The administrator finds out in Entra's sign-in log which of both it was, and unblocks the user",
        _CODES,
    ),
    Row(
        ("53004", "53011", "50135"),
        _ADMIN,
        "The user is blocked because Microsoft believes that the account was taken over",
        "The administrator looks at the risky users in Entra, has the password changed, and dismisses the risk",
        _CODES,
    ),
    Row(
        ("500021", "500022", "500212", "500213", "50002"),
        _ADMIN,
        "A restriction between organisations forbids the sign-in to this one",
        "The administrator allows it in the tenant restrictions or the cross-tenant access settings of Entra",
        _CODES,
    ),
    Row(
        ("650052", "500011"),
        _ADMIN,
        "The organisation has not the service that the permissions are for, such as Exchange Online",
        "Check the tenant; the administrator gets a licence that has Exchange Online",
        _CODES,
    ),
    Row(
        ("50057",),
        _ADMIN,
        "The user is disabled",
        "The administrator enables the user, or another account is connected instead",
        _CODES,
    ),
    Row(
        ("50034", "51004", "16000", "50020", "90072"),
        _ADMIN,
        "The user does not exist in this organisation",
        "Check the address of the account; the administrator restores the user, or another account is connected instead",
        _CODES,
    ),
    Row(
        ("7000112", "70001", "1000031"),
        _ADMIN,
        "The app is disabled in this organisation",
        "The administrator enables it in Entra: Enterprise applications, the app, Properties",
        _CODES,
    ),
    # -- the settings are wrong
    Row(
        ("700084",),
        _CONFIG,
        "The app is registered as a single-page application, whose sign-ins end after 24 hours",
        "Register the redirect address under the platform Web instead, then connect the account again",
        _REFRESH,
    ),
    Row(
        ("7000215", "70002"),
        _CONFIG,
        "The client secret is wrong",
        "Enter the secret's value, not its ID; if the value is lost, make a new secret in the app registration",
        _CODES,
    ),
    Row(
        ("7000222",),
        _CONFIG,
        "The client secret has expired",
        "Make a new secret in the app registration and enter it here, or use a certificate",
        _CODES,
    ),
    Row(
        ("700027", "50012", "700030"),
        _CONFIG,
        "The signature of our certificate is not accepted",
        "Upload the certificate that belongs to the configured key to the app registration, and check this machine's clock",
        _CERTIFICATE,
    ),
    Row(
        ("700024",),
        _CONFIG,
        "What we sign with our certificate is not valid at Microsoft's time; mostly this machine's clock is wrong",
        "Check this machine's clock and keep it right (timedatectl set-ntp true)",
        _CLOCK,
    ),
    Row(
        ("7000218", "7000216"),
        _CONFIG,
        "The app demands a secret or a certificate, and none is configured",
        "Enter one; for a public client, register the redirect address under Mobile and desktop applications instead, or switch on"
        " 'Allow public client flows'",
        _CODES,
    ),
    Row(
        ("700025",),
        _CONFIG,
        "The app is a public client, yet a secret is configured",
        "Remove the secret here, or register the redirect address under the platform Web",
        _CODES,
    ),
    Row(
        ("700016", "700011", "90099"),
        _CONFIG,
        "The organisation does not know the app",
        "Check the client ID and the tenant; in a foreign organisation its administrator must consent to the app first",
        _CODES,
    ),
    Row(
        ("90002", "900023", "50059", "90019", "50128"),
        _CONFIG,
        "There is no such tenant",
        "Check the tenant: its ID, or one of its domains",
        _CODES,
    ),
    Row(
        ("50194", "9001023", "90124", "90130"),
        _CONFIG,
        "The app belongs to one organisation only",
        "Enter that organisation's tenant ID instead of 'common'",
        _CODES,
    ),
    Row(
        ("9002332", "500208"),
        _CONFIG,
        "The app does not take this kind of account: personal, or of an organisation",
        "Check 'Supported account types' in the app registration, and the tenant of the account here",
        _CODES,
    ),
    Row(
        ("650056", "650057", "65005", "90008"),
        _CONFIG,
        "The app registration does not list a permission that was asked for",
        "Add the permissions that are asked for to the app registration (API permissions, Microsoft Graph), and have them consented to",
        _CODES,
    ),
    Row(
        ("70011", "28002", "700023"),
        _CONFIG,
        "Microsoft does not know a permission that was asked for",
        "Check the cloud and the permissions of the account; personal accounts have no .Shared permissions",
        _CODES,
    ),
    Row(
        ("90038", "900382", "900432"),
        _CONFIG,
        "The organisation belongs to another cloud of Microsoft",
        "Choose the cloud of the organisation for the account (global, US government, China)",
        _CODES,
    ),
    Row(
        ("50011", "500113", "70004", "900971"),
        _CONFIG,
        "The redirect address is not registered",
        "Add exactly the redirect address that is shown here to the app registration, platform Web (for a public client: Mobile and desktop"
        " applications)",
        f"{_CODES}; 500113: there is none at all",
    ),
    Row(
        ("700022",),
        _CONFIG,
        "Permissions of two services were asked for in one token",
        "Ask for the permissions of one service only; if you have not changed them, report it as a fault of this program",
        _CODES,
    ),
    # -- it passes
    Row(
        ("50196",),
        _TRANSIENT,
        "Microsoft blocks us for a while because too many tokens were asked for",
        f"{_BY_ITSELF}. If it happens often, check that no second program runs with the same account",
        _CODES,
    ),
    Row(
        ("90033", "90024", "90006", "90012", "50033", "50087", "70012", "90055", "90090"),
        _TRANSIENT,
        "Microsoft's login has a passing fault",
        _BY_ITSELF,
        _CODES,
    ),
    # -- by `error`, where no number said more
    Row(("invalid_grant",), _RECONNECT, "The sign-in is not valid any more", _SIGN_IN, _CODE_FLOW),
    Row(("interaction_required", "login_required"), _RECONNECT, "The organisation wants to see the person", _SIGN_IN, _CODES),
    Row(
        ("consent_required",),
        _RECONNECT,
        "Somebody has to agree to the permissions",
        "Connect the account again and accept the permissions",
        _CODES,
    ),
    Row(
        ("access_denied",),
        _RECONNECT,
        "The sign-in was cancelled or the permissions were declined",
        "Connect the account again and accept the permissions",
        _RFC,
    ),
    Row(
        ("invalid_client",),
        _CONFIG,
        "Microsoft does not accept the app's secret or certificate",
        "Check the client ID, the tenant and the secret or certificate of the account",
        _CREDENTIALS,
    ),
    Row(
        ("unauthorized_client", "unsupported_grant_type", "unsupported_response_type"),
        _CONFIG,
        "The app may not sign in this way",
        "Check in the app registration which accounts it supports, and whether its redirect address stands under the platform Web",
        _CODE_FLOW,
    ),
    Row(
        ("invalid_scope", "invalid_resource"),
        _CONFIG,
        "Microsoft does not know a permission that was asked for",
        "Check the cloud and the permissions of the account; personal accounts have no .Shared permissions",
        _CODE_FLOW,
    ),
    Row(
        ("invalid_request",),
        _CONFIG,
        "Microsoft could not make sense of the request",
        "Check the client ID, the tenant and the redirect address of the account",
        _CODE_FLOW,
    ),
    Row(("temporarily_unavailable", "server_error"), _TRANSIENT, "Microsoft's login is unavailable", _BY_ITSELF, _RFC),
)

_BY_CODE = {code: row for row in ROWS for code in row.codes}
_NUMBER = re.compile(r"AADSTS(\d+)")


def known(code: str) -> Row | None:
    """What the table says of an AADSTS number or a value of `error`."""
    return _BY_CODE.get(code.removeprefix("AADSTS"))


def problem_of(response: Response) -> TokenProblem:
    """What a token endpoint's answer without a token means."""
    fields = json_object(response)
    numbers = fields.get("error_codes")
    known = [str(number) for number in numbers] if isinstance(numbers, list) else []
    problem = _look_up(str(fields.get("error", "")), str(fields.get("error_description", "")), known)
    if problem is not None and not problem.unmapped:
        return problem
    passing = response.status == 429 or response.status >= 500
    if problem is not None and not passing:
        return problem
    text = f"Microsoft's login answered {response.status} without a token"
    return TokenProblem(_TRANSIENT, f"http_{response.status}", text, _BY_ITSELF, unmapped=not passing)


def callback_problem(parameters: Mapping[str, str]) -> TokenProblem | None:
    """What the browser brought back instead of a code (RFC 6749 4.1.2.1). None if there is no error among the parameters."""
    return _look_up(parameters.get("error", ""), parameters.get("error_description", ""), [])


def no_answer(why: str) -> TokenProblem:
    """The login could not be reached, or did not answer."""
    text = f"Microsoft's login gave no answer ({why})"
    return TokenProblem(_TRANSIENT, "no_response", text, f"{_BY_ITSELF}; if it lasts, check network, proxy and DNS")


def _look_up(error: str, description: str, numbers: list[str]) -> TokenProblem | None:
    numbers = numbers or _NUMBER.findall(description)
    for number in numbers:
        if row := _BY_CODE.get(number):
            return TokenProblem(row.kind, f"AADSTS{number}", row.text, row.what_to_do)
    if row := _BY_CODE.get(error):
        code = f"AADSTS{numbers[0]}" if numbers else error
        return TokenProblem(row.kind, code, row.text, row.what_to_do)
    if not error:
        return None
    text = f"Microsoft's login answered {error[:80]!r}, which this program does not know"
    return TokenProblem(_TRANSIENT, error[:80], text, f"{_BY_ITSELF}; if it lasts, look the code up in Entra's sign-in log", True)
