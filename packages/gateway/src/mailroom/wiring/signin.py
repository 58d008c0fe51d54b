"""Who may use the console."""

from __future__ import annotations

from mailroom.signin.keys import Keyed
from mailroom.signin.passwords import Passwords
from mailroom.signin.reception import Reception
from mailroom.signin.record import Record
from mailroom.signin.staff import Staff
from mailroom.wiring.parts import Parts, credential_key, utc_now


def make_reception(parts: Parts) -> Reception:
    return Reception(
        users=parts.store.users,
        open_secret=parts.vault.open,
        keyed=Keyed(credential_key(parts)),
        clock=utc_now,
        idle=parts.settings.signin.idle,
        absolute=parts.settings.signin.lifetime,
        passwords=Passwords(),
        record=Record(),
    )


def make_staff(parts: Parts) -> Staff:
    return Staff(
        users=parts.store.users,
        open_secret=parts.vault.open,
        seal=parts.vault.seal,
        keyed=Keyed(credential_key(parts)),
        clock=utc_now,
        passwords=Passwords(),
        record=Record(),
    )
