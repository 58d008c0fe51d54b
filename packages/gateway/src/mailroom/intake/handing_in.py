"""Mail of our own goes out as everybody's: through `Accept`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from mailroom.accept import IN_ROW, Submission, Wishes
from mailroom.objects import Application
from mailroom.spool import SpoolFile
from mailroom_core.mime.source import Streamed
from mailroom_core.model import MessageId

Accepts = Callable[[Submission], Awaitable[MessageId]]


async def hand_in(
    accept: Accepts,
    spool: Path,
    mail: Streamed,
    *,
    application: Application,
    sender: str | None,
    recipients: tuple[str, ...],
    helo: str,
    wishes: Wishes,
) -> MessageId:
    """`spool` is a folder for what is too large for a row, in pieces. Raises Refused."""
    with SpoolFile(spool) as file:
        raw = b"".join(mail.chunks()) if mail.length <= IN_ROW else None
        for chunk in mail.chunks() if raw is None else ():
            await file.append(chunk)
        return await accept(
            Submission(
                application=application,
                sender=sender,
                recipients=recipients,
                raw=raw,
                spool=None if raw is not None else file.path,
                size=mail.length,
                client="127.0.0.1",
                helo=helo,
                tls="",
                authenticated=application.name,
                protocol="HTTP",
                wishes=wishes,
            )
        )
