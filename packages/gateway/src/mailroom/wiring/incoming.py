"""Looking at a mailbox by hand: a test of an incoming server, step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

from mailroom.doctor.mail_server import mail_server_trial
from mailroom.doctor.trial import Step
from mailroom.mailboxes import address_of
from mailroom.objects import GraphInbox, IncomingServer, PopInbox
from mailroom.transports.http import Http, client
from mailroom.vault.provider import cloud_of
from mailroom.vault.vault import nothing
from mailroom.wiring.mailboxes import new_password, sign_in_of
from mailroom.wiring.parts import Parts
from mailroom.wiring.testing import is_own, token_step
from mailroom_core.errors import ConfigError, VaultError
from mailroom_core.flow import Flow, arun
from mailroom_core.model import After, Deferred, NotThere, Trouble
from mailroom_core.oauth.scopes import Resource
from mailroom_core.providers.graph import receiving
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.probe import could_write, may_write
from mailroom_core.providers.graph.receiving import Folder

T = TypeVar("T")
MX = "mx"
"""By which name the MX listener is tested."""
_WHAT = {After.READ: "marked as read", After.MOVE: "moved away", After.DELETE: "deleted there"}


def incoming_trial(parts: Parts, name: str, *, changing: bool = True) -> AsyncIterator[Step]:
    """The steps as they happen; they end with the first that fails, and take no mail. Raises ConfigError, at once.

    `changing`: a draft may be made and deleted, which proves best that mail may be marked.
    """
    server = parts.directory().incoming.get(name)
    if server is None and name == MX:
        from mailroom.wiring.mx_trial import mx_trial

        return mx_trial(parts)
    if server is None:
        raise ConfigError(f"there is no incoming server {name!r}; see: mailroom incoming list")
    if isinstance(server.source, GraphInbox):
        return _by_graph(parts, server, server.source, changing=changing)
    return mail_server_trial(server, sign_in_of(parts, server), new_password(server))


async def _by_graph(parts: Parts, server: IncomingServer, inbox: GraphInbox, *, changing: bool) -> AsyncIterator[Step]:
    account = parts.directory.account(inbox.account)
    address = address_of(parts.directory(), server)
    mailbox = Mailbox.of(cloud_of(account).graph, "" if is_own(account, address) else address)
    try:
        yield Step("token", await token_step(parts, account, Resource.GRAPH))
    except VaultError as problem:
        yield Step("token", str(problem), ok=False, passes=problem.transient)
        return
    async with client() as connection:
        http = Http(connection, lambda refused: parts.vault.token(account.name, refused=refused))
        found = await _folder(mailbox, http, inbox.folder)
        if not isinstance(found, Folder):
            yield Step("read", _words(found, inbox.folder), ok=False, passes=_passes(found))
            return
        yield Step("read", f"{found.name!r} of {address}: {_mails(found.total)}, {found.unread} unread")
        if server.after is After.NOTHING:
            yield Step("mark", "not needed: mail is left as it is, and what has been taken is remembered here")
            return
        if server.after is After.MOVE:
            to = await _folder(mailbox, http, server.move_to)
            if not isinstance(to, Folder):
                yield Step("move to", _words(to, server.move_to), ok=False, passes=_passes(to))
                return
            yield Step("move to", f"{to.name!r}: {_mails(to.total)}")
        refused = await _asked(may_write(mailbox) if changing else could_write(mailbox), http)
        if refused is not None:
            said = f"{_reply(refused)}. {_read_only(account.name, server.name)}"
            yield Step("mark", said, ok=False, passes=_passes(refused))
            return
        yield Step("mark", "may mark, move and delete mail")


def warning(server: IncomingServer, account: str) -> str:
    """What the owner of a mailbox should know before it is fetched."""
    if isinstance(server.source, PopInbox):
        then = "deleted there" if server.after is After.DELETE else "left there"
        return (
            f"Everything that lies in {account} is taken and {then}, also what a person has not read yet. "
            "Take a mailbox that is for this alone, no person's own."
        )
    if server.after is After.NOTHING:
        return f"All mail that comes to {account} is taken from now on. Take no person's own mailbox, unless all of that mail belongs here."
    return (
        f"Everything that is unread in this folder of {account} is taken and {_WHAT[server.after]}, also what a person has not read yet. "
        "Take a mailbox that is for this alone, no person's own."
    )


async def _folder(mailbox: Mailbox, http: Http, path: str) -> Folder | NotThere | Trouble:
    found = await _asked(receiving.folder_id(mailbox, path), http)
    return await _asked(receiving.look_into(mailbox, found), http) if isinstance(found, str) else found


async def _asked(flow: Flow[T], http: Http) -> T:
    return await arun(flow, http, nothing)


def _words(found: NotThere | Trouble, path: str) -> str:
    if isinstance(found, NotThere):
        return f"there is no folder {path!r} in the mailbox; make it there, or name another one in the incoming server"
    return _reply(found)


def _passes(found: NotThere | Trouble) -> bool:
    """Whether Graph is only busy; who gives no answer is not."""
    return isinstance(found, Deferred) and found.reply.code != 0


def _reply(trouble: Trouble) -> str:
    return str(trouble.reply)


def _mails(count: int) -> str:
    return f"{count} {'mail' if count == 1 else 'mails'}"


def _read_only(account: str, server: str) -> str:
    return (
        f"The account may only read: consent to Mail.ReadWrite (mailroom connect {account} --read-write), "
        f'or give {server} after = "nothing" (mailroom connect {account} --send-only --read)'
    )
