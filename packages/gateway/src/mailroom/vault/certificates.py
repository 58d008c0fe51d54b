"""Certificates of app registrations: made here, read from a file, shown, and signed with."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from mailroom_core.errors import VaultError
from mailroom_core.oauth.microsoft import App, assertion_claims

LIFE = timedelta(days=730)
"""Of a certificate that is made here."""
_BITS = 3072
_PEM = b"-----BEGIN"
_BOTH = "choose a PEM file with the certificate and its RSA key, or a PFX file"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is not secret about one."""

    sha1: str
    """Hexadecimal; the thumbprint that the Entra admin center shows."""
    sha256: str
    until: datetime
    public: bytes
    """The certificate alone, as PEM."""


def make_certificate(name: str, *, now: datetime) -> str:
    """A new RSA key and a certificate that it signs itself, as one PEM. Takes a moment of CPU."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Mailroom {name}"[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFE)
        .sign(key, hashes.SHA256())
    )
    return _joined(certificate, key)


def read_certificate(raw: bytes, password: str = "") -> str:
    """The PEM with certificate and key of a PEM or PFX file. Raises VaultError, which says what to do."""
    secret = password.encode() or None
    try:
        if _PEM in raw:
            certificate = x509.load_pem_x509_certificate(raw)
            key: object = serialization.load_pem_private_key(raw, password=secret)
        else:
            key, found, _ = pkcs12.load_key_and_certificates(raw, secret)
            if found is None or key is None:
                raise VaultError(f"this file holds no certificate with its key; {_BOTH}")
            certificate = found
    except TypeError:
        raise VaultError("the key of this file has a password, or needs none; enter the one that it was saved with") from None
    except ValueError:
        wrong = "the password is wrong" if password else "its key is missing or has a password"
        raise VaultError(f"this certificate can't be read: {wrong}, or this is no such file; {_BOTH}") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise VaultError("the key of this certificate is no RSA key, which Microsoft demands; make a new one with an RSA key")
    if certificate.public_key() != key.public_key():
        raise VaultError(f"certificate and key don't belong together; {_BOTH}, made at the same time")
    return _joined(certificate, key)


def shown(pem: str) -> Certificate | None:
    """None if it can't be read."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return None
    return Certificate(
        sha1=certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303  # a name, no proof
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        until=certificate.not_valid_after_utc,
        public=certificate.public_bytes(serialization.Encoding.PEM),
    )


def sign_assertion(app: App, pem: str, *, now: datetime, unique: str) -> str:
    """The JWT (PS256) that proves the certificate. `pem` holds the certificate and its RSA key, in any order."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except ValueError as problem:
        raise VaultError(f"the certificate of app {app.client_id} can't be read: {problem}; give a PEM with certificate and key") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise VaultError(f"the key of app {app.client_id} is no RSA key, which Microsoft demands; make a new certificate")
    header, claims = assertion_claims(app, thumbprint=certificate.fingerprint(hashes.SHA256()), now=now, unique=unique)
    signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
    return f"{signed}.{_encoded(key.sign(signed.encode(), pss, hashes.SHA256()))}"


def _joined(certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> str:
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (certificate.public_bytes(serialization.Encoding.PEM) + private).decode()


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
