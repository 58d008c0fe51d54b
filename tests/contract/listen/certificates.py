"""Certificates for the tests, made once."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailroom.listen.tls import TlsFiles, self_signed


@cache
def server_files() -> TlsFiles:
    return self_signed(Path(tempfile.mkdtemp(prefix="mailroom-test-")), ["localhost", "127.0.0.1"], now=datetime.now(UTC))


def client_files(directory: Path) -> TlsFiles:
    """A self-signed certificate as an application would make it for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odoo")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    files = TlsFiles(certificate=directory / "client.crt", key=directory / "client.key")
    files.certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return files
