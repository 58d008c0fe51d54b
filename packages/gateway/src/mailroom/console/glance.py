"""Is mail leaving, and what needs a person: the store's numbers in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from mailroom.console.house import House
from mailroom.console.incoming import lines
from mailroom.intake.take import QUARANTINE
from mailroom.lanes import done_at, used
from mailroom.objects import Directory, GraphRoute, OutgoingServer, SinkRoute, SmarthostRoute
from mailroom.ports import LaneStatus
from mailroom.standing import budgets_of
from mailroom.vault.expiry import Expiry
from mailroom.way_out import lane_of
from mailroom_core.model import LaneName, State
from mailroom_core.policy.pace import Unit, Window

MANY = 10_000
"""Nobody needs to know how many more."""
UNHEARD = timedelta(minutes=10)
"""So long a target may fail before a person has to know: the gateway tries again by itself."""
LATE = timedelta(minutes=2)
"""So long after its time, mail that nobody works on is stuck."""
DAY = timedelta(days=1)
LIFETIMES = timedelta(days=6)
"""What failed in the last day was accepted within this time."""


class Tone(Enum):
    GOOD = "good"
    BUSY = "busy"
    WARN = "warn"
    BAD = "bad"
    QUIET = "quiet"


class Trouble(Enum):
    """What a notice is about; the template knows the button for it."""

    NO_SERVER = "no server"
    NO_APPLICATION = "no application"
    HELD_LANE = "held lane"
    STUCK = "stuck"
    ENDS = "ends"
    UNSURE = "unsure"
    HELD = "held"
    QUARANTINE = "quarantine"
    INCOMING = "incoming"
    FAILED = "failed"
    BOUNCED = "bounced"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that a person should act on."""

    trouble: Trouble
    tone: Tone
    title: str
    text: str
    lane: str = ""
    account: str = ""
    others: tuple[str, ...] = ()
    """Servers that its mail could go by instead."""
    webhook: str = ""
    incoming: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """One limit."""

    label: str
    used: int
    limit: int
    bytes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A lane, as people see it."""

    lane: LaneName
    title: str
    by: str
    health: str
    tone: Tone
    waiting: int
    due_at: datetime | None
    done_at: datetime | None
    bars: tuple[Bar, ...]


class Step(Enum):
    """What a new house does first, in this order; the template knows the words."""

    WAY_OUT = "way out"
    APPLICATION = "application"
    FIRST_MAIL = "first mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """The overview of one moment."""

    title: str
    text: str
    tone: Tone
    notices: tuple[Notice, ...]
    ways: tuple[Way, ...]
    steps: Mapping[Step, bool]
    """Which are done; none any more once a mail has left."""


def glance(house: House, ends: Sequence[Expiry] = ()) -> Glance:
    """`ends` is what ends by itself. Blocking."""
    now, directory = house.clock(), house.directory()
    lanes = house.store.lanes()
    ways = tuple(_ways(house, directory, lanes, now))
    mail = (*_missing(directory), *_lanes(house, directory, lanes, now), *_ending(ends, now), *_incoming(house, now), *_mail(house, now))
    notices = (*mail, *_webhooks(house, directory, now))
    steps = _steps(house, directory)
    title, text, tone = _headline(notices, ways, new=bool(steps))
    return Glance(title=title, text=text, tone=tone, notices=notices, ways=ways, steps=steps)


def _steps(house: House, directory: Directory) -> dict[Step, bool]:
    if house.store.how_many(State.SENT, limit=1):
        return {}
    return {
        Step.WAY_OUT: any(server.active for server in directory.servers.values()),
        Step.APPLICATION: any(application.active for application in directory.applications.values()),
        Step.FIRST_MAIL: False,
    }


def _headline(notices: tuple[Notice, ...], ways: tuple[Way, ...], *, new: bool) -> tuple[str, str, Tone]:
    """`new`: no mail has left yet."""
    troubles = {notice.trouble for notice in notices}
    waiting = sum(way.waiting for way in ways)
    if Trouble.NO_SERVER in troubles:
        return "There is no way out yet", "Every mail is refused until an outgoing server is there.", Tone.BAD
    if Trouble.STUCK in troubles:
        return "Mail is not leaving", "Something waits, and nothing delivers it.", Tone.BAD
    if Trouble.HELD_LANE in troubles:
        return "Some mail waits for you", "The rest goes on. Nothing is lost: it leaves as soon as you have acted.", Tone.WARN
    if waiting:
        return "Mail is leaving", f"{waiting:,} waiting.", Tone.GOOD
    if new:
        return "No mail has left yet", "Nothing waits; the way out is there.", Tone.GOOD
    return "Mail is leaving", "Nothing waits.", Tone.GOOD


def _webhooks(house: House, directory: Directory, now: datetime) -> Iterator[Notice]:
    for name, health in sorted(house.webhooks.notices.health().items() if directory.webhooks else ()):
        known = directory.webhooks.get(name)
        if known is None or not known.active or health.failing_since is None or now - health.failing_since < UNHEARD:
            continue
        yield Notice(
            trouble=Trouble.WEBHOOK,
            tone=Tone.WARN,
            title=f"The webhook {name} is not heard",
            text=f"Its target fails, and {health.waiting:,} notices wait. Mail is not delayed. Each is tried for about three days.",
            webhook=name,
        )


def _missing(directory: Directory) -> Iterator[Notice]:
    if not any(server.active for server in directory.servers.values()):
        yield Notice(
            trouble=Trouble.NO_SERVER,
            tone=Tone.BAD,
            title="No outgoing server",
            text="Connect a Microsoft 365 account, or name a server that takes mail and sends it on.",
        )
    if not any(application.active for application in directory.applications.values()):
        yield Notice(
            trouble=Trouble.NO_APPLICATION,
            tone=Tone.WARN,
            title="No application may hand in mail",
            text="Say which program sends, as which senders; it gets a user and a password, or is known by its network.",
        )


def _lanes(house: House, directory: Directory, lanes: list[LaneStatus], now: datetime) -> Iterator[Notice]:
    for lane in lanes:
        if lane.held:
            yield Notice(
                trouble=Trouble.HELD_LANE,
                tone=Tone.BAD,
                title=f"{title_of(lane.name)} waits" + (f", with {counted(lane.waiting)}" if lane.waiting else ""),
                text=lane.held[0].upper() + lane.held[1:],
                lane=lane.name,
                account=_account_of(directory, lane.name),
                others=_others(house, directory, lane),
            )
        elif lane.waiting and not lane.owned and lane.due_at is not None and now - lane.due_at > LATE:
            yield Notice(
                trouble=Trouble.STUCK,
                tone=Tone.BAD,
                title=f"Nothing delivers the mail of {title_of(lane.name)}",
                text="It has been due for minutes. Look at the log of the gateway: its delivering process may not be running.",
                lane=lane.name,
            )


def _others(house: House, directory: Directory, lane: LaneStatus) -> tuple[str, ...]:
    """Servers that its mail could go by; none for what came in."""
    if not lane.waiting or lane.name.startswith(QUARANTINE):
        return ()
    own = {each.name for each in house.servers_of(lane.name)}
    return tuple(sorted(name for name, each in directory.servers.items() if each.active and name not in own))


def _ending(ends: Sequence[Expiry], now: datetime) -> Iterator[Notice]:
    for each in ends:
        if each.is_soon(now):
            over = each.at <= now
            days = (each.at - now).days
            when = "has ended" if over else "ends today" if not days else "ends tomorrow" if days == 1 else f"ends in {days} days"
            tone = Tone.BAD if over else Tone.WARN
            title = f"The {each.what} of {each.owner} {when}"
            yield Notice(trouble=Trouble.ENDS, tone=tone, title=title, text=each.advice, account=each.owner)


def _incoming(house: House, now: datetime) -> Iterator[Notice]:
    """Mailboxes that can't be read. What passes by itself is not told at once."""
    for line in lines(house):
        lasting = line.failing_since is None or now - line.failing_since >= UNHEARD
        if line.trouble and (lasting or line.held):
            since = f" since {line.failing_since:%Y-%m-%d %H:%M} UTC" if line.failing_since else ""
            yield Notice(
                trouble=Trouble.INCOMING,
                tone=Tone.BAD,
                title=f"No mail is fetched by {line.server.name}{since}",
                text=f"{line.trouble[:1].upper()}{line.trouble[1:]}. Nothing is lost: mail stays in its mailbox.",
                incoming=line.server.name,
                account=account if (account := getattr(line.server.source, "account", "")) in house.directory().accounts else "",
            )


def _mail(house: House, now: datetime) -> Iterator[Notice]:
    store = house.store
    if unsure := store.how_many(State.UNSURE, limit=MANY):
        text = "The answer of the next hop got lost. Mailroom looks for them by itself, for some minutes; nothing is sent twice."
        yield Notice(trouble=Trouble.UNSURE, tone=Tone.WARN, title=f"{counted(unsure)}, nobody knows whether it was sent", text=text)
    if quarantined := store.how_many(State.HELD, came_in=True, limit=MANY):
        text = "It came in, and no rule or destination wanted it. It is kept, with the reason, until a person decides."
        yield Notice(trouble=Trouble.QUARANTINE, tone=Tone.WARN, title=f"{counted(quarantined)} in quarantine", text=text)
    if held := store.how_many(State.HELD, limit=MANY + quarantined) - quarantined:
        text = "Each says why. Send it again, or take it off this list when you have dealt with it."
        yield Notice(trouble=Trouble.HELD, tone=Tone.WARN, title=f"{counted(held)} held until a person decides", text=text)
    if failed := store.how_many(State.FAILED, accepted=now - LIFETIMES, changed=now - DAY, limit=MANY):
        text = "They were refused for good, or their time was over. Send them again when the cause is gone, or take them off this list."
        yield Notice(trouble=Trouble.FAILED, tone=Tone.WARN, title=f"{counted(failed)} failed in the last day", text=text)
    if bounced := store.how_many(State.BOUNCED, accepted=now - LIFETIMES, changed=now - DAY, limit=MANY):
        text = "The other side took them, and reported later that they did not arrive. Each says why: often the address is wrong."
        yield Notice(trouble=Trouble.BOUNCED, tone=Tone.WARN, title=f"{counted(bounced)} came back in the last day", text=text)


def counted(mails: int) -> str:
    """As people say it."""
    return "1 mail" if mails == 1 else f"{mails:,} mails" if mails < MANY else f"{MANY:,} mails or more"


def _ways(house: House, directory: Directory, lanes: list[LaneStatus], now: datetime) -> Iterator[Way]:
    for lane in lanes:
        servers = house.servers_of(lane.name)
        if servers or lane.waiting or lane.held:
            yield _way(house, servers, lane, now)
    known = {lane.name for lane in lanes}
    for server in directory.servers.values():
        of_senders = isinstance(server.route, GraphRoute) and server.route.mailbox == "sender"
        lane_name = lane_of(directory, server, "")
        if server.active and not of_senders and lane_name not in known:
            known.add(lane_name)
            yield _way(house, [server], LaneStatus(lane_name, 0, None, "", False), now)


def _way(house: House, servers: list[OutgoingServer], lane: LaneStatus, now: datetime) -> Way:
    server = servers[0] if servers else None
    done = done_at(house.store, server, lane.name, lane.waiting, now) if server and not lane.held else None
    health, tone = _health(lane, now)
    bars = [Bar(_label(window), taken, window.amount, window.unit is Unit.BYTES) for window, taken in _used(house, server, lane.name, now)]
    shared = [
        Bar("External recipients of the tenant in 24 hours", each.taken, each.limit, bytes=False)
        for each in budgets_of(house.store, house.directory(), servers)
    ]
    return Way(
        lane=lane.name,
        title=title_of(lane.name),
        by=", ".join(dict.fromkeys(_kind(each) for each in servers[:3])) or "No outgoing server uses this way any more",
        health=health,
        tone=tone,
        waiting=lane.waiting,
        due_at=lane.due_at if lane.waiting else None,
        done_at=done,
        bars=(*bars, *shared),
    )


def _used(house: House, server: OutgoingServer | None, lane: LaneName, now: datetime) -> list[tuple[Window, int]]:
    return used(house.store, server, lane, now) if server else []


def _health(lane: LaneStatus, now: datetime) -> tuple[str, Tone]:
    if lane.held:
        return "Waits for you", Tone.BAD
    if lane.waiting and lane.due_at is not None:
        if lane.due_at > now + timedelta(minutes=1):
            return "Pauses", Tone.WARN
        if not lane.owned and now - lane.due_at > LATE:
            return "Stuck", Tone.BAD
        return "Sending", Tone.BUSY
    return "Ready", Tone.GOOD


def title_of(lane: LaneName) -> str:
    """A lane in the words of people: the mailbox, or the server."""
    kind, _, rest = lane.partition(":")
    if kind == "graph":
        account, _, mailbox = rest.rpartition(":")
        return mailbox or account
    return rest


def _account_of(directory: Directory, lane: LaneName) -> str:
    kind, _, rest = lane.partition(":")
    account = rest.rpartition(":")[0]
    return account if kind == "graph" and account in directory.accounts else ""


def _kind(server: OutgoingServer) -> str:
    match server.route:
        case GraphRoute(account=account):
            return f"Microsoft 365, account {account}"
        case SmarthostRoute(host=host, port=port):
            return f"{host}:{port}"
        case SinkRoute():
            return "Delivers nothing, for trying out"


_UNITS = {Unit.RECIPIENTS: "Recipients", Unit.MESSAGES: "Mails", Unit.REQUESTS: "Requests", Unit.BYTES: "Upload"}


def _label(window: Window) -> str:
    if window.span >= DAY:
        return f"{_UNITS[window.unit]} in 24 hours"
    minutes = int(window.span.total_seconds() // 60)
    return f"{_UNITS[window.unit]} in a minute" if minutes == 1 else f"{_UNITS[window.unit]} in {minutes} minutes"
