"""The process that accepts: listeners and web address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from mailroom.api.web import Web
from mailroom.batching import GroupCommit
from mailroom.listen.listener import Limits, Listener, TlsMode
from mailroom.listen.serving import Running
from mailroom.listen.submission import serve as serve_smtp
from mailroom.listen.tls import Certificates, TlsFiles, self_signed
from mailroom.ports import NewMessage, Wakeup
from mailroom.settings import ListenerSettings, Settings
from mailroom.wiring.door import FrontDoor, make_accept
from mailroom.wiring.parts import Parts, hostname, utc_now
from mailroom.wiring.web import web_app
from mailroom_core.model import MessageId

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Front:
    """Listeners and web address at work."""

    smtp: Running
    web: Web
    commit: GroupCommit[NewMessage, Mapping[MessageId, MessageId]]

    def addresses(self) -> list[str]:
        return [*(f"smtp://{host}:{port}" for host, port in self.smtp.addresses), self.web.url]

    async def stop(self, deadline: timedelta) -> None:
        """What was handed over is committed before this returns."""
        await self.smtp.stop(deadline)
        await self.web.stop()
        await self.commit.close()


async def make_front(parts: Parts, wakeup: Wakeup, stopping: Callable[[], bool]) -> Front:
    settings = parts.settings
    made, commit = make_accept(parts, wakeup.notify)
    spool = _spool(settings)
    smtp = await serve_smtp(
        [_listener(each) for each in settings.listener],
        FrontDoor(parts, made),
        spool=spool,
        hostname=hostname(settings),
        certificates=_certificates(settings),
        limits=Limits(
            max_size=settings.smtp.max_size,
            max_recipients=settings.smtp.max_recipients,
            max_sessions=settings.smtp.max_sessions,
            max_sessions_per_client=settings.smtp.max_sessions_per_client,
            idle=settings.smtp.idle,
            clear_text_login_on_loopback=settings.smtp.clear_text_login_on_loopback,
        ),
    )
    make_web = partial(web_app, parts, made, commit, wakeup, spool, stopping)
    given = settings.web
    web = Web(make_web, given.host, given.port, proxies=given.trusted_proxies, connections=given.max_connections)
    return Front(smtp, web, commit)


def _listener(each: ListenerSettings) -> Listener:
    networks = tuple(ip_network(network) for network in each.networks)
    return Listener(host=each.host, port=each.port, tls=TlsMode(each.tls), legacy=each.legacy, networks=networks)


def _spool(settings: Settings) -> Path:
    """What a killed process left there was never accepted."""
    spool = settings.data / "spool"
    spool.mkdir(mode=0o700, exist_ok=True)
    for leftover in spool.iterdir():
        leftover.unlink()
    return spool


def _certificates(settings: Settings) -> Certificates | None:
    if all(each.legacy or each.tls == "none" for each in settings.listener):
        return None
    given = settings.tls
    if given.certificate and given.key:
        files = TlsFiles(certificate=given.certificate, key=given.key)
    else:
        files = self_signed(settings.data, [hostname(settings), "localhost", "127.0.0.1"], now=utc_now())
    return Certificates(replace(files, client_authorities=given.client_authorities))
