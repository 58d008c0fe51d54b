"""The listeners' door says what an application may do now, also in a session that is older."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mailroom.accept import Submission
from mailroom.objects import Application, OutgoingServer, SinkRoute
from mailroom.settings import Settings
from mailroom.wiring.door import FrontDoor, make_accept
from mailroom.wiring.parts import Parts, open_parts
from mailroom_core.errors import Refused

pytestmark = pytest.mark.anyio
OLD, NEW = Application(name="odoo", senders=("old.example",)), Application(name="odoo", senders=("new.example",))


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with closing(open_parts(Settings(data=tmp_path))) as made:
        made.store.apply([OLD, OutgoingServer(name="sink", route=SinkRoute())], [], by="test")
        made.directory.look()
        yield made


def bounce_of(author: str, application: Application) -> Submission:
    raw = f"From: {author}\r\nMessage-ID: <1@old.example>\r\n\r\nHello\r\n".encode()
    return Submission(
        application=application,
        sender=None,
        recipients=("anna@example.org",),
        raw=raw,
        spool=None,
        size=len(raw),
        client="127.0.0.1",
        helo="odoo",
        tls="",
        authenticated="odoo",
    )


async def test_a_session_that_is_older_than_a_change_writes_as_whom_its_application_may_now(parts: Parts) -> None:
    made, commit = make_accept(parts, lambda: None)
    door = FrontDoor(parts, made)
    assert await door.accept(bounce_of("mary@old.example", OLD))
    parts.store.apply([NEW], [], by="test")
    parts.directory.look()
    with pytest.raises(Refused, match=r"may not send as <mary@old\.example>"):
        await door.accept(bounce_of("mary@old.example", OLD))
    assert await door.accept(bounce_of("mary@new.example", OLD))
    parts.store.apply([], [("application", "odoo")], by="test")
    parts.directory.look()
    with pytest.raises(Refused, match="may not send any more"):
        await door.accept(bounce_of("mary@new.example", OLD))
    await commit.close()
