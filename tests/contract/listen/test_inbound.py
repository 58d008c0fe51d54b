from __future__ import annotations

import asyncio

import pytest

from mailroom.listen.data import DataDecoder
from mailroom.listen.inbound import Inbound


class Transport:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def inbound_on(transport: Transport) -> Inbound:
    return Inbound(asyncio.get_running_loop(), transport, lambda: None)


def test_a_client_that_sends_faster_than_we_read_is_paused_until_we_wait_again() -> None:
    async def walk() -> None:
        transport = Transport()
        inbound = inbound_on(transport)
        inbound.feed(b"NOOP\r\n" * 20_000)
        assert transport.calls == ["pause"]
        for _ in range(20_000):
            assert await inbound.readuntil() == b"NOOP\r\n"
        waiting = asyncio.create_task(inbound.readuntil())
        await asyncio.sleep(0)
        assert transport.calls == ["pause", "resume"]
        inbound.feed(b"QUIT\r\n")
        assert await waiting == b"QUIT\r\n"

    asyncio.run(walk())


def test_an_end_of_data_that_came_after_the_pause_leaves_nobody_paused() -> None:
    async def walk() -> None:
        transport = Transport()
        inbound = inbound_on(transport)
        decoder = DataDecoder(limit=1000, batch=10)
        receiving = asyncio.create_task(inbound.receive(decoder))
        await asyncio.sleep(0)
        inbound.feed(b"x" * 20 + b"\r\n")
        inbound.feed(b".\r\n")
        await receiving
        assert decoder.done
        assert transport.calls == ["pause"]
        waiting = asyncio.create_task(inbound.readuntil())
        await asyncio.sleep(0)
        assert transport.calls == ["pause", "resume"]
        waiting.cancel()

    asyncio.run(walk())


def test_commands_of_one_client_give_way_to_others() -> None:
    async def walk() -> None:
        inbound = inbound_on(Transport())
        inbound.feed(b"NOOP\r\n" * 1000)
        turns = 0

        async def read_all() -> None:
            for _ in range(1000):
                await inbound.readuntil()

        reading = asyncio.create_task(read_all())
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 20

    asyncio.run(walk())


@pytest.mark.parametrize("broken", [b"A\nB\r\n", b"A\rB\r\n", b"\n", b"A\r\r\n", b"\0\r\n"])
def test_a_line_that_does_not_end_as_it_must_is_never_given_out(broken: bytes) -> None:
    async def walk() -> None:
        inbound = inbound_on(Transport())
        inbound.feed(broken)
        with pytest.raises(Exception, match="521"):
            await inbound.readuntil()

    asyncio.run(walk())
