"""Signatures by Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

PREFIX = "whsec_"
BOTH = timedelta(hours=24)
"""So long after a rotation the former secret is good as well."""


def secret_of(webhook: str) -> str:
    """Its name in the vault."""
    return f"webhook:{webhook}"


def generate() -> str:
    """256 random bits; the standard asks for 192 at least."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def rotated(kept: Mapping[str, str] | None, now: datetime) -> dict[str, str]:
    """What the vault keeps from now on: a new secret, and the former one for a while."""
    made = {"secret": generate()}
    if kept:
        made |= {"former": kept["secret"], "former_until": (now + BOTH).isoformat()}
    return made


def headers(kept: Mapping[str, str], number: str, body: bytes, now: datetime) -> dict[str, str]:
    """With a signature for each secret that is valid now."""
    valid = [kept["secret"]]
    if kept.get("former") and datetime.fromisoformat(kept["former_until"]) > now:
        valid.append(kept["former"])
    timestamp = str(int(now.timestamp()))
    signed = b".".join((number.encode(), timestamp.encode(), body))
    return {
        "webhook-id": number,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_signature(secret, signed)}" for secret in valid),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
