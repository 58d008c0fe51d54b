"""Can a server carry a mail? What it can't is refused when it is handed in, and not lost to a report days later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailroom.objects import Directory, GraphRoute, OutgoingServer
from mailroom_core.errors import MimeTooLarge, Refused
from mailroom_core.mime.graph_json import check_request
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.sealed import is_signed_or_encrypted
from mailroom_core.mime.source import InMemory, ReadAt
from mailroom_core.model import Envelope
from mailroom_core.providers.graph.limits import MIME_LIMIT, RECIPIENTS_PER_DAY


def check_count(server: OutgoingServer, recipients: int) -> None:
    """What never fits into a day's limit would wait for ever (RFC 3463 3.6)."""
    per_day = server.recipients_per_day or (RECIPIENTS_PER_DAY if isinstance(server.route, GraphRoute) else 0)
    if per_day and recipients > per_day:
        text = f"The mail has {recipients} recipients; {server.name!r} carries at most {per_day} a day. Send it in parts, on several days"
        raise Refused(550, "5.5.3", text)


def check_size(directory: Directory, server: OutgoingServer, fields: Fields, size: int) -> None:
    """`size` is that of the completed mail, as it is sent."""
    if server.max_size and size > server.max_size:
        raise Refused(552, "5.3.4", f"The mail has {size} bytes; {server.name!r} carries at most {server.max_size}")
    if not is_taken_apart(server, size):
        return
    assert isinstance(server.route, GraphRoute)
    account = directory.accounts.get(server.route.account)
    if account and not account.read_write:
        text = f"The mail has {size} bytes; {server.name!r} carries at most {MIME_LIMIT}, because its account may only send"
        raise Refused(552, "5.3.4", f"{text}. Connect it with --read-write, or send through a smarthost")
    if is_signed_or_encrypted(fields):
        text = f"Signed or encrypted mail above {MIME_LIMIT} bytes can't pass Microsoft Graph unharmed; send it through a smarthost"
        raise Refused(552, "5.3.4", text)


def is_taken_apart(server: OutgoingServer, size: int) -> bool:
    """Whether the mail leaves as a draft with attachments, whose text and head have to fit into one request."""
    return isinstance(server.route, GraphRoute) and size > MIME_LIMIT


def check_text(prefix: bytes, raw: bytes | None, spool: Path | None, envelope: Envelope, rewrite_from: str) -> None:
    """Of a mail that is taken apart: what can't be uploaded as an attachment. Reads the whole mail; blocking."""
    with _bytes(raw, spool) as rest:
        try:
            check_request(_Completed(prefix, rest), envelope, rewrite_from=rewrite_from)
        except MimeTooLarge as problem:
            raise Refused(552, "5.3.4", f"Microsoft Graph can't carry it: {problem}") from None


@dataclass(frozen=True, slots=True)
class _Completed:
    """A `ReadAt`: the mail with what was added at its head."""

    prefix: bytes
    rest: ReadAt

    @property
    def size(self) -> int:
        return len(self.prefix) + self.rest.size

    def read_at(self, offset: int, length: int) -> bytes:
        first = self.prefix[offset : offset + length]
        left = length - len(first)
        return first + (self.rest.read_at(max(offset - len(self.prefix), 0), left) if left else b"")


@dataclass(frozen=True, slots=True)
class _File:
    descriptor: int

    @property
    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self.descriptor, length, offset)


@contextmanager
def _bytes(raw: bytes | None, spool: Path | None) -> Iterator[ReadAt]:
    if raw is not None:
        yield InMemory(raw)
        return
    assert spool is not None
    with spool.open("rb") as file:
        yield _File(file.fileno())
