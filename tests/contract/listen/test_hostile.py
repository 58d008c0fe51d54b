"""Whatever a client sends, in whatever pieces: no error of ours, nothing left behind, and only mail that was properly handed in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailroom.listen.commands import Commands
from mailroom.listen.listener import Limits
from mailroom.listen.mx import MxSession
from mailroom.listen.service import Service
from mailroom.listen.session import SubmissionSession
from mailroom.observe import events
from tests.contract.listen.fakes import PLAIN, FakeDoor, FakeMxDoor, until
from tests.contract.listen.pieces import chunks_of, cuts


class Wire:
    """A transport in memory."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.written = b""
        self.closing = False
        self.session: Any = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 4711) if name == "peername" else default

    def write(self, data: bytes) -> None:
        assert not self.closing, "nothing is written after the close"
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self._loop.call_soon(self.session.connection_lost, None)

    abort = close


async def talk(door: FakeDoor, chunks: list[bytes], spool: Path, *, mx: bool = False) -> bytes:
    """What the server wrote until the end of what the client sent."""
    loop = asyncio.get_running_loop()
    limits = Limits(linger=timedelta(0), login_delay=timedelta(0), max_errors=1000, clear_text_login_on_loopback=True)
    service = Service(limits=limits, spool=spool, hostname="m", ident="x", certificates=None, clock=lambda: 0.0)
    wire = Wire(loop)
    session: Commands = MxSession(service, FakeMxDoor(door), PLAIN, loop) if mx else SubmissionSession(service, door, PLAIN, loop)
    wire.session = session
    session.connection_made(wire)
    for chunk in chunks:
        if wire.closing:
            break
        session.data_received(chunk)
        await asyncio.sleep(0)
    if not wire.closing:
        session.eof_received()
    await until(lambda: not service.sessions)
    assert service.counts._by_client == {}
    return wire.written


PIECES = [
    *(b"EHLO x\r\n", b"HELO x\r\n", b"MAIL FROM:<a@example.com>\r\n", b"MAIL FROM:<> SIZE=5\r\n", b"RCPT TO:<b@example.net>\r\n"),
    *(b"DATA\r\n", b".\r\n", b"\r\n.\r\n", b"body\r\n", b"..\r\n", b"RSET\r\n", b"NOOP\r\n", b"QUIT\r\n", b"VRFY x\r\n", b"HELP\r\n"),
    *(b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"AG9kb28AY29ycmVjdCBob3JzZQ==\r\n", b"*\r\n", b"=\r\n", b"STARTTLS\r\n", b"EXPN\r\n"),
    *(b"\n", b"\r", b"\0", b"\xff\xfe\r\n", b" \r\n", b"\r\n", b"MAIL FROM:", b"<", b"RCPT TO:<@a:b@c>\r\n", b"x" * 5000),
]
streams = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=40).map(b"".join)
well_formed = st.lists(st.sampled_from(PIECES[:22]), max_size=40).map(b"".join)


@pytest.fixture(autouse=True)
def no_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    errors: list[str] = []
    monkeypatch.setattr(events, "session_broke", lambda client, why: errors.append(why))
    yield
    assert errors == []


def played(data: bytes, at: list[int], *, mx: bool = False) -> tuple[bytes, list[tuple[str | None, tuple[str, ...], bytes]]]:
    with TemporaryDirectory() as spool:
        door = FakeDoor()
        written = asyncio.run(asyncio.wait_for(talk(door, chunks_of(data, at), Path(spool), mx=mx), 20))
        assert list(Path(spool).iterdir()) == []
    return written, [(mail.submission.sender, mail.submission.recipients, mail.raw) for mail in door.accepted]


@given(streams, cuts, st.booleans())
@settings(deadline=None, max_examples=200)
def test_any_stream_in_any_pieces_is_answered_in_lines_and_leaves_nothing_behind(data: bytes, at: list[int], mx: bool) -> None:
    written, _ = played(data, at, mx=mx)
    for line in written.splitlines(keepends=True):
        assert line.endswith(b"\r\n")
        assert line[:3].isdigit()


@given(st.one_of(streams, well_formed), cuts, st.booleans())
@example(b"EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n", list(range(100)), False)
@example(b"EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n", list(range(100)), True)
@settings(deadline=None, max_examples=200)
def test_how_a_stream_is_cut_changes_neither_the_answers_nor_the_mail(data: bytes, at: list[int], mx: bool) -> None:
    assert played(data, at, mx=mx) == played(data, [], mx=mx)
