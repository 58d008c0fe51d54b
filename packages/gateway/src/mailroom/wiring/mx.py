"""The MX listener: mail that other servers bring."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path

from mailroom.accept import Commit
from mailroom.authenticity.evaluate import Evaluator
from mailroom.authenticity.names import Names
from mailroom.intake.arrive import Arrive, Arriving, OnFail, Rules
from mailroom.listen.door import Client
from mailroom.listen.listener import Limits, Listener, TlsMode
from mailroom.listen.mx import serve_mx
from mailroom.listen.serving import Running
from mailroom.listen.tls import Certificates
from mailroom.settings import Settings
from mailroom.wiring.intake import back_of, make_intake, opened
from mailroom.wiring.parts import Parts, hostname, utc_now
from mailroom_core.model import show_id

_AT_ONCE = 32
"""Mails whose senders are looked up; the others wait, and their clients with them."""


async def make_mx(parts: Parts, certificates: Certificates | None, commit: Commit, notify: Callable[[], None], spool: Path) -> Running:
    """At work. Raises ConfigError."""
    given = parts.settings.mx
    names = Names(given.resolver or parts.settings.doctor.resolver)
    arrive = Arrive(
        intake=make_intake(parts, commit),
        evaluator=Evaluator(asking=names.asking, within=given.check_time, sealers=frozenset(map(str.lower, given.trusted_sealers))),
        directory=parts.directory,
        back=back_of(parts),
        opened=opened,
        ids=parts.ids,
        clock=utc_now,
        spool=spool,
        threads=ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mx"),
        notify=notify,
        rules=Rules(
            hostname=hostname(parts.settings),
            authserv_id=authserv_id(parts.settings),
            on_fail=OnFail(given.dmarc),
            redirectors=tuple(ip_network(each) for each in given.redirectors),
            destination=given.destination,
        ),
    )
    return await serve_mx(
        Listener(host=given.host, port=given.port, tls=TlsMode(given.tls)),
        MxFrontDoor(arrive),
        spool=spool,
        hostname=hostname(parts.settings),
        certificates=certificates,
        limits=Limits(
            max_size=given.max_size,
            max_recipients=given.max_recipients,
            max_sessions=given.max_sessions,
            max_sessions_per_client=given.max_sessions_per_client,
            messages_per_minute=given.messages_per_minute,
            idle=given.idle,
            greet_pause=given.greet_pause,
            tarpit=given.tarpit,
        ),
    )


def authserv_id(settings: Settings) -> str:
    """Under which name we write Authentication-Results."""
    return settings.mx.authserv_id or hostname(settings)


class MxFrontDoor:
    """The door of the MX listener."""

    def __init__(self, arrive: Arrive) -> None:
        self._arrive = arrive

    def check_recipient(self, client: Client, address: str) -> None:
        self._arrive.check_recipient(client, address)

    def postmaster(self) -> str:
        domain = next(iter(sorted(self._arrive.tables().domains)), "")
        return f"postmaster@{domain}" if domain else ""

    async def accept(self, mail: Arriving) -> str:
        return f"queued as {show_id(await self._arrive(mail))}"
