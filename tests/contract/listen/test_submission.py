"""What a dialogue can't show: limits, large mail, clients that leave, and the stop."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop

from mailroom.listen.listener import Limits
from mailroom.listen.submission import serve
from mailroom_core.errors import ConfigError
from tests.contract.listen.fakes import PLAIN, FakeDoor, listening, until

LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]
Run = Callable[[Coroutine[Any, Any, None]], None]
ENVELOPE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n"
SOON = timedelta(milliseconds=200)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    def run_it(walk: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(walk, 60))

    return run_it


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: tuple[str, int]) -> Client:
        return cls(*await asyncio.open_connection(*address))

    async def say(self, data: bytes, *, replies: int = 1) -> list[str]:
        self.writer.write(data)
        return [(await self.reader.readline()).decode().rstrip() for _ in range(replies)]

    async def begin_data(self) -> None:
        assert (await self.say(b"HELO x\r\n" + ENVELOPE + b"DATA\r\n", replies=5))[-1].startswith("354")


def test_beyond_the_limit_of_one_client_a_connection_is_turned_away_and_later_ones_come_in(run: Run, tmp_path: Path) -> None:
    async def walk() -> None:
        limits = Limits(max_sessions_per_client=1, linger=SOON)
        async with listening(FakeDoor(), tmp_path, limits=limits) as running:
            first = await Client.connect(running.addresses[0])
            assert (await first.say(b""))[0].startswith("220")
            second = await Client.connect(running.addresses[0])
            assert await second.say(b"", replies=2) == [
                "421 4.7.0 Too many connections from your address; close some or try again later",
                "",
            ]
            await first.say(b"QUIT\r\n", replies=2)
            await until(lambda: running.sessions == 0)
            third = await Client.connect(running.addresses[0])
            assert (await third.say(b""))[0].startswith("220")

    run(walk())


def test_a_mail_says_how_it_came(run: Run, tmp_path: Path) -> None:
    door = FakeDoor()

    async def walk() -> None:
        async with listening(door, tmp_path) as running:
            client = await Client.connect(running.addresses[0])
            await client.say(b"EHLO My Printer (new)\r\n" + ENVELOPE + b"DATA\r\n", replies=10)
            await client.say(b"x\r\n.\r\n")

    run(walk())
    submission = door.accepted[0].submission
    assert (submission.client, submission.tls, submission.authenticated) == ("127.0.0.1", "", "")
    assert submission.helo == "My?Printer??new?", "nothing that could break a trace header"


@pytest.mark.parametrize("size", [256 * 1024 - 2, 256 * 1024, 256 * 1024 + 2, 3_000_000])
def test_a_large_mail_goes_through_a_private_file_that_is_gone_afterwards(run: Run, size: int, tmp_path: Path) -> None:
    raw = (b"x" * 998 + b"\r\n") * (size // 1000) + b"y" * (size % 1000 - 2) + b"\r\n"
    door = FakeDoor(size=10_000_000)

    async def walk() -> None:
        async with listening(door, tmp_path) as running:
            client = await Client.connect(running.addresses[0])
            await client.begin_data()
            assert await client.say(raw + b".\r\nNOOP\r\n", replies=2) == ["250 2.0.0 queued as 1", "250 2.0.0 OK"]

    run(walk())
    assert door.accepted[0].raw == raw
    spool = door.accepted[0].submission.spool
    assert (spool is not None) == (len(raw) > 256 * 1024)
    assert door.accepted[0].mode in (None, 0o600)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_door_moved_away_stays(run: Run, tmp_path: Path) -> None:
    spool, kept = tmp_path / "spool", tmp_path / "kept"
    spool.mkdir()
    door = FakeDoor(size=10_000_000, move_to=kept)

    async def walk() -> None:
        async with listening(door, spool) as running:
            client = await Client.connect(running.addresses[0])
            await client.begin_data()
            await client.say(b"x\r\n" * 200_000 + b".\r\n")

    run(walk())
    assert kept.read_bytes() == b"x\r\n" * 200_000


def test_memory_does_not_grow_with_the_mail(run: Run, tmp_path: Path) -> None:
    chunk = b"x" * 998 + b"\r\n"
    door = FakeDoor(size=100_000_000, read=False)

    async def walk() -> None:
        async with listening(door, tmp_path) as running:
            client = await Client.connect(running.addresses[0])
            await client.begin_data()
            tracemalloc.start()
            for _ in range(600):
                client.writer.write(chunk * 50)
                await client.writer.drain()
            assert (await client.say(b".\r\n"))[0].startswith("250")
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 4_000_000

    run(walk())
    assert door.accepted[0].submission.size == 30_000_000


def test_a_full_disk_is_told_after_the_data_and_the_session_goes_on(run: Run, tmp_path: Path) -> None:
    door = FakeDoor(size=10_000_000)

    async def walk() -> None:
        async with listening(door, tmp_path / "does-not-exist") as running:
            client = await Client.connect(running.addresses[0])
            await client.begin_data()
            replies = await client.say(b"x" * 998 + b"\r\n" + b"x\r\n" * 500_000 + b".\r\nNOOP\r\n", replies=2)
            assert replies == ["452 4.3.1 No room for this message at the moment; try again later", "250 2.0.0 OK"]

    run(walk())


def test_a_client_that_goes_on_far_beyond_the_limit_is_cut_off(run: Run, tmp_path: Path) -> None:
    door = FakeDoor(size=1000)

    async def walk() -> None:
        async with listening(door, tmp_path, limits=Limits(linger=SOON)) as running:
            client = await Client.connect(running.addresses[0])
            await client.begin_data()
            assert (await client.say(b"x\r\n" * 500_000, replies=1))[0].startswith("521 5.3.4")
            assert await client.reader.read() == b""

    run(walk())


def test_a_client_that_is_still_sending_reads_why_we_hang_up(run: Run, tmp_path: Path) -> None:
    door = FakeDoor(size=50_000_000)

    async def walk() -> None:
        async with listening(door, tmp_path, limits=Limits(linger=timedelta(seconds=10))) as running:
            client = await Client.connect(running.addresses[0])
            await client.begin_data()
            client.writer.write(b"bare\n")
            for _ in range(100):
                client.writer.write(b"x\r\n" * 50_000)
                await client.writer.drain()
            assert (await client.say(b".\r\n"))[0].startswith("521 5.6.11")

    run(walk())
    assert door.accepted == []
    assert list(tmp_path.iterdir()) == []


def test_a_client_that_leaves_at_any_byte_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    session = b"EHLO x\r\n" + ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n"
    door = FakeDoor()

    async def walk() -> None:
        async with listening(door, tmp_path) as running:
            for length in range(len(session)):
                client = await Client.connect(running.addresses[0])
                client.writer.write(session[:length])
                client.writer.transport.abort() if length % 2 else client.writer.close()
            await until(lambda: running.sessions == 0)

    run(walk())
    assert door.accepted == []


def test_a_client_that_leaves_in_the_middle_of_a_large_mail_leaves_no_file(run: Run, tmp_path: Path) -> None:
    async def walk() -> None:
        async with listening(FakeDoor(size=10_000_000), tmp_path) as running:
            client = await Client.connect(running.addresses[0])
            await client.begin_data()
            client.writer.write(b"x\r\n" * 500_000)
            await until(lambda: any(tmp_path.iterdir()))
            client.writer.transport.abort()
            await until(lambda: running.sessions == 0)
            await until(lambda: not any(tmp_path.iterdir()))

    run(walk())


def test_a_mail_that_the_door_has_begun_to_take_is_taken_even_if_its_client_leaves(run: Run, tmp_path: Path) -> None:
    async def walk() -> None:
        door = FakeDoor(size=10_000_000, let_go=asyncio.Event())
        async with listening(door, tmp_path) as running:
            client = await Client.connect(running.addresses[0])
            await client.begin_data()
            client.writer.write(b"x\r\n" * 200_000 + b".\r\n")
            await door.came.wait()
            client.writer.transport.abort()
            await asyncio.sleep(0.01)  # the loss of the connection arrives; there is nothing to see of it
            assert running.sessions == 1
            assert door.let_go is not None
            door.let_go.set()
            await until(lambda: running.sessions == 0)
        assert len(door.accepted) == 1

    run(walk())
    assert list(tmp_path.iterdir()) == []


def test_a_dripping_client_is_cut_off_although_it_is_never_silent_for_long(run: Run, tmp_path: Path) -> None:
    limits = Limits(idle=SOON, slowest=1_000_000, linger=SOON)

    async def walk() -> None:
        async with listening(FakeDoor(), tmp_path, limits=limits) as running:
            client = await Client.connect(running.addresses[0])
            await client.begin_data()
            answer = asyncio.create_task(client.reader.readline())
            while not answer.done():
                client.writer.write(b"x")
                await asyncio.wait([answer], timeout=0.01)
            assert (await answer).startswith(b"421 4.4.2")

    run(walk())


def test_a_client_that_never_reads_is_cut_off(run: Run, tmp_path: Path) -> None:
    limits = Limits(idle=SOON, linger=SOON, max_commands=1_000_000)

    async def walk() -> None:
        async with listening(FakeDoor(), tmp_path, limits=limits) as running:
            client = await Client.connect(running.addresses[0])
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket transport can
            await until(lambda: running.sessions == 1)
            for _ in range(60_000):
                client.writer.write(b"HELP\r\n")
            await until(lambda: running.sessions == 0)
            client.writer.transport.abort()

    run(walk())


def test_a_stop_sends_idle_clients_away_and_lets_a_mail_on_its_way_arrive(run: Run, tmp_path: Path) -> None:
    door = FakeDoor()

    async def walk() -> None:
        async with listening(door, tmp_path) as running:
            idle, busy = await Client.connect(running.addresses[0]), await Client.connect(running.addresses[0])
            assert (await idle.say(b"HELO x\r\n", replies=2))[1].startswith("250")
            await busy.begin_data()
            stop = asyncio.create_task(running.stop(timedelta(seconds=30)))
            assert (await idle.say(b"", replies=2)) == ["421 4.3.2 The service is shutting down; try again later", ""]
            with pytest.raises(OSError, match=r".*"):
                await Client.connect(running.addresses[0])
            replies = await busy.say(b"x\r\n.\r\n", replies=3)
            assert replies == ["250 2.0.0 queued as 1", "421 4.3.2 The service is shutting down; try again later", ""]
            busy.writer.close()
            await stop

    run(walk())


def test_a_stop_does_not_wait_beyond_its_deadline_for_a_client_but_for_the_door(run: Run, tmp_path: Path) -> None:
    async def walk() -> None:
        door = FakeDoor(let_go=asyncio.Event())
        async with listening(door, tmp_path) as running:
            slow, taken = await Client.connect(running.addresses[0]), await Client.connect(running.addresses[0])
            await slow.begin_data()
            await taken.begin_data()
            taken.writer.write(b"x\r\n.\r\n")
            await door.came.wait()
            stop = asyncio.create_task(running.stop(SOON))
            await until(lambda: running.sessions == 1)
            assert not stop.done()
            assert door.let_go is not None
            door.let_go.set()
            await stop
        assert len(door.accepted) == 1

    run(walk())


def test_a_port_in_use_stops_the_start_with_words(run: Run, tmp_path: Path) -> None:
    async def walk() -> None:
        async with listening(FakeDoor(), tmp_path) as running:
            taken = type(PLAIN)(port=running.addresses[0][1], tls=PLAIN.tls)
            with pytest.raises(ConfigError, match="choose another port"):
                await serve([PLAIN, taken], FakeDoor(), spool=tmp_path, hostname="x")

    run(walk())


def test_tls_without_a_certificate_stops_the_start_with_words(run: Run, tmp_path: Path) -> None:
    async def walk() -> None:
        with pytest.raises(ConfigError, match="no certificate"):
            await serve([type(PLAIN)(port=0)], FakeDoor(), spool=tmp_path, hostname="x")

    run(walk())
