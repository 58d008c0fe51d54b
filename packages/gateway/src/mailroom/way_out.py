"""The way out, chosen when a mail comes in: by which server it leaves, in which lane, as whom, and why."""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.objects import AliasDomain, Application, Directory, GraphRoute, OutgoingServer, SmarthostRoute
from mailroom_core.errors import ConfigError, Refused
from mailroom_core.mime.headers import Fields, format_address
from mailroom_core.model import Kind, LaneName
from mailroom_core.policy import senders, servers
from mailroom_core.policy.addresses import domain_of, is_deliverable, normalize


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """By which server a mail leaves, as whom, and why."""

    server: OutgoingServer
    lane: LaneName
    kind: Kind
    header_from: str
    """The address that the recipient sees."""
    rewrite_from: str
    """The new From field, if it must change."""
    why: str


def choose(directory: Directory, application: Application, fields: Fields, header_from: str, wish: Kind | None = None) -> Plan:
    """The outgoing server for a mail. Raises Refused when none can carry it."""
    kind = kind_of(application, fields, wish)
    choice = explain(directory, application, header_from, kind).choice
    server = directory.servers[choice.server]
    rewrite = ""
    if choice.rewritten:
        name = next((name for name, _ in fields.addresses("from")), "")
        rewrite = format_address(name or header_from.partition("@")[0], choice.from_address)
    return Plan(
        server=server,
        lane=lane_of(directory, server, choice.from_address),
        kind=kind,
        header_from=choice.from_address,
        rewrite_from=rewrite,
        why=choice.why,
    )


def explain(directory: Directory, application: Application, header_from: str, kind: Kind) -> servers.Explanation:
    """Who would send a mail from this address, and by which rules. Raises Refused when nobody would."""
    candidates = usable(directory, kind)
    domain = _our_domain(directory, application, header_from)
    return servers.explain(
        [servers.Candidate(name=s.name, priority=s.priority, from_filter=s.from_filter) for s in candidates],
        header_from=header_from,
        notification=notification_address(domain),
        always=bool(domain and "@" in domain.default_from),
    )


def usable(directory: Directory, kind: Kind) -> list[OutgoingServer]:
    """The servers that carry this kind of mail. Raises Refused if there is none."""
    found = [s for s in directory.servers.values() if s.active and (s.bulk if kind is Kind.BULK else s.transactional)]
    if not found:
        raise Refused(451, "4.3.5", "No outgoing server is set up here; the administrator has to add one", why="no active server")
    return found


def explained(directory: Directory, address: str, *, application: str = "", bulk: bool = False) -> servers.Explanation:
    """The same for people who ask; without an application, as one without an alias domain. Raises ConfigError, Refused."""
    if not is_deliverable(address):
        raise ConfigError(f"{address[:200]!r} is no address; write local@domain")
    known = directory.applications.get(application) if application else Application(name="anybody")
    if known is None:
        raise ConfigError(f"there is no application {application!r}")
    check_sender(known, address)
    return explain(directory, known, address, Kind.BULK if bulk else Kind.TRANSACTIONAL)


def lane_of(directory: Directory, server: OutgoingServer, header_from: str) -> LaneName:
    """What the provider's limits count: a mailbox for Graph, the server for the rest."""
    route = server.route
    if isinstance(route, GraphRoute):
        account = directory.accounts.get(route.account)
        mailbox = normalize(header_from) if route.mailbox == "sender" else route.mailbox or (account.mailbox if account else "")
        return LaneName(f"graph:{route.account}:{mailbox.lower()}")
    return LaneName(f"{'smarthost' if isinstance(route, SmarthostRoute) else 'sink'}:{server.name}")


def check_senders(application: Application, sender: str | None, header_from: str, fields: Fields) -> None:
    """MAIL FROM, header From and Sender, each against what the application may use; also when MAIL FROM is null."""
    used = [address for name in ("from", "sender") for _, address in fields.addresses(name)] or [header_from]
    for address in dict.fromkeys([sender, *used] if sender else used):
        check_sender(application, address)


def check_sender(application: Application, address: str) -> None:
    """Raises Refused if the application may not use this address."""
    if not senders.allowed(application.senders, address):
        text = f"{application.name} may not send as <{address}>; ask the administrator to allow this sender"
        raise Refused(553, "5.7.1", text)


def kind_of(application: Application, fields: Fields, wish: Kind | None) -> Kind:
    """Bulk if the application says so, or, unless somebody wishes otherwise, the mail does (RFC 2076 3.9, RFC 2369)."""
    if application.kind == "bulk":
        return Kind.BULK
    if wish is not None:
        return wish
    if (fields.get("precedence") or "").lower() in {"bulk", "list"} or "list-unsubscribe" in fields:
        return Kind.BULK
    return Kind.TRANSACTIONAL


def _our_domain(directory: Directory, application: Application, header_from: str) -> AliasDomain | None:
    return directory.alias_domains.get(domain_of(header_from)) or directory.alias_domains.get(application.alias_domain)


def notification_address(domain: AliasDomain | None) -> str:
    """The address that mail leaves with when no server carries its own sender; empty if there is none."""
    if domain is None or not domain.default_from:
        return ""
    return domain.default_from if "@" in domain.default_from else f"{domain.default_from}@{domain.name}"
