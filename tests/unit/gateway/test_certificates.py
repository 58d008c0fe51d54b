"""Certificates of app registrations, from the files that people have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from mailroom.vault.certificates import LIFE, make_certificate, read_certificate, shown
from mailroom_core.errors import VaultError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


@pytest.fixture(scope="module")
def made() -> str:
    return make_certificate("robot", now=NOW)


def parts_of(pem: str) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return x509.load_pem_x509_certificate(pem.encode()), key


def test_what_is_made_lasts_two_years_and_its_public_part_has_no_key(made: str) -> None:
    found = shown(made)
    assert found is not None
    assert found.until == NOW + LIFE
    assert (len(found.sha1), len(found.sha256)) == (40, 64)
    assert b"PRIVATE" not in found.public
    assert read_certificate(made.encode()) == made
    assert shown("nonsense") is None


@pytest.mark.parametrize("password", ["", "horse"])
def test_a_pfx_file_and_a_pem_with_a_password_are_read(made: str, password: str) -> None:
    certificate, key = parts_of(made)
    secret = password.encode()
    how = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    assert read_certificate(pkcs12.serialize_key_and_certificates(None, key, certificate, None, how), password) == made
    assert read_certificate(certificate.public_bytes(PEM) + key.private_bytes(PEM, PKCS8, how), password) == made


def test_what_can_not_be_used_is_told(made: str) -> None:
    certificate, key = parts_of(made)
    public = certificate.public_bytes(PEM)
    plain, locked = serialization.NoEncryption(), serialization.BestAvailableEncryption(b"horse")
    elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PKCS8, plain)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(PEM, PKCS8, plain)
    alone = pkcs12.serialize_key_and_certificates(None, None, certificate, None, plain)
    for raw, password, why in (
        (b"", "", "choose a PEM"),
        (b"no such thing", "horse", "password is wrong"),
        (public, "", "key is missing"),
        (public + key.private_bytes(PEM, PKCS8, locked), "", "has a password"),
        (public + key.private_bytes(PEM, PKCS8, locked), "cow", "password is wrong"),
        (made.encode(), "horse", "needs none"),
        (public + elliptic, "", "no RSA key"),
        (public + other, "", "don't belong together"),
        (alone, "", "no certificate with its key"),
    ):
        with pytest.raises(VaultError, match=why):
            read_certificate(raw, password)


def test_a_certificate_that_is_made_can_be_used_at_once_on_a_clock_that_is_behind(made: str) -> None:
    certificate, _ = parts_of(made)
    assert certificate.not_valid_before_utc <= NOW - timedelta(hours=23)
