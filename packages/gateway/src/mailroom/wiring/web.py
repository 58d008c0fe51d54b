"""The web address: API, health and metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mailroom.accept import Accept
from mailroom.ports import Wakeup
from mailroom.wiring.parts import Parts, credential_key, utc_now

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def web_app(parts: Parts, made: Accept, wakeup: Wakeup, spool: Path, stopping: Callable[[], bool]) -> ASGIApp:
    """Blocking; imported here, because neither the listeners nor the workers should wait for it."""
    from mailroom.api import app, health, office
    from mailroom.wiring.signin import make_door

    made_app = app.make_app(
        office.Office(
            store=parts.store,
            blobs=parts.blobs,
            directory=parts.directory,
            look=parts.directory.look,
            accept=made,
            notify=wakeup.notify,
            seal=parts.vault.seal,
            clock=utc_now,
            key=credential_key(parts),
            spool=spool,
            max_size=parts.settings.smtp.max_size,
            max_recipients=parts.settings.smtp.max_recipients,
        ),
        health.routes(parts.store, stopping),
    )
    made_app.state.door = make_door(parts)
    return made_app
