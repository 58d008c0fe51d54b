"""The errors of Entra ID, in its words (facts 4.5; Entra docs reference-error-codes)."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Kind:
    error: str
    status: int
    text: str


ERRORS: dict[int, Kind] = {
    50011: Kind(
        "invalid_request",
        400,
        "The redirect URI '{uri}' specified in the request does not match the redirect URIs configured for the"
        " application '{client}'. Make sure the redirect URI sent in the request matches one added to your application.",
    ),
    50034: Kind("invalid_grant", 400, "The user account {user} does not exist in the {tenant} directory."),
    50057: Kind("invalid_grant", 400, "The user account is disabled."),
    50058: Kind("login_required", 400, "A silent sign-in request was sent but no user is signed in."),
    50173: Kind(
        "invalid_grant",
        400,
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have"
        " changed or reset their password.",
    ),
    50194: Kind(
        "invalid_request",
        400,
        "Application '{client}' is not configured as a multi-tenant application. Usage of the /common endpoint is not"
        " supported for such apps created after '10/15/2018'. Use a tenant-specific endpoint or configure the"
        " application to be multi-tenant.",
    ),
    54005: Kind("invalid_grant", 400, "OAuth2 Authorization code was already redeemed, please retry with a new valid code."),
    65001: Kind(
        "invalid_grant",
        400,
        "The user or administrator has not consented to use the application with ID '{client}' named '{name}'. Send an"
        " interactive authorization request for this user and resource.",
    ),
    65004: Kind("access_denied", 400, "User declined to consent to access the app."),
    70000: Kind("invalid_grant", 400, "The provided authorization code or refresh token is malformed or not valid."),
    70003: Kind("unsupported_grant_type", 400, "The app requested an unsupported grant type '{grant}'."),
    70008: Kind("invalid_grant", 400, "The provided authorization code or refresh token has expired due to inactivity."),
    70011: Kind("invalid_scope", 400, "The provided request must include a 'scope' input parameter. The scope {scope} is not valid."),
    70016: Kind("authorization_pending", 400, "OAuth 2.0 device flow error. Authorization is pending. Continue polling."),
    70019: Kind("bad_verification_code", 400, "The device_code that was sent is not known."),
    70020: Kind("expired_token", 400, "The provided value for the input parameter 'device_code' is not valid: it has expired."),
    70043: Kind("invalid_grant", 400, "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access."),
    90002: Kind(
        "invalid_request",
        400,
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
    ),
    90033: Kind("temporarily_unavailable", 503, "A transient error has occurred. Please try again."),
    90094: Kind("invalid_grant", 400, "An administrator of {tenant} has set a policy that prevents you from granting the permissions."),
    500011: Kind("invalid_resource", 400, "The resource principal named {resource} was not found in the tenant named {tenant}."),
    500112: Kind(
        "invalid_grant",
        400,
        "The reply address '{uri}' does not match the reply address provided when requesting Authorization code.",
    ),
    501481: Kind(
        "invalid_grant",
        400,
        "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
    ),
    700005: Kind("invalid_grant", 400, "The provided Authorization Code is intended to use against another tenant or client."),
    700016: Kind(
        "unauthorized_client",
        400,
        "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the"
        " application has not been installed by the administrator of the tenant or consented to by any user in the"
        " tenant. You may have sent your authentication request to the wrong tenant.",
    ),
    700021: Kind("invalid_client", 401, "Client assertion application identifier doesn't match 'client_id' parameter."),
    700022: Kind(
        "invalid_scope",
        400,
        "The provided value for the input parameter scope isn't valid because it contains more than one resource.",
    ),
    700023: Kind("invalid_client", 401, "Client assertion audience claim does not match Realm issuer."),
    700024: Kind("invalid_client", 401, "Client assertion is not within its valid time range."),
    700025: Kind(
        "invalid_client",
        401,
        "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
    ),
    700027: Kind(
        "invalid_client",
        401,
        "The certificate with identifier used to sign the client assertion is not registered on application. {why}",
    ),
    700051: Kind("unsupported_response_type", 400, "response_type '{kind}' is not enabled for the application."),
    700082: Kind(
        "invalid_grant",
        400,
        "The refresh token has expired due to inactivity. The token was issued on {issued} and was inactive for 90.00:00:00.",
    ),
    700084: Kind(
        "invalid_grant",
        400,
        "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of"
        " 1.00:00:00, which can't be extended.",
    ),
    900144: Kind("invalid_request", 400, "The request body must contain the following parameter: '{name}'."),
    7000112: Kind("unauthorized_client", 400, "Application '{client}'({name}) is disabled."),
    7000215: Kind(
        "invalid_client",
        401,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not"
        " the client secret ID, for a secret added to app '{client}'.",
    ),
    7000218: Kind(
        "invalid_client",
        401,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    7000222: Kind(
        "invalid_client",
        401,
        "The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new keys for"
        " your app, or consider using certificate credentials for added security.",
    ),
    9002313: Kind("invalid_grant", 400, "Invalid request. Request is malformed or invalid."),
}


class EntraError(Exception):
    """An answer of the identity platform that is not a token."""

    def __init__(self, code: int, **values: str) -> None:
        self.code = code
        self.kind = ERRORS[code]
        self.text = f"AADSTS{code}: {self.kind.text.format(**values)}"
        super().__init__(self.text)

    def body(self, now: datetime) -> dict[str, Any]:
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        stamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
        body: dict[str, Any] = {
            "error": self.kind.error,
            "error_description": (f"{self.text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"),
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.code}",
        }
        if self.code == 65001:
            body["suberror"] = "consent_required"
        elif self.code in (50173, 700082, 70043):
            body["suberror"] = "bad_token"
        return body
