"""Mails for the conversations: those that come from outside, and those that went there."""

from __future__ import annotations

import email
from email.message import Message

from tests.clients.person import MARY
from tests.emulator.client import Tenant, mime

SALES = "sales@contoso.example"  # a shared mailbox
CUSTOMER = "x@outside.example"
MIB = 1024 * 1024
BIG = bytes(range(256)) * (5 * MIB // 256)


def deliver(tenant: Tenant, count: int) -> None:
    """Mails from the customer in Mary's Inbox, a minute apart: number 0, number 1, ..."""
    for number in range(count):
        raw = mime(f"body {number}", to=MARY, sender=CUSTOMER, subject=f"number {number}", message_id=f"<{number}@outside.example>")
        tenant.control("POST", f"/accounts/{MARY}/deliver", content=raw)
        tenant.control("POST", "/clock", {"advance": 60})


def arrived(tenant: Tenant) -> Message:
    """The only mail that reached the customer."""
    (copy,) = tenant.outside(CUSTOMER)
    return email.message_from_bytes(tenant.raw(copy))


def files(mail: Message, name: str) -> list[object]:
    """The contents of the attachments of this name."""
    return [part.get_payload(decode=True) for part in mail.walk() if part.get_filename() == name]


def operations(tenant: Tenant, *names: str) -> list[str]:
    """What the emulator was asked for, in order; only these operations if some are named."""
    asked = [str(request["operation"]) for request in tenant.control("GET", "/requests")]
    return [name for name in asked if name in names] if names else asked
