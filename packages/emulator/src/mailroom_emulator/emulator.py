"""The tenant as a whole: everything that a reset throws away and builds again."""

import asyncio
import itertools
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

from mailroom_emulator.blobs import Blobs
from mailroom_emulator.bounces import Bounces
from mailroom_emulator.clock import Agenda, Clock
from mailroom_emulator.counters import Counters
from mailroom_emulator.entra.tokens import TokenStore
from mailroom_emulator.faults import Faults
from mailroom_emulator.graph.routes import OPERATIONS
from mailroom_emulator.jws import shared_signer
from mailroom_emulator.limits import Limits
from mailroom_emulator.mailbox import Mailbox
from mailroom_emulator.notifications import Notifications
from mailroom_emulator.outside import Outside
from mailroom_emulator.seed import Seed
from mailroom_emulator.switches import Switches
from mailroom_emulator.tenant import Account, Tenant

if TYPE_CHECKING:
    from mailroom_emulator.graph.uploads import Session


class Emulator:
    """State only; it lives on one event loop and needs no locks."""

    tenant: Tenant
    tokens: TokenStore
    switches: Switches
    counters: Counters
    outside: Outside
    limits: Limits
    bounces: Bounces
    notifications: Notifications
    faults: Faults
    uploads: "dict[str, Session]"

    def __init__(self, seed: Seed, data: Path, time_scale: float = 1.0) -> None:
        self.clock = Clock(time_scale)
        self.agenda = Agenda(self.clock)
        self.blobs = Blobs(data)
        self._background: set[asyncio.Task[object]] = set()
        self._seed = seed
        self._serial = itertools.count(1)
        self._mailboxes: dict[str, Mailbox] = {}
        self.reset()

    def reset(self) -> None:
        """Back to the seed: no mail, no tokens, no faults, the real time."""
        self.agenda.clear()
        self.clock.reset()
        self.tenant = self._seed.build()
        self.tokens = TokenStore(self.tenant, self.clock, shared_signer())
        self.switches = Switches()
        self.switches.change(self._seed.switches)
        self.counters = Counters()
        self.outside = Outside()
        self.limits = Limits(self.clock)
        self.bounces = Bounces()
        self.notifications = Notifications(self)
        self.faults = Faults(OPERATIONS)
        self.uploads = {}
        self._mailboxes = {}

    def mailbox(self, account: Account) -> Mailbox:
        mailbox = self._mailboxes.get(account.oid)
        if mailbox is None:
            mailbox = self._mailboxes[account.oid] = Mailbox(account, self.notifications.on_change)
        return mailbox

    def spawn(self, work: Coroutine[object, object, object]) -> None:
        """Let something run beside the requests."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def next_serial(self) -> int:
        return next(self._serial)
