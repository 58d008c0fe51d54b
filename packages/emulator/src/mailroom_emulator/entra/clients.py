"""Is the client who it says it is: public, by secret, or by a signed assertion (facts 4.5, 4.6)."""

import base64
import binascii
import hashlib
import hmac
from urllib.parse import unquote

from mailroom_emulator.clock import Clock
from mailroom_emulator.entra.errors import EntraError
from mailroom_emulator.jws import BadToken, public_key, take_apart, verify
from mailroom_emulator.tenant import App, Certificate, Tenant

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Form = dict[str, str]


def find_app(tenant: Tenant, client_id: str) -> App:
    app = tenant.apps.get(client_id.lower())
    if app is None:
        raise EntraError(700016, client=client_id, tenant=tenant.domain)
    if not app.enabled:
        raise EntraError(7000112, client=client_id, name=app.name)
    return app


def basic_credentials(header: str | None) -> Form:
    """client_id and client_secret of an Authorization header (RFC 6749 2.3.1), or nothing."""
    if header is None or not header.lower().startswith("basic "):
        return {}
    try:
        user, _, password = base64.b64decode(header[6:]).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise EntraError(9002313) from error
    return {"client_id": unquote(user), "client_secret": unquote(password)}


def authenticate(app: App, form: Form, clock: Clock, tenant_segment: str) -> None:
    """Raises the error that Entra would answer."""
    secret, assertion = form.get("client_secret"), form.get("client_assertion")
    if app.public:
        if secret or assertion:
            raise EntraError(700025)
        return
    if assertion:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise EntraError(900144, name="client_assertion_type")
        _check_assertion(app, assertion, clock, tenant_segment)
    elif secret:
        _check_secret(app, secret, clock)
    else:
        raise EntraError(7000218)


def _check_secret(app: App, value: str, clock: Clock) -> None:
    for secret in app.secrets:
        if hmac.compare_digest(secret.value.encode(), value.encode()):
            if secret.expires is not None and secret.expires <= clock.now():
                raise EntraError(7000222, client=app.client_id)
            return
    raise EntraError(7000215, client=app.client_id)


def _check_assertion(app: App, assertion: str, clock: Clock, tenant_segment: str) -> None:
    try:
        head, claims, text, signature = take_apart(assertion)
    except BadToken as error:
        raise EntraError(700027, why="The assertion can't be read.") from error
    certificate = _certificate(app, head.get("x5t#S256"), head.get("x5t"))
    if certificate is None:
        raise EntraError(700027, why="The thumbprint is not known.")
    try:
        verify(public_key(certificate), str(head.get("alg")), text, signature)
    except BadToken as error:
        raise EntraError(700027, why=f"Reason - {error}.") from error
    if claims.get("iss") != app.client_id or claims.get("sub") != app.client_id:
        raise EntraError(700021)
    audience = str(claims.get("aud", "")).rstrip("/")
    if not audience.endswith((f"/{tenant_segment}/oauth2/v2.0/token", f"/{tenant_segment}/v2.0")):
        raise EntraError(700023)
    now = clock.now().timestamp()
    if not isinstance(claims.get("exp"), (int, float)) or claims["exp"] <= now or claims.get("nbf", 0) > now + 300:
        raise EntraError(700024)


def _certificate(app: App, sha256: str | None, sha1: str | None) -> Certificate | None:
    for certificate in app.certificates:
        if (sha256 or "").rstrip("=") == certificate.sha256 or (sha1 or "").rstrip("=") == certificate.sha1:
            return certificate
    return None


def pkce_matches(challenge: str | None, verifier: str | None) -> bool:
    """RFC 7636 4.6, S256 only; without a challenge there must be no need for a verifier."""
    if challenge is None:
        return True
    digest = hashlib.sha256((verifier or "").encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)
