"""The second factor: time-based codes (RFC 6238) and recovery codes."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

import pyotp
import segno

STEP = 30
RECOVERY_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""None that look like another one."""


def new_secret() -> str:
    """160 bits in base 32 (RFC 4226 4, R6)."""
    return pyotp.random_base32()


def address(secret: str, name: str, issuer: str) -> str:
    """What the QR code holds (`otpauth://`)."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def picture(text: str) -> str:
    """A QR code as SVG, in black on white, which every camera reads."""
    drawn: str = segno.make(text, error="m").svg_inline(scale=4, dark="#000", light="#fff", border=4, omitsize=True)
    return drawn


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that this code belongs to: the present one, or the one before or after it (RFC 6238 5.2); else None."""
    digits = "".join(code.split())
    totp = pyotp.TOTP(secret)
    found = None
    for shift in (-1, 0, 1):
        at = now + timedelta(seconds=STEP * shift)
        if totp.verify(digits, for_time=at):
            found = int(at.timestamp()) // STEP
    return found


def new_recovery_codes() -> list[str]:
    """Ten, of 59 bits each, in two groups."""
    return ["-".join("".join(secrets.choice(_LETTERS) for _ in range(6)) for _ in range(2)) for _ in range(RECOVERY_CODES)]


def plain_code(code: str) -> str:
    """A recovery code as it was made, however it was typed."""
    letters = "".join(each for each in code.lower() if each in _LETTERS)
    return f"{letters[:6]}-{letters[6:]}"
