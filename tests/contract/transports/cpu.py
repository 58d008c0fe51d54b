"""What a small mail costs the smarthost transport: `python -m tests.contract.transports.cpu [mails]`.

The next hop runs in a process of its own; only our process's CPU time counts.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection

import uvloop

from mailroom.objects import Security, SmarthostRoute
from mailroom.transports.smarthost import Smarthost
from tests.contract.smtp_server import SmtpServer
from tests.contract.transports.jobs import job, remember

RAW = b"Subject: 4 kB\r\n\r\n" + (b"x" * 76 + b"\r\n") * 52


def _serve(told: Connection) -> None:
    async def serve() -> None:
        async with SmtpServer(keep=False) as server:
            told.send(server.port)
            await asyncio.Event().wait()

    uvloop.run(serve())


async def _measure(port: int, connections: int, mails: int) -> str:
    smarthost = Smarthost(
        "relay", SmarthostRoute(host="127.0.0.1", port=port, security=Security.NONE, connections=connections), helo="localhost"
    )
    asked = job(raw=RAW)

    async def send(count: int) -> None:
        for _ in range(count):
            await smarthost.attempt(asked, remember)

    await asyncio.gather(*(send(5) for _ in range(connections)))
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(send(mails // connections) for _ in range(connections)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await smarthost.close()
    return f"{connections} connections: {cpu / mails * 1e6:.0f} us CPU per mail, {mails / wall:.0f} mails/s"


def main(mails: int) -> None:
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(there,), daemon=True)
    server.start()
    try:
        port = here.recv()
        for connections in (1, 8):
            print(uvloop.run(_measure(port, connections, mails)))
    finally:
        server.terminate()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
