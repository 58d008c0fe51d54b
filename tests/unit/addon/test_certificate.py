"""Proving an app registration by its certificate."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from driver.certificate import describe, sign

from mailroom_core.errors import VaultError
from mailroom_core.oauth.microsoft import App

APP = App("11111111-2222-3333-4444-555555555555", "contoso.example")
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def pem(key: Key, until: timedelta = timedelta(days=1)) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odoo")])
    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=9), now + until)
    certificate = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (certificate + key.private_bytes(*form)).decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_assertion_is_signed_by_the_key_and_names_the_certificate() -> None:
    key = rsa.generate_private_key(65537, 2048)
    both = pem(key)
    head, claims, signature = sign(APP, both).split(".")
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=hashes.SHA256.digest_size)
    key.public_key().verify(decoded(signature), f"{head}.{claims}".encode(), pss, hashes.SHA256())
    thumbprint = x509.load_pem_x509_certificate(both.encode()).fingerprint(hashes.SHA256())
    assert decoded(json.loads(decoded(head))["x5t#S256"]) == thumbprint
    assert json.loads(decoded(claims))["aud"] == APP.token_url


@pytest.mark.parametrize("text", ["", "no PEM"])
def test_what_is_no_certificate_is_told(text: str) -> None:
    with pytest.raises(VaultError, match="paste a PEM"):
        sign(APP, text)


def test_a_key_that_microsoft_does_not_take_is_told() -> None:
    with pytest.raises(VaultError, match="no RSA key"):
        sign(APP, pem(ec.generate_private_key(ec.SECP256R1())))


def test_a_certificate_is_described_as_entra_lists_it() -> None:
    both = pem(rsa.generate_private_key(65537, 2048))
    found = describe(both)
    assert found.thumbprint == x509.load_pem_x509_certificate(both.encode()).fingerprint(hashes.SHA1()).hex().upper()
    assert timedelta() < found.until - datetime.now(timezone.utc) < timedelta(days=1)


def test_a_certificate_that_has_ended_is_told() -> None:
    with pytest.raises(VaultError, match="has ended on"):
        describe(pem(rsa.generate_private_key(65537, 2048), until=timedelta(days=-1)))
