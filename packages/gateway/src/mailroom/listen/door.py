"""What a listener needs from the house: who may come in, and somebody who takes the mail."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from mailroom.accept import Submission
from mailroom.objects import Application

Client = IPv4Address | IPv6Address


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
