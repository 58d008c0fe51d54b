"""The house: its ports are asked as a client on this machine would, its disk and its certificate are looked at."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from contextlib import suppress
from pathlib import Path

from cryptography import x509

from mailroom.doctor.health.installation import HouseFacts, judge
from mailroom.doctor.health.looking import HOUSE, Examination, Examined
from mailroom.doctor.trial import Step
from mailroom.settings import Settings
from mailroom.vault.expiry import Expiry
from mailroom.wiring.parts import Parts, utc_now
from mailroom_core.model import State

MANY = 10_000
_PATIENCE = 5.0
_NOT_BOUND = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # where to ask instead


def examination(parts: Parts, name: str = "") -> Examination:
    return Examination(HOUSE, lambda: _examine(parts))


async def _examine(parts: Parts) -> Examined:
    settings, directory = parts.settings, parts.directory()
    ports = [(each.host, each.port, each.tls == "implicit") for each in settings.listener]
    ports += [(settings.mx.host, settings.mx.port, False)] if settings.mx.enabled else []
    disk = await asyncio.to_thread(shutil.disk_usage, settings.data)
    facts = HouseFacts(
        servers=sum(each.active for each in directory.servers.values()),
        applications=sum(each.active for each in directory.applications.values()),
        listeners=tuple(await asyncio.gather(*(_greeting(host, port, encrypted=tls) for host, port, tls in ports if port))),
        unnamed=tuple(f"the listener at {host}" for host, port, _ in ports if not port),
        free=disk.free,
        total=disk.total,
        folder=str(settings.data),
        ends=tuple(await asyncio.to_thread(_own_certificate, settings)),
        quarantine=await asyncio.to_thread(lambda: parts.store.how_many(State.HELD, came_in=True, limit=MANY)),
    )
    return judge(facts, utc_now())


async def _greeting(host: str, port: int, *, encrypted: bool) -> Step:
    """What a client reads first."""
    host = _NOT_BOUND.get(host, host)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if encrypted else None
    if context is not None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is our own, and its end is looked at in its file
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            line = await reader.readline()
            writer.write(b"QUIT\r\n")
            with suppress(OSError):
                await writer.drain()
            writer.close()
    except (OSError, TimeoutError) as problem:
        return Step(f"{host}:{port}", str(problem) or f"no greeting within {_PATIENCE:g} seconds", ok=False)
    said = line.decode("ascii", "replace").strip()[:200]
    return Step(f"{host}:{port}", said or "hung up", line.startswith(b"220"))


def _own_certificate(settings: Settings) -> list[Expiry]:
    """Empty for the self-signed one, whose date nobody checks. Blocking."""
    file: Path | None = settings.tls.certificate
    if file is None:
        return []
    try:
        shown = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return []
    return [
        Expiry("this gateway", "TLS certificate", shown.not_valid_after_utc, f"Renew {file}; the gateway loads it by itself", str(file))
    ]
