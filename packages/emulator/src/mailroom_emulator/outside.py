"""The world outside the tenant: what reached external addresses, a copy for each recipient."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mailroom_emulator.blobs import Rope


@dataclass(frozen=True)
class Copy:
    """One mail as one external recipient got it; `raw` is without Bcc."""

    id: str
    to: str
    envelope_from: str
    mailbox: str
    message_id: str
    subject: str
    received: datetime
    raw: Rope

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "to": self.to,
            "envelope_from": self.envelope_from,
            "mailbox": self.mailbox,
            "message_id": self.message_id,
            "subject": self.subject,
            "received": self.received.isoformat(),
            "size": self.raw.size,
        }


class Outside:
    def __init__(self) -> None:
        self._serial = itertools.count(1)
        self.copies: dict[str, Copy] = {}
        self._by_recipient: dict[str, list[Copy]] = defaultdict(list)
        self._by_message_id: dict[str, list[Copy]] = defaultdict(list)

    def receive(self, to: str, envelope_from: str, mailbox: str, message_id: str, subject: str, now: datetime, raw: Rope) -> Copy:
        copy = Copy(str(next(self._serial)), to, envelope_from, mailbox, message_id, subject, now, raw)
        self.copies[copy.id] = copy
        self._by_recipient[to.lower()].append(copy)
        self._by_message_id[message_id].append(copy)
        return copy

    def find(self, to: str | None, message_id: str | None, subject: str | None) -> Iterator[Copy]:
        """In the order of arrival; what is None doesn't count."""
        if message_id is not None:
            source = self._by_message_id.get(message_id, [])
        elif to is not None:
            source = self._by_recipient.get(to.lower(), [])
        else:
            source = list(self.copies.values())
        for copy in source:
            if (to is None or to.lower() == copy.to.lower()) and (subject is None or subject in copy.subject):
                yield copy
