"""A CONNECT proxy that leads every Microsoft host to the emulator, and nowhere else (RFC 9110 9.3.6)."""

import asyncio
import contextlib
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

from mailroom_emulator.hosts import MICROSOFT_HOSTS

_PIECE = 64 * 1024


def connecting_to(host: str, https_port: int) -> Callable[[StreamReader, StreamWriter], Awaitable[None]]:
    """A handler for `asyncio.start_server`; the emulator listens with TLS there."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            wanted = await _asked_for(reader)
            if wanted not in MICROSOFT_HOSTS:
                await _refuse(writer, wanted)
                return
            back_reader, back_writer = await asyncio.open_connection(host, https_port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pump(reader, back_writer), _pump(back_reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _reset(writer)
        except asyncio.CancelledError:
            _reset(writer)  # the emulator stops, nobody awaits this task, and asyncio would print a traceback for it
        finally:
            writer.close()

    return serve


async def _asked_for(reader: StreamReader) -> str:
    """The host of the CONNECT request, in lower case; empty when it is something else."""
    head = await reader.readuntil(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split()
    if len(words) != 3 or words[0].upper() != "CONNECT":
        return ""
    return words[1].rpartition(":")[0].lower()


async def _refuse(writer: StreamWriter, host: str) -> None:
    text = (
        f"This proxy leads to the emulated {', '.join(sorted(MICROSOFT_HOSTS))} by CONNECT only, and not to"
        f" {host or 'anything else'}. Put other hosts into NO_PROXY.\n"
    ).encode()
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + text)
    await writer.drain()


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    """Bytes one way until they end; a reset on one side resets the other."""
    try:
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    except OSError:
        _reset(writer)
        return
    with contextlib.suppress(OSError, RuntimeError):  # the other side may have gone already
        writer.write_eof()


def _reset(writer: StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
