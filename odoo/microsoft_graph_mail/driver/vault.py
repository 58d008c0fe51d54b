"""Secrets at rest: AES-256-GCM with a key that is not in the database, so that the database alone opens nothing."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailroom_core.errors import VaultError

VARIABLE = "MICROSOFT_GRAPH_MAIL_KEY"
FILE = "microsoft_graph_mail.key"
_PREFIX = "sealed1:"
_NONCE = 12


class Vault:
    """Seals texts under a name: what is sealed under one name can't be opened under another."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, name: str, plain: str) -> str:
        nonce = os.urandom(_NONCE)
        return _PREFIX + base64.b64encode(nonce + self._cipher.encrypt(nonce, plain.encode(), name.encode())).decode()

    def open(self, name: str, sealed: str) -> str:
        """Raises VaultError if this key did not seal it under this name."""
        try:
            raw = base64.b64decode(sealed.removeprefix(_PREFIX), validate=True)
            return self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], name.encode()).decode()
        except (InvalidTag, ValueError, binascii.Error):
            raise VaultError(
                f"The {name} can't be opened with the key of this server. Put the file {FILE} back that belongs to this database,"
                " or enter the secret and connect the accounts anew"
            ) from None


def load(data_dir: str, given: str = "") -> Vault:
    """The vault with the key from the environment, from the configuration (`given`), or from its file in Odoo's data directory, which
    is made at the first use. A key is 32 bytes in base64. Raises VaultError."""
    if text := os.environ.get(VARIABLE, "") or given:
        return Vault(_parsed(text, f"{VARIABLE}, or microsoft_graph_mail_key in the configuration,"))
    file = Path(data_dir) / FILE
    if not file.exists():
        _make(file)
    if file.stat().st_mode & 0o077:
        raise VaultError(f"{file} can be read by others; run: chmod 600 {file}")
    return Vault(_parsed(file.read_text(), str(file)))


def _make(file: Path) -> None:
    """Written whole under another name first; of several workers that come at once, the first one's key stays."""
    draft = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as open_file:
            open_file.write(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
            open_file.flush()
            os.fsync(open_file.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
    except OSError as problem:
        raise VaultError(f"The key file {file} can't be made ({problem.strerror}); let Odoo write to its data directory") from None
    finally:
        draft.unlink(missing_ok=True)


def _parsed(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != 32:
        raise VaultError(f"{where} holds no key: 32 bytes in base64, as `openssl rand -base64 32` makes them")
    return key
