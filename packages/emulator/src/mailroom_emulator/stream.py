"""Large answers, a piece at a time."""

import asyncio
from collections.abc import AsyncIterator

from mailroom_emulator.blobs import Blob, Rope


async def pieces(source: Blob | Rope) -> AsyncIterator[bytes]:
    """The bytes, with a pause between pieces in which other requests are served."""
    for piece in source.chunks():
        yield piece
        await asyncio.sleep(0)
