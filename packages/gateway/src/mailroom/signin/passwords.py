"""Passwords of people: argon2id (RFC 9106 4, the second recommended option: 64 MiB, three passes)."""

from __future__ import annotations

import base64
import secrets
import unicodedata
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mailroom_core.errors import ConfigError

SHORTEST = 12
LONGEST = 256
AT_ONCE = 2
"""Each takes 64 MiB while it works."""
WAITING = 6
"""More would wait for seconds, and keep others from their pages."""


class Crowded(Exception):
    """Too many passwords are being checked at this moment."""


class Passwords:
    """Blocking; made once."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = _unknown(self._hasher)
        self._turn = BoundedSemaphore(AT_ONCE)
        self._room = BoundedSemaphore(AT_ONCE + WAITING)

    def hash(self, password: str, *, name: str = "") -> str:
        """What is stored. Raises ConfigError for one that is too easy to guess."""
        plain = _plain(password)
        if not SHORTEST <= len(plain) <= LONGEST:
            raise ConfigError(f"a password has {SHORTEST} to {LONGEST} characters; a few words that nobody puts together do well")
        if len(set(plain)) < 5 or plain.casefold() == name:
            raise ConfigError("this password is easy to guess; take a few words that nobody puts together")
        with self._turn:
            return self._hasher.hash(plain)

    def matches(self, password: str, stored: str) -> bool:
        """The same work whether `stored` is a hash or empty, which nothing matches. Raises Crowded."""
        plain = _plain(password)
        possible = bool(stored) and len(plain) <= LONGEST
        if not self._room.acquire(blocking=False):
            raise Crowded
        try:
            with self._turn:
                self._hasher.verify(stored if possible else self._nobody, plain[:LONGEST])
        except (VerificationError, InvalidHashError):
            return False
        finally:
            self._room.release()
        return possible


def _unknown(hasher: PasswordHasher) -> str:
    """The hash of a password that nobody knows, without the work of hashing one: checking it costs what checking any costs."""
    salt, hashed = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (hasher.salt_len, hasher.hash_len))
    return f"$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}${salt}${hashed}"


def _plain(password: str) -> str:
    """The same characters from every keyboard (NIST SP 800-63B 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password.encode("utf-8", "replace").decode())
