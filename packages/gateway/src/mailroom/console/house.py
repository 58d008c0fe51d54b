"""What the pages need from the house."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from mailroom.changing import ObjectDesk
from mailroom.console.accounts_desk import AccountsDesk
from mailroom.console.exporting import Exports
from mailroom.console.recipes import Entrance
from mailroom.console.way_in import WayIn
from mailroom.cutover.desk import CutoverDesk
from mailroom.doctor.desk import DoctorDesk
from mailroom.objects import Directory, OutgoingServer
from mailroom.ports import Blobs, Clock, Store
from mailroom.support.desk import SupportDesk
from mailroom.vault.expiry import Expiry
from mailroom.webhooks.desk import WebhookDesk
from mailroom_core.model import LaneName


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Made by `wiring`, found by every request."""

    store: Store
    blobs: Blobs
    directory: Callable[[], Directory]
    look: Callable[[], bool]
    """Blocking: read the directory again if it has changed."""
    servers_of: Callable[[LaneName], list[OutgoingServer]]
    """Whose mail goes by this lane."""
    notify: Callable[[], None]
    """There is work for the worker."""
    webhooks: WebhookDesk
    accounts: AccountsDesk
    objects: ObjectDesk
    doctor: DoctorDesk
    cutover: CutoverDesk
    support: SupportDesk
    entrance: Entrance
    """Where programs hand in their mail by SMTP."""
    way_in: WayIn
    exports: Exports
    clock: Clock
    ends: Callable[[], Sequence[Expiry]] = tuple
    """Blocking: secrets, certificates and sign-ins that end by themselves, the nearest first."""


async def _house(request: Request) -> House:
    house: House = request.app.state.house
    return house


TheHouse = Annotated[House, Depends(_house)]
