"""A session is copied from a pattern, which must come to the same as aiosmtpd's own constructor, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import MethodType
from typing import Any

import pytest

from mailroom.listen.commands import Commands
from mailroom.listen.listener import Limits
from mailroom.listen.mx import MxSession
from mailroom.listen.service import Service
from mailroom.listen.session import SubmissionSession
from tests.contract.listen.fakes import PLAIN, FakeDoor, FakeMxDoor, listening, mx_listening, until
from tests.contract.listen.test_submission import ENVELOPE, LOOPS, Client, Run

NO_READER = {"_stream_reader_wr", "_strong_reader"}
"""Of asyncio's protocol; ours is `Inbound`."""
SHARED = {
    "_door",
    "_service",
    "_limits",
    "_listener",
    "loop",
    "_loop",
    "event_handler",
    "_handle_hooks",
    "_authenticator",
    "_auth_callback",
}
"""The same for all sessions of a listener."""
PLAIN_VALUES = (str, bytes, int, float, bool, type(None))


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    def run_it(walk: Any) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(walk, 60))

    return run_it


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def _session(service: Service, door: FakeDoor, loop: asyncio.AbstractEventLoop, *, mx: bool) -> Commands:
    return MxSession(service, FakeMxDoor(door), PLAIN, loop) if mx else SubmissionSession(service, door, PLAIN, loop)


def _methods(session: Commands) -> dict[str, MethodType]:
    return {**session._smtp_methods, **{f"AUTH {name}": found.method for name, found in session._auth_methods.items()}}


@pytest.mark.parametrize("mx", [False, True])
def test_another_session_is_what_the_constructor_would_make_and_shares_nothing_that_changes(run: Run, mx: bool, tmp_path: Path) -> None:
    async def walk() -> None:
        limits = Limits()
        service = Service(limits=limits, spool=tmp_path, hostname="mx", ident="x", certificates=None, clock=lambda: 0.0)
        door, loop = FakeDoor(), asyncio.get_running_loop()
        pattern, made = (_session(service, door, loop, mx=mx) for _ in range(2))
        other = pattern.another()
        assert vars(other).keys() == vars(made).keys()
        for name, value in vars(made).items():
            copied = getattr(other, name)
            assert name in NO_READER or type(copied) is type(value), name
            if name not in SHARED and not isinstance(copied, PLAIN_VALUES):
                assert copied is not getattr(pattern, name), name
            if isinstance(value, PLAIN_VALUES):
                assert copied == value, name
        assert _methods(other).keys() == _methods(made).keys() >= {"MAIL", "DATA", *(() if mx else ("AUTH PLAIN", "AUTH LOGIN"))}
        for name, method in _methods(other).items():
            assert method.__self__ is other, name
            assert method.__func__ is _methods(made)[name].__func__, name

    run(walk())


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("last", [b"QUIT\r\n", b"MAIL FROM:<a@exa", b"DATA\r\nhalf a mail", b"a line without CR\n"])
@pytest.mark.parametrize("made", [listening, mx_listening])
def test_a_session_that_has_ended_leaves_nothing_to_collect(run: Run, last: bytes, made: Any, tmp_path: Path) -> None:
    async def walk() -> None:
        async with made(FakeDoor(), tmp_path) as running:
            client = await Client.connect(running.addresses[0])
            await client.say(b"HELO x\r\n" + ENVELOPE, replies=4)
            (session,) = running._service.sessions
            gone = weakref.ref(session)
            del session
            client.writer.write(last)
            client.writer.write_eof()
            await until(lambda: running.sessions == 0)
            client.writer.close()
            await until(lambda: gone() is None)

    run(walk())
