"""The port of the way in: a mailbox that mail is fetched from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from mailroom_core.model import Arrived, NotConvertible, NotThere, Trouble

NOTIFY_PATH = "/notify/graph"
"""Under the public address: where Microsoft tells us that mail has come."""


@dataclass(frozen=True, slots=True)
class New:
    """What has come since `cursor`, or a part of it: with `more`, ask again at once."""

    arrived: Sequence[Arrived]
    cursor: str
    more: bool


class Source(Protocol):
    """A mailbox that mail is fetched from. It says of trouble what it means, and never raises it; raises VaultError."""

    key: str
    """Names the mailbox: ids of its messages are different from each other, and from those of other mailboxes only with it."""

    async def new(self, cursor: str, skip: int) -> New | Trouble:
        """What is new, oldest first. `skip` is how many messages stay in the mailbox unread, because nothing could be made of them."""

    async def read(self, message: Arrived, into: Path) -> NotThere | NotConvertible | Trouble | None:
        """Write its bytes to a file."""

    async def tell(self, url: str, state: str, subscription: str) -> tuple[str, datetime] | Trouble | None:
        """Have the provider tell us of new mail at `url`, with this state; renews the given subscription. Its name, and until when.

        None: this one tells in no such way.
        """

    async def acknowledge(self, message: Arrived) -> Trouble | None:
        """It is safe here: the mailbox may forget it. What is gone already is no trouble."""

    async def close(self) -> None:
        """The look has ended, or is broken off."""
