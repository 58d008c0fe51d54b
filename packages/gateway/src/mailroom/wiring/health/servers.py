"""An outgoing server is asked to let us in, as far as the envelope sender: no mail is begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from mailroom.doctor.health.looking import Examination, Examined, Subject, Usage
from mailroom.doctor.health.servers import Held, ServerFacts, judge
from mailroom.doctor.trial import Step, Tell
from mailroom.lanes import used
from mailroom.objects import Account, Directory, GraphRoute, OutgoingServer, SinkRoute, SmarthostRoute
from mailroom.ports import LaneStatus
from mailroom.transports.http import Http, client
from mailroom.transports.smtp_opening import NoConnection, Opening
from mailroom.transports.smtp_table import Stage
from mailroom.transports.smtp_verdict import judge as verdict
from mailroom.vault.expiry import Expiry, of_server
from mailroom.vault.provider import cloud_of, first_resource
from mailroom.vault.vault import nothing
from mailroom.way_out import lane_of, notification_address
from mailroom.wiring.connecting import mailbox_of_server
from mailroom.wiring.health.accounts import host_of, turn_of
from mailroom.wiring.parts import Parts, hostname, utc_now
from mailroom.wiring.testing import is_own, sender_of
from mailroom_core.errors import VaultError
from mailroom_core.flow import arun
from mailroom_core.model import LaneName, Reply, Trouble
from mailroom_core.oauth.scopes import Resource
from mailroom_core.policy.addresses import domain_of, is_deliverable
from mailroom_core.policy.pace import Unit
from mailroom_core.policy.senders import allowed
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.probe import Rights, survey

MOST_MAILBOXES = 5
"""That one server of many senders is asked about."""
PATIENCE = 15.0
"""Seconds for one connection."""


def examination(parts: Parts, name: str) -> Examination:
    server = parts.directory().servers[name]
    turn = turn_of(server.route.account) if isinstance(server.route, GraphRoute) else ""
    return Examination(Subject("server", name), lambda: _examine(parts, server), turn=turn)


async def _examine(parts: Parts, server: OutgoingServer) -> Examined:
    now = utc_now()
    found = await asyncio.to_thread(_kept, parts, server)
    if server.active:
        match server.route:
            case GraphRoute() as route:
                found |= await _by_graph(parts, server, route)
            case SmarthostRoute() as route:
                found |= await _by_smtp(parts, server, route)
            case SinkRoute():
                pass
    return judge(ServerFacts(server=server, **found), now)  # type: ignore[arg-type]  # fields by name


# ---- what is known here


def _kept(parts: Parts, server: OutgoingServer) -> dict[str, object]:
    """Blocking."""
    directory = parts.directory()
    lanes = [each for each in parts.store.lanes() if first_of(directory, each.name) == server.name]
    return {
        "held": held_of(lanes),
        "waiting": sum(each.waiting for each in lanes),
        "applications": users_of(directory, server),
        "usage": tuple(each for lane in lanes for each in _usage(parts, server, lane.name)),
        "ends": tuple(of_server(server)),
    }


def held_of(lanes: Iterable[LaneStatus]) -> tuple[Held, ...]:
    return tuple(Held(each.name, each.held, each.waiting) for each in lanes if each.held)


def first_of(directory: Directory, lane: LaneName) -> str:
    """The server that a lane is told of with; others may share it."""
    owners = [each for each in directory.servers.values() if lane_of(directory, each, "") == lane]
    account, _, mailbox = lane.removeprefix("graph:").rpartition(":")
    if not owners and lane.startswith("graph:") and mailbox:
        routes = [each for each in directory.servers.values() if isinstance(each.route, GraphRoute)]
        owners = [
            each for each in routes if isinstance(each.route, GraphRoute) and each.route == GraphRoute(account=account, mailbox="sender")
        ]
    return min((each.name for each in owners), default="")


def _usage(parts: Parts, server: OutgoingServer, lane: LaneName) -> list[Usage]:
    """Of the limits of a day; shorter ones pass while one looks."""
    found = used(parts.store, server, lane, utc_now())
    return [
        Usage(f"recipients of {lane} in 24 hours", count, window.amount)
        for window, count in found
        if window.unit is Unit.RECIPIENTS and window.span >= timedelta(hours=1)
    ]


def users_of(directory: Directory, server: OutgoingServer) -> tuple[str, ...]:
    """The applications one of whose senders may leave by this server; those that may send as anybody may use each."""
    return tuple(sorted(each.name for each in directory.applications.values() if each.active and _may_use(each.senders, server)))


def _may_use(senders: tuple[str, ...], server: OutgoingServer) -> bool:
    if "*" in senders or not server.from_filter:
        return True
    parts = [each.strip().lstrip("@").lower() for each in server.from_filter]
    whole = [each for each in parts if "@" in each]
    domains = [each for each in parts if "@" not in each]
    named = [each.strip().lstrip("@").lower() for each in senders]
    return any(allowed(senders, each) for each in whole) or any((domain_of(each) if "@" in each else each) in domains for each in named)


# ---- by Graph


async def _by_graph(parts: Parts, server: OutgoingServer, route: GraphRoute) -> dict[str, object]:
    account = parts.directory().accounts.get(route.account)
    if account is None:
        return {"of_account": f"there is no account {route.account!r}"}
    wanted = mailboxes_of(parts.directory(), server, route, account)
    try:
        if not wanted:
            await parts.vault.token(account.name, resource=first_resource(account))
            told = "each sender's own mailbox is used, and no sender is named; ask about one with: mailroom doctor send-as ADDRESS"
            return {"host": host_of(account), "unnamed": told if route.mailbox == "sender" else ""}
        asked = await rights_in(parts, account, wanted)
    except VaultError:
        return {"host": host_of(account), "of_account": f"its account {account.name} can't sign in"}
    return {"host": host_of(account), "mailboxes": tuple(asked.items())}


def mailboxes_of(directory: Directory, server: OutgoingServer, route: GraphRoute, account: Account) -> list[str]:
    """Those that it sends from and that the account is not asked about anyway."""
    if route.mailbox == "sender":
        domains = [each for each in directory.alias_domains.values() if not server.from_filter or each.name in server.from_filter]
        named = [each for each in server.from_filter if "@" in each.strip("@")]
        wanted = [*named, *(notification_address(each) for each in domains)]
    else:
        wanted = [route.mailbox]
    asked = account.mailbox or mailbox_of_server(directory, account.name)
    found = dict.fromkeys(each.lower() for each in wanted if is_deliverable(each) and each.lower() != asked.lower())
    return list(found)[:MOST_MAILBOXES]


async def rights_in(parts: Parts, account: Account, mailboxes: Iterable[str]) -> Mapping[str, Rights]:
    """What may be done in each of these. Raises VaultError."""
    scope = (await asyncio.to_thread(parts.vault.open, f"account:{account.name}") or {}).get("scope", "")
    found: dict[str, Rights] = {}
    async with client() as connection:
        http = Http(connection, lambda refused: parts.vault.token(account.name, refused=refused))
        for address in mailboxes:
            at = Mailbox.of(cloud_of(account).graph, "" if is_own(account, address) else address)
            found[address] = await arun(survey(at, scope), http, nothing)
    return found


# ---- by SMTP


async def _by_smtp(parts: Parts, server: OutgoingServer, route: SmarthostRoute) -> dict[str, object]:
    account = parts.directory().accounts.get(route.account) if route.account else None
    sender = sender_of(parts, server)
    steps: list[Step] = []
    opening = _opening(parts, server, route, account, lambda name, said, ok: steps.append(Step(name, said, ok)))
    found: dict[str, object] = {"host": opening.where, "sender": sender}
    trouble: Trouble | None = None
    failed = ""
    try:
        trouble, failed = await _knock(opening, sender, steps)
    except VaultError as problem:
        about_account = account is not None
        found |= {"of_account": f"its account {route.account} can't sign in: {problem}"} if about_account else {"missing": str(problem)}
    theirs = opening.certificate_ends
    ends = (Expiry(server.name, "certificate of the server", theirs, f"Tell whoever runs {route.host}", opening.where),) if theirs else ()
    return {**found, "steps": tuple(steps), "trouble": trouble, "failed": failed, "theirs": ends}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a mail server said to an envelope sender."""

    reply: Reply | None
    trouble: str = ""
    """Why it could not be asked."""


async def asked_by_smtp(parts: Parts, server: OutgoingServer, route: SmarthostRoute, sender: str) -> Asked:
    """Raises VaultError."""
    account = parts.directory().accounts.get(route.account) if route.account else None
    steps: list[Step] = []
    replies: list[Reply] = []
    opening = _opening(parts, server, route, account, lambda name, said, ok: steps.append(Step(name, said, ok)))
    trouble, failed = await _knock(opening, sender, steps, replies.append)
    if failed != "sender" and trouble is not None:
        return Asked(None, f"{opening.where} does not let us in: {trouble.reply}")
    return Asked(replies[0] if replies else None)


def _opening(parts: Parts, server: OutgoingServer, route: SmarthostRoute, account: Account | None, tell: Tell) -> Opening:
    async def password() -> str:
        kept = await asyncio.to_thread(parts.vault.open, f"server:{server.name}")
        if kept is None:
            raise VaultError(f"enter the password of {route.user}")
        return kept["password"]

    return Opening(
        server.name,
        route,
        user=route.user or (account.mailbox if account else ""),
        helo=hostname(parts.settings),
        password=password if route.user and account is None else None,
        token=(lambda refused: parts.vault.token(account.name, resource=Resource.SMTP, refused=refused)) if account else None,
        patience=timedelta(seconds=PATIENCE),
        tell=tell,
    )


async def _knock(
    opening: Opening, sender: str, steps: list[Step], hear: Callable[[Reply], None] = lambda reply: None
) -> tuple[Trouble | None, str]:
    """What ended it, and at which step; `hear` is given the reply to the sender. Raises VaultError."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    try:
        wire = await opening.connect(deadline)
    except NoConnection as problem:
        return problem.outcome, problem.step
    try:
        if not is_deliverable(sender) or not sender.isascii():
            return None, ""
        answers = await wire.ask(f"MAIL FROM:<{sender}>\r\n".encode(), 1, deadline)
        if not answers:
            return None, ""
        hear(answers[0].reply())
        steps.append(Step("sender", str(answers[0].reply()), answers[0].yes))
        outcome = None if answers[0].yes else verdict(answers[0].reply(), Stage.MAIL)
        await wire.ask(b"RSET\r\n", 1, deadline)
        return outcome, "sender"
    finally:
        wire.quit()
