"""The key ring: where the keys come from, and sealing with them."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailroom_core.errors import VaultError

VARIABLE = "MAILROOM_VAULT_KEY"
_FORMAT = b"\x01"
_KEY_ID = 4
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Keys:
    """Newest first: the first one seals, all of them open."""

    ring: tuple[bytes, ...]

    def seal(self, name: str, plain: bytes) -> bytes:
        """Format byte, key id (4 bytes), nonce (12 bytes), ciphertext with tag."""
        key = self.ring[0]
        nonce = os.urandom(_NONCE)
        return _FORMAT + _key_id(key) + nonce + AESGCM(key).encrypt(nonce, plain, name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        """Raises VaultError if none of our keys sealed it under this name."""
        key_id, nonce = sealed[1 : 1 + _KEY_ID], sealed[1 + _KEY_ID : 1 + _KEY_ID + _NONCE]
        for key in self.ring:
            if sealed[:1] == _FORMAT and _key_id(key) == key_id:
                try:
                    return AESGCM(key).decrypt(nonce, sealed[1 + _KEY_ID + _NONCE :], name.encode())
                except InvalidTag:
                    break
        raise VaultError(f"the secret {name!r} can't be opened with this vault key; put the key back that sealed it, or enter it anew")

    def sealed_by_newest(self, sealed: bytes) -> bool:
        return sealed[1 : 1 + _KEY_ID] == _key_id(self.ring[0])


def _key_id(key: bytes) -> bytes:
    # A name for the key that tells nothing about it: the tag of an empty text under a fixed nonce that never seals anything.
    return AESGCM(key).encrypt(b"mailroom-id\0", b"", b"")[:_KEY_ID]


def load_keys(file: Path, environment: Mapping[str, str] = os.environ, *, first: bool = False) -> Keys:
    """The ring from the environment (base64 keys, newest first, comma between), else from the file.

    At the `first` start, when nothing is sealed yet, the file is made, mode 0600. Raises VaultError.
    """
    if text := environment.get(VARIABLE):
        return _parse(text.replace(",", "\n"), VARIABLE)
    if not file.exists() and not first:
        raise VaultError(
            f"the vault key {file} is missing, and the database holds secrets that only it opens: put your copy of it back (chmod 600); "
            f"a backup made with --with-key holds one, too. Without any copy, begin in an empty data directory"
        )
    if not file.exists():
        _write(file, [secrets.token_bytes(32)])
    if file.stat().st_mode & 0o077:
        raise VaultError(f"{file} can be read by others; run: chmod 600 {file}")
    return _parse(file.read_text(), str(file))


def add_key(file: Path) -> Keys:
    """Put a new key at the top of the file. The one before stays, for whoever has sealed with it in this moment; older ones go."""
    keys = Keys((secrets.token_bytes(32), *load_keys(file, {}).ring[:1]))
    _write(file, keys.ring)
    return keys


class KeyRing:
    """The keys as they are now: the file is read again when it has changed."""

    def __init__(self, file: Path, *, first: bool) -> None:
        self._file = file
        self._keys = load_keys(file, first=first)
        self._stamp = self._look()

    def __call__(self) -> Keys:
        stamp = self._look()
        if stamp not in (0, self._stamp):
            self._keys, self._stamp = load_keys(self._file), stamp
        return self._keys

    def _look(self) -> int:
        try:
            return self._file.stat().st_mtime_ns
        except OSError:
            return 0  # the keys come from the environment, or stay what they were


def _parse(text: str, where: str) -> Keys:
    ring = []
    for line in text.split():
        try:
            key = base64.b64decode(line, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != 32:
            raise VaultError(f"{where}: each key is 32 bytes in base64, one per line, newest first; make one with: openssl rand -base64 32")
        ring.append(key)
    if not ring:
        raise VaultError(f"{where} holds no key; put the old one back, or delete it to start with a new one and connect all accounts again")
    return Keys(tuple(ring))


def _write(file: Path, ring: Sequence[bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(file.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, b"".join(base64.b64encode(key) + b"\n" for key in ring))
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(fresh, file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
