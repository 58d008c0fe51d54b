"""The web address: API, health and metrics, and the console for everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mailroom.accept import Accept, Commit
from mailroom.ports import Wakeup
from mailroom.vault.expiry import Expiry, expiries
from mailroom.wiring.cutover import cutover_desk
from mailroom.wiring.doctor import doctor_desk
from mailroom.wiring.fetching import told_state
from mailroom.wiring.handing import destination_trial
from mailroom.wiring.intake import make_correspondence, make_intake, make_judge
from mailroom.wiring.parts import Parts, credential_key, hostname, object_desk, utc_now, webhook_desk
from mailroom.wiring.support import support_desk
from mailroom.wiring.ways import servers_of
from mailroom_core.errors import VaultError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mailroom.console.recipes import Entrance
    from mailroom.settings import ListenerSettings, Settings

FOR_PROGRAMS = ("/v1", "/health", "/ready", "/metrics", "/notify")


def web_app(
    parts: Parts, made: Accept, commit: Commit, wakeup: Wakeup, spool: Path, stopping: Callable[[], bool], ports: Sequence[int]
) -> ASGIApp:
    """Blocking; imported here, because neither the listeners nor the workers should wait for it. `ports` are those of the listeners."""
    api = _api(parts, made, commit, wakeup, spool, stopping)
    console = _console(parts, wakeup, made, spool, ports)

    async def by_path(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        programs = any(path == each or path.startswith(f"{each}/") for each in FOR_PROGRAMS)
        await (api if programs else console)(scope, receive, send)

    return by_path


def _api(parts: Parts, made: Accept, commit: Commit, wakeup: Wakeup, spool: Path, stopping: Callable[[], bool]) -> ASGIApp:
    from mailroom.api import app, health, notify, office
    from mailroom.wiring.accounts import Accounts
    from mailroom.wiring.incoming import incoming_trial

    def look_at(servers: Sequence[str], ended: Sequence[str]) -> None:
        for name in ended:
            parts.store.watch.awaited(name, None)
        parts.store.watch.now(servers)
        wakeup.notify()

    return app.make_app(
        office.Office(
            store=parts.store,
            blobs=parts.blobs,
            directory=parts.directory,
            look=parts.directory.look,
            servers_of=lambda lane: servers_of(parts.directory(), lane),
            ends=lambda: _ends(parts),
            accept=made,
            intake=make_intake(parts, commit),
            correspondence=make_correspondence(parts, made, spool),
            notify=wakeup.notify,
            seal=parts.vault.seal,
            webhooks=webhook_desk(parts),
            doctor=doctor_desk(parts),
            incoming_trial=partial(incoming_trial, parts),
            destination_trial=partial(destination_trial, parts),
            cutover=cutover_desk(parts),
            support=support_desk(parts),
            sign_in=Accounts(parts).for_program,
            clock=utc_now,
            key=credential_key(parts),
            spool=spool,
            max_size=parts.settings.smtp.max_size,
            max_recipients=parts.settings.smtp.max_recipients,
        ),
        [
            *health.routes(parts.store, parts.notices, lambda: [(each.owner, each.what, each.at) for each in _ends(parts)], stopping),
            *notify.routes(look_at, partial(told_state, credential_key(parts))),
        ],
    )


def _ends(parts: Parts) -> list[Expiry]:
    try:
        return expiries(parts.directory(), parts.vault.open)
    except VaultError:
        return []  # a key that does not fit is told where a secret is needed


def entrance_of(settings: Settings, ports: Sequence[int] = ()) -> Entrance:
    """Where programs hand in their mail: a listener that others reach, if there is one. `ports` are those that were
    bound; without them, those of the settings."""
    from mailroom.console.recipes import Entrance, OldDoor

    bound = ports or [each.port for each in settings.listener]
    listeners = [each.model_copy(update={"port": port}) for each, port in zip(settings.listener, bound, strict=True)]
    modern = [each for each in listeners if not each.legacy] or listeners
    listener = min(modern, key=_is_loopback)
    old = next((each for each in listeners if each.legacy and not _is_loopback(each)), None)
    own = "" if settings.tls.certificate or listener.tls == "none" else str(settings.data.resolve() / "tls.crt")
    return Entrance(
        host=_host_of(settings, listener),
        port=listener.port,
        tls=listener.tls,
        own_certificate=own,
        outside=not _is_loopback(listener),
        old=OldDoor(host=_host_of(settings, old), port=old.port, networks=tuple(map(str, old.networks))) if old else None,
    )


def _is_loopback(listener: ListenerSettings) -> bool:
    try:
        return ip_address(listener.host).is_loopback
    except ValueError:
        return listener.host == "localhost"


def _host_of(settings: Settings, listener: ListenerSettings) -> str:
    """What a program enters: the address that is bound, or for all of them the name that people use."""
    if listener.host not in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        return listener.host
    known = urlsplit(settings.public_url).hostname or ""
    return hostname(settings) if known in ("", "localhost") or known.startswith("127.") else known


def _mx(settings: Settings) -> str:
    return f"{settings.mx.host} port {settings.mx.port}" if settings.mx.enabled else ""


def _console(parts: Parts, wakeup: Wakeup, made: Accept, spool: Path, ports: Sequence[int]) -> ASGIApp:
    from mailroom.console import app, exporting, house, way_in
    from mailroom.wiring.accounts import Accounts
    from mailroom.wiring.incoming import incoming_trial
    from mailroom.wiring.odoo import OdooSetup
    from mailroom.wiring.signin import make_door

    return app.make_console(
        house.House(
            store=parts.store,
            blobs=parts.blobs,
            directory=parts.directory,
            look=parts.directory.look,
            servers_of=lambda lane: servers_of(parts.directory(), lane),
            notify=wakeup.notify,
            webhooks=webhook_desk(parts),
            doctor=doctor_desk(parts),
            cutover=cutover_desk(parts),
            support=support_desk(parts),
            accounts=Accounts(parts),
            ends=lambda: _ends(parts),
            objects=object_desk(parts),
            entrance=entrance_of(parts.settings, ports),
            exports=exporting.Exports(parts.settings.data / exporting.FOLDER, utc_now),
            way_in=way_in.WayIn(
                correspondence=make_correspondence(parts, made, spool),
                judge=make_judge(parts),
                odoo=OdooSetup(parts),
                trial=partial(incoming_trial, parts),
                destination_trial=partial(destination_trial, parts),
                mx=_mx(parts.settings),
            ),
            clock=utc_now,
        ),
        make_door(parts),
    )
