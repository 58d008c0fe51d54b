"""Mailboxes by IMAP and POP3: who signs in, and who waits there."""

from __future__ import annotations

import asyncio
import re
import shlex
from typing import assert_never

from mailroom.incoming import Source
from mailroom.mailboxes import address_of, lane_of, resource_of
from mailroom.objects import ImapInbox, IncomingServer, PopInbox
from mailroom.ports import Wakeup
from mailroom.sources.imap import ImapSource
from mailroom.sources.imap_session import ImapSession
from mailroom.sources.pop import PopSource
from mailroom.sources.visit import Credential, SignIn, Visit
from mailroom.waiting import Waiting
from mailroom.wiring.parts import Parts, utc_now
from mailroom_core.errors import VaultError
from mailroom_core.model import LaneName

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def by_mail_server(parts: Parts, server: IncomingServer, inbox: ImapInbox | PopInbox) -> Source:
    address, shown = address_of(parts.directory(), server), sign_in_of(parts, server)
    match inbox:
        case ImapInbox():
            return ImapSource(
                inbox, shown, address=address, after=server.after, move_to=server.move_to, secret=new_password(server), clock=utc_now
            )
        case PopInbox():
            return PopSource(inbox, shown, address=address, after=server.after, secret=new_password(server))
        case _:
            assert_never(inbox)


def sign_in_of(parts: Parts, server: IncomingServer) -> SignIn:
    """Asked anew for each connection, so that a new password counts at once."""
    account = server.source.account
    user = address_of(parts.directory(), server)

    async def password(refused: str) -> Credential:
        kept = await asyncio.to_thread(parts.vault.open, f"incoming:{server.name}")
        if kept is None:
            raise VaultError(f"the password of {user} is missing; run: {new_password(server)}")
        if _CONTROL.search(kept["password"] + user):
            raise VaultError(f"user or password of {user!r} has a control character inside; run: {new_password(server)}")
        return Credential(user, kept["password"])

    async def token(refused: str) -> Credential:
        return Credential(user, await parts.vault.token(account, resource=resource_of(server), refused=refused), token=True)

    return token if account else password


def new_password(server: IncomingServer) -> str:
    return f"mailroom incoming password {shlex.quote(server.name)}"


def make_waiting(parts: Parts, wakeup: Wakeup) -> Waiting:
    """At mailboxes that can tell."""

    def visit(server: IncomingServer, inbox: ImapInbox) -> Visit[ImapSession]:
        enter = lambda shown: ImapSession(inbox, shown, read_only=True)  # noqa: E731
        return Visit(inbox, sign_in_of(parts, server), enter, new_password(server))

    def held(lane: LaneName) -> bool:
        return any(each.held for each in parts.store.lanes() if each.name == lane)

    return Waiting(
        store=parts.store,
        directory=parts.directory,
        lane=lambda server: lane_of(parts.directory(), server),
        held=held,
        visit=visit,
        owner=parts.owner,
        notify=wakeup.notify,
        clock=utc_now,
    )
