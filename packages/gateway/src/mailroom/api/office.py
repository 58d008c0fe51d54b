"""What the API needs from the house."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from mailroom.accept import Submission
from mailroom.cutover.desk import CutoverDesk
from mailroom.doctor.desk import DoctorDesk
from mailroom.doctor.trial import Step
from mailroom.intake.correspond import Correspondence
from mailroom.intake.take import Intake
from mailroom.objects import Account, Directory, OutgoingServer
from mailroom.ports import Blobs, Clock, Store
from mailroom.support.desk import SupportDesk
from mailroom.vault.expiry import Expiry
from mailroom.webhooks.desk import WebhookDesk
from mailroom_core.model import LaneName, MessageId


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Made by `wiring`, found by every request."""

    store: Store
    blobs: Blobs
    directory: Callable[[], Directory]
    look: Callable[[], bool]
    """Blocking: read the directory again if it has changed."""
    servers_of: Callable[[LaneName], Sequence[OutgoingServer]]
    """Whose mail goes by this lane."""
    ends: Callable[[], Sequence[Expiry]]
    """Blocking: what ends by itself, the nearest first."""
    accept: Callable[[Submission], Awaitable[MessageId]]
    intake: Intake
    correspondence: Correspondence
    notify: Callable[[], None]
    seal: Callable[[str, Mapping[str, str] | None], None]
    """Blocking: keep a secret under a name, or drop it."""
    webhooks: WebhookDesk
    doctor: DoctorDesk
    incoming_trial: Callable[[str], AsyncIterator[Step]]
    """A test of an incoming server, or of `mx`, which takes nothing. Raises ConfigError, at once, for what can't be tried."""
    destination_trial: Callable[[str], AsyncIterator[Step]]
    """The same of a destination, which gets nothing."""
    cutover: CutoverDesk
    support: SupportDesk
    sign_in: Callable[[Account], Awaitable[str]]
    """Where a person's browser goes to sign an account in. Raises VaultError."""
    clock: Clock
    key: bytes
    """Of the stored hashes of tokens and credentials."""
    spool: Path
    max_size: int
    """Of a mail, in bytes."""
    max_recipients: int


async def _office(request: Request) -> Office:
    office: Office = request.app.state.office
    return office


TheOffice = Annotated[Office, Depends(_office)]
