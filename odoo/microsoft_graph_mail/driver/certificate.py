"""Signing with an app registration's certificate."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mailroom_core.errors import VaultError
from mailroom_core.oauth.microsoft import App, assertion_claims


@dataclass(frozen=True)
class Described:
    """A certificate as the Entra admin center lists it."""

    thumbprint: str
    until: datetime


def describe(pem: str) -> Described:
    """Raises VaultError if there is no certificate in it, or it has ended."""
    certificate, _ = _read(pem)
    aware: datetime | None = getattr(certificate, "not_valid_after_utc", None)  # cryptography >= 42; Odoo may have an older one
    until = aware or certificate.not_valid_after.replace(tzinfo=timezone.utc)
    if until < datetime.now(timezone.utc):
        raise VaultError(f"The certificate has ended on {until.date()}; make a new one, upload it at Microsoft, and enter it here")
    return Described(certificate.fingerprint(hashes.SHA1()).hex().upper(), until)  # noqa: S303  # Entra's name for it, no proof


def sign(app: App, pem: str) -> str:
    """The JWT (PS256) that proves the certificate. `pem` holds the certificate and its RSA key, in any order. Raises VaultError."""
    certificate, key = _read(pem)
    thumbprint = certificate.fingerprint(hashes.SHA256())
    header, claims = assertion_claims(app, thumbprint=thumbprint, now=datetime.now(timezone.utc), unique=str(uuid.uuid4()))
    signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
    return f"{signed}.{_encoded(key.sign(signed.encode(), pss, hashes.SHA256()))}"


def _read(pem: str) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode(), default_backend())
        key = serialization.load_pem_private_key(pem.encode(), password=None, backend=default_backend())
    except (ValueError, TypeError) as problem:
        raise VaultError(
            f"The certificate can't be read ({problem}); paste a PEM with the certificate and its key, without a password"
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise VaultError("The certificate's key is no RSA key, which Microsoft demands; make a new certificate")
    return certificate, key


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
