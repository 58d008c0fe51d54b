"""Generated credentials: 128 random bits, stored as keyed SHA-256, which costs nothing per connection.

A slow hash protects guessable secrets; nobody guesses 128 bits. The key makes the stored values useless outside this gateway.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

TOKEN = "mrt_"  # noqa: S105  # what every token of the API begins with, so that scanners for leaked secrets know it


def generate() -> str:
    """A new credential: 26 characters (base 32), 128 bits and a little more, easy to type into a printer."""
    return base64.b32encode(secrets.token_bytes(17)).decode().rstrip("=")[:26].lower()


def digest(key: bytes, credential: str) -> str:
    """What is stored: HMAC-SHA-256 in hexadecimal."""
    return hmac.new(key, credential.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def matches(key: bytes, credential: str, stored: str) -> bool:
    return bool(stored) and hmac.compare_digest(digest(key, credential), stored)
