"""The process that accepts: listeners and web address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from mailroom.accept import Commit
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
from mailroom_core.errors import ConfigError
from mailroom_core.model import MessageId

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Front:
    """Listeners and web address at work."""

    smtp: Running
    mx: Running | None
    web: Web
    commit: GroupCommit[NewMessage, Mapping[MessageId, MessageId]]

    def addresses(self) -> list[str]:
        mx = self.mx.addresses if self.mx else ()
        listening = (*(("smtp", *each) for each in self.smtp.addresses), *(("mx", *each) for each in mx))
        return [*(f"{kind}://{host}:{port}" for kind, host, port in listening), self.web.url]

    async def stop(self, deadline: timedelta) -> None:
        """What was handed over is committed before this returns."""
        await asyncio.gather(*(each.stop(deadline) for each in (self.smtp, self.mx) if each is not None))
        await self.web.stop()
        await self.commit.close()


async def make_front(parts: Parts, wakeup: Wakeup, stopping: Callable[[], bool]) -> Front:
    settings = parts.settings
    made, commit = make_accept(parts, wakeup.notify)
    spool = _spool(settings)
    certificates = _certificates(settings)
    smtp = await serve_smtp(
        [_listener(each) for each in settings.listener],
        FrontDoor(parts, made),
        spool=spool,
        hostname=hostname(settings),
        certificates=certificates,
        limits=Limits(
            max_size=settings.smtp.max_size,
            max_recipients=settings.smtp.max_recipients,
            max_sessions=settings.smtp.max_sessions,
            max_sessions_per_client=settings.smtp.max_sessions_per_client,
            idle=settings.smtp.idle,
            clear_text_login_on_loopback=settings.smtp.clear_text_login_on_loopback,
        ),
    )
    try:
        mx = await _mx(parts, certificates, commit, wakeup.notify, spool) if settings.mx.enabled else None
    except ConfigError:
        await smtp.stop(timedelta(0))
        raise
    ports = [port for _, port in smtp.addresses]
    make_web = partial(web_app, parts, made, commit, wakeup, spool, stopping, ports)
    given = settings.web
    web = Web(make_web, given.host, given.port, proxies=given.trusted_proxies, connections=given.max_connections)
    return Front(smtp, mx, web, commit)


async def _mx(parts: Parts, certificates: Certificates | None, commit: Commit, notify: Callable[[], None], spool: Path) -> Running:
    from mailroom.wiring.mx import make_mx  # SPF and the like take memory and time at the start, which most don't need

    return await make_mx(parts, certificates, commit, notify, spool)


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
    without = all(each.legacy or each.tls == "none" for each in settings.listener)
    if without and not (settings.mx.enabled and settings.mx.tls != "none"):
        return None
    given = settings.tls
    if given.certificate and given.key:
        files = TlsFiles(certificate=given.certificate, key=given.key)
    else:
        files = self_signed(settings.data, [hostname(settings), "localhost", "127.0.0.1"], now=utc_now())
    return Certificates(replace(files, client_authorities=given.client_authorities))
