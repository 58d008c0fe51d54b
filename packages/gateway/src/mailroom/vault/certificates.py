"""Signing with an app registration's certificate."""

from __future__ import annotations

import base64
import json
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mailroom_core.errors import VaultError
from mailroom_core.oauth.microsoft import App, assertion_claims


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


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
