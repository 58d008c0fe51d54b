"""Whether reports about mail that did not arrive come to where Mailroom reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from shlex import quote
from urllib.parse import quote as encoded

from mailroom.doctor.findings import Evidence, Finding, Harm, Look, Repair, Unchecked
from mailroom.doctor.symptoms.asking import Asked, Clinic, is_ours, looked, server_of
from mailroom.mailboxes import address_of, folder_of
from mailroom.objects import Account, Directory, GraphRoute, OutgoingServer, SmarthostRoute
from mailroom.ports import Watched
from mailroom_core.policy.addresses import normalize

AREA = "reports about our mail"
OF = "reports of "
"""What the watch calls the mailboxes that are read for reports alone."""


async def read(clinic: Clinic, asked: Asked) -> Sequence[Look]:
    """Of each server that it may be about: is the mailbox watched that its reports come to?"""
    directory = clinic.directory()
    servers = [directory.servers[name] for name in _names(clinic, asked, directory)]
    watched = {each.name: each for each in await asyncio.to_thread(clinic.store.watch.all)}
    sender = _sender(asked, directory)
    findings = [finding for server in servers for finding in _by_graph(directory, server, sender, watched)]
    unchecked = [open_ for server in servers for open_ in _by_smtp(clinic, directory, server, sender)]
    names = ", ".join(server.name for server in servers) or "none"
    return (looked(AREA, f"read, for the servers {names}" if servers else "no outgoing server", *findings, unchecked=unchecked),)


def _names(clinic: Clinic, asked: Asked, directory: Directory) -> list[str]:
    if asked.story is not None:
        return sorted({each.server for each in asked.story.deliveries} & directory.servers.keys())
    if server := server_of(clinic, asked):
        return [server]
    return sorted(name for name, each in directory.servers.items() if each.active)


def _sender(asked: Asked, directory: Directory) -> str:
    """Who reports are addressed to, if one sender is meant."""
    if asked.story is not None:
        return asked.story.message.sender or ""
    return asked.address if is_ours(directory, asked.address) else ""


def _fetched(directory: Directory) -> set[str]:
    """Mailboxes whose inbox is read anyway."""
    active = (each for each in directory.incoming.values() if each.active)
    return {normalize(address_of(directory, each)) for each in active if folder_of(each).lower() in ("inbox", "")}


def _by_graph(directory: Directory, server: OutgoingServer, sender: str, watched: dict[str, Watched]) -> Iterator[Finding]:
    """Exchange says yes, and reports later, to the mailbox that has sent."""
    route = server.route
    if not isinstance(route, GraphRoute) or (account := directory.accounts.get(route.account)) is None:
        return
    of_sender = route.mailbox == "sender"
    mailbox = sender if of_sender else route.mailbox or account.mailbox
    if mailbox and normalize(mailbox) in _fetched(directory):
        return
    where = mailbox or "each sender's own mailbox"
    if of_sender:
        yield _unread(server, where, "each sender's own mailbox sends, and nobody's own mailbox is read", 'mailbox = "sender"', _fetch())
    elif not route.reports:
        todo = "Let it be read: reports = true"
        yield _unread(server, where, "its server says that it shall not be read", "reports = false", _page(server), todo=todo)
    elif not (account.read_write or account.read):
        yield _unread(server, where, "its account may only send", "Mail.Send alone", _reconnect(account))
    elif (look := watched.get(f"{OF}{mailbox} ({account.name})")) and look.trouble:
        yield Finding(
            "reports-not-read",
            Harm.HARMFUL,
            f"The mailbox {mailbox} can't be read for reports about mail of {server.name}",
            "What comes back stays there; such mail stays sent.",
            look.trouble,
            (Evidence(f"the last look into {mailbox}", look.trouble, "gateway"),),
            repairs=(_reconnect(account),),
        )


def _unread(server: OutgoingServer, where: str, why: str, setting: str, repair: Repair, *, todo: str = "") -> Finding:
    return Finding(
        "reports-not-read",
        Harm.RISKY,
        f"Reports about mail of {server.name} come to {where}, and Mailroom does not read them: {why}",
        "Exchange takes a mail first and reports later. What comes back stays in that mailbox, and here the mail stays sent.",
        todo or f"Look into {where} for a report, or let Mailroom read it: {repair.label}",
        (Evidence(f"the server {server.name}", setting, "settings"),),
        repairs=(repair,),
    )


def _fetch() -> Repair:
    return Repair("fetch that mailbox with an incoming server", "mailroom incoming add NAME", "/incoming")


def _reconnect(account: Account) -> Repair:
    command = f"mailroom connect {quote(account.name)} --send-only --read"
    return Repair("connect the account with Mail.Read", command, f"/accounts/of/{encoded(account.name)}")


def _page(server: OutgoingServer) -> Repair:
    return Repair("change it", page=f"/servers/of/{encoded(server.name)}")


def _by_smtp(clinic: Clinic, directory: Directory, server: OutgoingServer, sender: str) -> Iterator[Unchecked]:
    """They go to the envelope sender, of whom only a mail tells."""
    if not isinstance(server.route, SmarthostRoute) or not sender:
        return
    if normalize(sender) not in _fetched(directory) and not clinic.returns(server, sender):
        why = f"they go to {sender}, whose mailbox Mailroom does not read: look there, or let an incoming server fetch it"
        yield Unchecked(f"reports about mail of {server.name}", why)
