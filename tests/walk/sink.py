"""A next hop for walks: the scripted SMTP server, in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from tests.contract.smtp_server import Script, SmtpServer


@contextmanager
def smtp_sink(*scripts: Script) -> Iterator[SmtpServer]:
    """Listens until the context ends; its `mails` are those that it said yes to."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="smtp-sink", daemon=True)
    thread.start()
    server = SmtpServer(*scripts)
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
