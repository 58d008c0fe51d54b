"""What a listener needs from the house: who may come in, and somebody who takes the mail."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Protocol

from mailroom.objects import Application

Client = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A whole mail with its envelope, as a session hands it over. Exactly one of `raw` and `spool` carries the bytes."""

    application: Application
    sender: str | None
    """None is the null reverse-path."""
    recipients: tuple[str, ...]
    raw: bytes | None
    """Up to 256 KiB."""
    spool: Path | None
    """A finished file, not yet synced. It may be moved away; if it is still there afterwards, the listener removes it."""
    size: int
    client: str
    """Its address."""
    helo: str
    tls: str
    """`TLSv1.3`, for example; empty without TLS."""
    authenticated: str
    """The user of AUTH; empty for a network or a certificate."""


class Door(Protocol):
    """Everything but `accept` answers at once, from memory: it is asked in the middle of a session."""

    def by_credential(self, user: str, secret: str) -> Application | None: ...

    def by_network(self, client: Client) -> Application | None: ...

    def by_certificate(self, sha256_hex: str) -> Application | None: ...

    def check_sender(self, application: Application, sender: str | None) -> None:
        """Raises Refused (553 5.7.1) if the application may not use this envelope sender."""

    def max_size(self, application: Application) -> int:
        """The largest message in bytes."""

    async def accept(self, submission: Submission) -> str:
        """Take responsibility. Returns after the commit with a line for the client, such as `queued as 0h3...`.

        Raises Refused. It runs to its end even if the client has gone in the meantime.
        """
