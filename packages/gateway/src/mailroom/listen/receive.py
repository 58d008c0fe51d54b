"""One message from the wire into memory or, when it is large, into a file; memory does not grow with it."""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.listen.data import DataDecoder, Flaw
from mailroom.listen.inbound import Inbound
from mailroom.spool import SpoolFile
from mailroom_core.errors import Refused

MEMORY = 256 * 1024
"""Bytes of a message that stay in memory; also the batch in which larger ones are written."""


class Smuggling(Refused):
    """The message holds what another server may take for its end."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(521, "5.6.11", f"The message holds {flaw.value}, which mail must not; closing the connection")
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Received:
    raw: bytes | None
    """None: it lies in the spool file."""
    size: int


async def receive(inbound: Inbound, spool: SpoolFile, limit: int) -> Received:
    """Read to the end of the data.

    Raises Refused: with 521 in the middle of the data, where there is no way back to commands; with any other code after its end.
    """
    decoder = DataDecoder(limit=limit, batch=MEMORY)
    await _fill(inbound, decoder, limit)
    problem: Refused | None = None
    while not decoder.done or decoder.size > MEMORY:
        try:
            if decoder.pending:
                await spool.append(decoder.take())
        except Refused as refused:
            problem = refused
            decoder.drop()
        if decoder.done:
            break
        await _fill(inbound, decoder, limit)
    if decoder.too_large:
        raise too_large(limit)
    if problem is not None:
        raise problem
    return Received(decoder.take() if decoder.size <= MEMORY else None, decoder.size)


def too_large(limit: int) -> Refused:
    return Refused(552, "5.3.4", f"The message is too large: {limit} bytes are allowed")


async def _fill(inbound: Inbound, decoder: DataDecoder, limit: int) -> None:
    await inbound.receive(decoder)
    if decoder.flaw is not None:
        raise Smuggling(decoder.flaw)
    if decoder.excessive and not decoder.done:
        raise Refused(521, "5.3.4", f"The message is far too large: {limit} bytes are allowed; closing the connection")
