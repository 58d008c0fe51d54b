"""Whatever an IMAP or POP3 server says, a look ends with a value or with our own error, and never hangs or spins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.incoming import New, Source
from mailroom.objects import ImapInbox, PopInbox, Security
from mailroom.sources import imap_session, pop_session
from mailroom.sources.imap import ImapSource
from mailroom.sources.pop import PopSource
from mailroom.sources.visit import Broken, Credential
from mailroom_core.errors import VaultError
from mailroom_core.model import After, Deferred, Failed, Held
from tests.mail_server import MailServer

WORDS = [
    b"* CAPABILITY IMAP4rev1 IDLE OBJECTID",
    b"* SEARCH 1 2 x",
    b"* SEARCH 4294967296",
    b"* LIST () NIL x",
    b"* 1 FETCH (UID 1 EMAILID ())",
    b"* 1 FETCH (UID 1 INTERNALDATE NIL BODY[HEADER.FIELDS (MESSAGE-ID RECEIVED)] NIL)",
    b'* 1 FETCH (UID 1 INTERNALDATE "99-Foo-2026 99:99:99 +9999")',
    b"* 1 FETCH (UID 1 BODY[]<0> {5}\r\nab",
    b"* 1 FETCH (",
    b"* OK [UIDVALIDITY x]",
    b"* BYE",
    b"1 one\r\n2\r\n.",
    b"1 one\r\nx two\r\n.",
    b".",
    b"+",
]
line = st.one_of(st.sampled_from(WORDS), st.binary(max_size=40))
lines = st.lists(line, max_size=4).map(lambda each: b"".join(one + b"\r\n" for one in each))
talk = st.lists(lines, max_size=8)


@pytest.fixture(scope="module", autouse=True)
def impatient() -> Iterator[None]:
    """A server that says too little is waited for."""
    with pytest.MonkeyPatch.context() as patch:
        for session in (imap_session, pop_session):
            patch.setattr(session, "ANSWER", 0.5)
        yield


async def shown(refused: str) -> Credential:
    return Credential("info", "word")


def looked(source: Source) -> None:
    """One look, as the loop over the mailboxes does it."""

    async def look() -> None:
        with TemporaryDirectory() as folder:
            try:
                new = await source.new("", 0)
                assert isinstance(new, New | Deferred | Failed | Held)
                if isinstance(new, New):
                    for message in new.arrived[:2]:
                        await source.read(message, Path(folder, "one.eml"))
                        await source.acknowledge(message)
            except (VaultError, Broken):
                pass
            finally:
                await source.close()

    asyncio.run(asyncio.wait_for(look(), 30))


@settings(max_examples=60, deadline=None)
@given(talk)
def test_any_imap_server(said: list[bytes]) -> None:
    answers = chain(said, repeat(b""))

    def answer(line: bytes) -> bytes:
        tag = line.split(b" ", 1)[0].strip()
        return next(answers) + tag + b" OK\r\n"

    with MailServer(b"* OK\r\n", answer) as server:
        inbox = ImapInbox(host="127.0.0.1", port=server.port, security=Security.NONE, user="info")
        clock = lambda: datetime.now(UTC)  # noqa: E731
        looked(ImapSource(inbox, shown, address="info", after=After.DELETE, move_to="", secret="", clock=clock))


@settings(max_examples=60, deadline=None)
@given(talk)
def test_any_pop_server(said: list[bytes]) -> None:
    answers = chain(said, repeat(b""))
    with MailServer(b"+OK\r\n", lambda line: b"+OK\r\n" + next(answers) + b".\r\n") as server:
        inbox = PopInbox(host="127.0.0.1", port=server.port, security=Security.NONE, user="info")
        looked(PopSource(inbox, shown, address="info", after=After.DELETE, secret=""))
