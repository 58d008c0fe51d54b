"""Which mailbox an incoming server means: its address, the lane that it is looked at in, and where its secrets are shown."""

from __future__ import annotations

from typing import assert_never

from mailroom.objects import Directory, GraphInbox, ImapInbox, IncomingServer, PopInbox
from mailroom_core.model import LaneName
from mailroom_core.oauth.scopes import Resource


def address_of(directory: Directory, server: IncomingServer) -> str:
    """Of the mailbox; with a password, the user's name, which need not be an address."""
    source = server.source
    account = directory.accounts.get(source.account)
    named = source.mailbox if isinstance(source, GraphInbox) else source.user
    return named or (account.mailbox if account else "")


def folder_of(server: IncomingServer) -> str:
    """Empty where a mailbox has no folders."""
    return "" if isinstance(server.source, PopInbox) else server.source.folder


def lane_of(directory: Directory, server: IncomingServer) -> LaneName:
    """At Graph that of the mailbox, which sending shares; else one of the server's own."""
    match server.source:
        case GraphInbox(account=account):
            return LaneName(f"graph:{account}:{address_of(directory, server).lower()}")
        case ImapInbox():
            return LaneName(f"imap:{server.name}")
        case PopInbox():
            return LaneName(f"pop:{server.name}")
        case _:
            assert_never(server.source)


def resource_of(server: IncomingServer) -> Resource:
    """What a token for it opens."""
    match server.source:
        case GraphInbox():
            return Resource.GRAPH
        case ImapInbox():
            return Resource.IMAP
        case PopInbox():
            return Resource.POP
        case _:
            assert_never(server.source)
