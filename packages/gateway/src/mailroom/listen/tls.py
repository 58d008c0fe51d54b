"""The certificate: made at first start or the operator's own, and loaded again when its file changes."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailroom.observe import events
from mailroom_core.errors import ConfigError

_LIFE = timedelta(days=3650)
"""Nobody checks its dates: a client either trusts this very certificate or none of its kind."""
_LOOK_EVERY = 1.0
"""Seconds between two looks at the files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: the chain, its key, and the certificates or authorities that clients may identify themselves with."""

    certificate: Path
    key: Path
    client_authorities: Path | None = None


def self_signed(directory: Path, hosts: Sequence[str], *, now: datetime) -> TlsFiles:
    """`tls.crt` and `tls.key` in `directory`; made for `hosts` (names and addresses) if they don't exist yet."""
    files = TlsFiles(certificate=directory / "tls.crt", key=directory / "tls.key")
    if files.certificate.exists() and files.key.exists():
        return files
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)  # so that clients may import it as their root
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(files.key, private, 0o600)
    _write(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return files


class Certificates:
    """Gives the TLS context of the moment. A pair of files that doesn't fit together is reported, and the last good one stays."""

    def __init__(self, files: TlsFiles, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError if there is no good one to begin with."""
        self._files = files
        self._clock = clock
        self._stamp = self._look()
        self._next_look = clock() + _LOOK_EVERY
        try:
            self._context = _context(files)
        except (OSError, ssl.SSLError) as problem:
            raise ConfigError(
                f"TLS: {files.certificate} and {files.key} can't be used ({problem}); they must be PEM files, the key without a "
                "password and belonging to the certificate"
            ) from problem

    def context(self) -> ssl.SSLContext:
        if self._clock() >= self._next_look:
            self._next_look = self._clock() + _LOOK_EVERY
            self._reload()
        return self._context

    def _reload(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._context = _context(self._files)
        except (OSError, ssl.SSLError) as problem:
            events.certificate_refused(str(self._files.certificate), str(problem))
        else:
            events.certificate_loaded(str(self._files.certificate))

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        files = (self._files.certificate, self._files.key, self._files.client_authorities)
        return tuple(_stamp(path) for path in files if path is not None)


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996; a device that can't is what a legacy listener is for
    context.options |= ssl.OP_NO_RENEGOTIATION  # a way to make us work
    context.load_cert_chain(files.certificate, files.key, password=_no_password)
    if files.client_authorities is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        # A single client's certificate is as good an authority as its issuer: it is the fingerprint that decides.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(files.client_authorities)
    return context


def _no_password() -> str:
    raise ssl.SSLError("the key is protected by a password")  # otherwise OpenSSL asks for it on the terminal


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, data: bytes, mode: int) -> None:
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_bytes(data)
