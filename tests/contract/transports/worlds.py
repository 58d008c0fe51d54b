"""The transports, each with a next hop that behaves as it is told. What `test_transports` runs over.

To add a transport: a function here that enters its world behaving in one of `BEHAVIOURS`, and a row in `WORLDS` that says which of
them its next hop can show.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from mailroom.objects import Security, SinkRoute, SmarthostRoute
from mailroom.ports import Job, Transport
from mailroom.transports.sink import Sink
from mailroom.transports.smarthost import Smarthost
from mailroom.transports.smtp_dialogue import Timeouts
from mailroom_core.model import Deferred, Failed, Held, Outcome, Sent, Unknown
from tests.contract.smtp_server import Act, Drip, Script, SmtpServer
from tests.contract.transports.jobs import job
from tests.contract.transports.sources import LargeMail

GOOD = "good@example.net"
BAD = "bad@example.net"

BEHAVIOURS: Mapping[str, tuple[type[Outcome], type[Outcome]]] = {
    "is well": (Sent, Sent),
    "refuses one recipient": (Sent, Failed),
    "defers one recipient": (Sent, Deferred),
    "refuses the sender": (Failed, Failed),
    "refuses the mail": (Failed, Failed),
    "defers the mail": (Deferred, Deferred),
    "is not there": (Deferred, Deferred),
    "never answers": (Deferred, Deferred),
    "refuses the sign-in": (Held, Held),
    "breaks in the middle of the mail": (Deferred, Deferred),
    "takes the mail and hangs up": (Unknown, Unknown),
    "takes the mail and resets the connection": (Unknown, Unknown),
    "takes the mail and says nothing": (Unknown, Unknown),
    "takes the mail and cuts its answer short": (Unknown, Unknown),
    "takes the mail and drips its answer": (Unknown, Unknown),
    "takes the mail and answers nonsense": (Unknown, Unknown),
}
"""What the next hop does -> the outcomes for `GOOD` and `BAD`."""


@dataclass(frozen=True)
class World:
    transport: Transport
    job: Job
    """To `GOOD` and `BAD`."""
    arrived: Callable[[], Mapping[str, list[bytes]]]
    """Recipient -> the mails that the next hop took for them."""


Enter = Callable[[str], AbstractAsyncContextManager[World]]

_SCRIPTS: Mapping[str, Script] = {
    "is well": Script(),
    "refuses one recipient": Script({"RCPT TO:<bad@": b"550 5.1.1 no such user\r\n"}),
    "defers one recipient": Script({"RCPT TO:<bad@": b"450 4.2.0 greylisted\r\n"}),
    "refuses the sender": Script({"MAIL": b"550 5.7.1 not you\r\n"}),
    "refuses the mail": Script({".": b"554 5.7.1 looks like spam\r\n"}),
    "defers the mail": Script({".": b"451 4.3.0 disk full\r\n"}),
    "is not there": Script(),
    "never answers": Script({"GREETING": Act.SILENCE}),
    "refuses the sign-in": Script(offered=("AUTH PLAIN",), auth={"PLAIN": b"535 5.7.8 wrong password\r\n"}),
    "breaks in the middle of the mail": Script({"BODY": Act.RESET}),
    "takes the mail and hangs up": Script({".": Act.HANG_UP}),
    "takes the mail and resets the connection": Script({".": Act.RESET}),
    "takes the mail and says nothing": Script({".": Act.SILENCE}),
    "takes the mail and cuts its answer short": Script({".": (b"250 2.0", Act.HANG_UP)}),
    "takes the mail and drips its answer": Script({".": Drip(b"250 2.0.0 Ok, but slowly\r\n")}),
    "takes the mail and answers nonsense": Script({".": b"all is fine\r\n"}),
}

_WAITS_FOR_US = {"never answers", "takes the mail and says nothing", "takes the mail and drips its answer"}


@asynccontextmanager
async def smarthost(behaviour: str) -> AsyncIterator[World]:
    async def password() -> str:
        return "secret"

    short = Timeouts(connect=timedelta(seconds=0.2), end=timedelta(seconds=0.2))
    async with SmtpServer(_SCRIPTS[behaviour]) as server:
        if behaviour == "is not there":
            await server.stop()
        route = SmarthostRoute(
            host="127.0.0.1", port=server.port, security=Security.NONE, user="joe" if behaviour == "refuses the sign-in" else ""
        )
        transport = Smarthost(
            "relay", route, helo="gateway.example.com", password=password, timeouts=short if behaviour in _WAITS_FOR_US else None
        )

        def arrived() -> Mapping[str, list[bytes]]:
            mails: dict[str, list[bytes]] = {}
            for mail in server.mails:
                for recipient in mail.recipients:
                    mails.setdefault(recipient, []).append(mail.content)
            return mails

        large = LargeMail(16 * 1024 * 1024) if behaviour == "breaks in the middle of the mail" else None
        try:
            yield World(transport, job(GOOD, BAD, source=large), arrived)
        finally:
            await transport.close()


@asynccontextmanager
async def sink(behaviour: str) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "mails"
        if behaviour == "is not there":
            directory.write_text("a file lies where the directory should be")
        asked = job(GOOD, BAD)

        def arrived() -> Mapping[str, list[bytes]]:
            mails = [file.read_bytes() for file in directory.glob("*.eml")]
            return dict.fromkeys(asked.recipients.values(), mails)

        yield World(Sink(SinkRoute(directory=str(directory))), asked, arrived)


@dataclass(frozen=True)
class Row:
    enter: Enter
    shows: frozenset[str] = field(default_factory=frozenset)


WORLDS: Mapping[str, Row] = {
    "smarthost": Row(smarthost, frozenset(_SCRIPTS)),
    "sink": Row(sink, frozenset({"is well", "is not there"})),
}
