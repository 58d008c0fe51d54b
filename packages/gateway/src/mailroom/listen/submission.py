"""The submission listener: applications hand their mail in by SMTP (RFC 6409), usually on 2525, 587 or 465."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mailroom.listen.door import Door
from mailroom.listen.listener import Limits, Listener
from mailroom.listen.service import Service
from mailroom.listen.serving import Running, listen
from mailroom.listen.session import SubmissionSession
from mailroom.listen.tls import Certificates


async def serve(
    listeners: Sequence[Listener],
    door: Door,
    *,
    spool: Path,
    hostname: str,
    certificates: Certificates | None = None,
    limits: Limits | None = None,
    ident: str = "ESMTP Mailroom",
    clock: Callable[[], float] = time.monotonic,
) -> Running:
    """Listen. `spool` is a directory of our own; `hostname` and `ident` are the greeting.

    Raises ConfigError if a port can't be had.
    """
    service = Service(
        limits=limits or Limits(),
        spool=spool,
        hostname=hostname,
        ident=ident,
        certificates=certificates,
        clock=clock,
    )
    loop = asyncio.get_running_loop()
    return await listen(service, listeners, lambda listener: SubmissionSession(service, door, listener, loop).another)
