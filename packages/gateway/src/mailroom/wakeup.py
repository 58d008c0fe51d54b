"""A nudge from the processes that accept to those that deliver, over a pipe."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta


class PipeWakeup:
    """Several may notify; one waits. A child that inherits both `ends` makes its own object from them."""

    def __init__(self, ends: tuple[int, int] | None = None) -> None:
        self.ends = ends or os.pipe()
        self._read, self._write = self.ends
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def notify(self) -> None:
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            pass  # the pipe is full of nudges that nobody has read yet

    async def wait(self, timeout: timedelta) -> None:
        loop = asyncio.get_running_loop()
        nudged = asyncio.Event()
        loop.add_reader(self._read, nudged.set)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await nudged.wait()
            os.read(self._read, 65536)
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(self._read)

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)
