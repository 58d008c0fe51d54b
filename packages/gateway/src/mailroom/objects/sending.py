"""The way out: outgoing servers with their routes, alias domains, applications, suppressed addresses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MiB = 1024 * 1024


class OnUnsure(Enum):
    """What becomes of a mail when nobody knows whether it was sent, and the provider can't be asked."""

    HOLD = "hold"
    RETRY = "retry"


class Security(Enum):
    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRoute:
    account: str
    mailbox: str = ""
    """Whose Drafts and Sent Items are used: an address, `sender` for each sender's own, empty for the account's."""
    on_unsure: OnUnsure = OnUnsure.HOLD
    reports: bool = True
    """Look in the mailbox that sends for reports about our mail, where the account may read it."""


class Verp(Enum):
    """Whether each delivery leaves with an envelope sender of its own, so that its bounce names it."""

    AUTO = "auto"
    """Where an incoming server reads the mailbox of the bounce address."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmarthostRoute:
    host: str
    port: int = 587
    security: Security = Security.STARTTLS
    user: str = ""
    """With a user, the password lies in the vault as `server:<name>`."""
    account: str = ""
    """With an account, XOAUTH2 with its token."""
    client_certificate: str = ""
    client_key: str = ""
    ca_file: str = ""
    connections: int = 8
    helo: str = ""
    verp: Verp = Verp.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkRoute:
    """Takes everything and delivers nothing: for trying out and for measuring."""

    directory: str = ""
    """With a directory, each mail is written there as `<id>.eml`."""


Route = GraphRoute | SmarthostRoute | SinkRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingServer:
    name: str
    priority: int = 10
    from_filter: tuple[str, ...] = ()
    """Full addresses and domains; empty matches every sender."""
    route: Route
    bulk: bool = True
    """May carry bulk mail."""
    transactional: bool = True
    active: bool = True
    per_minute: int = 0
    """Mails per minute; 0 is no limit of ours."""
    recipients_per_day: int = 0
    """0 means the provider's own: 10,000 for a Graph mailbox."""
    max_size: int = 0
    """Bytes of the encoded message; 0 means what the route can carry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasDomain:
    """A domain of ours; one per company."""

    name: str
    company: str = ""
    default_from: str = "notifications"
    """A local part, or a full address: then all mail uses it."""
    bounce: str = "bounce"
    catchall: str = "catchall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Who may submit, from which network or certificate, as which senders."""

    name: str
    key: str = ""
    """Keyed SHA-256 of the generated credential, hexadecimal; empty: no credential."""
    networks: tuple[str, ...] = ()
    """Networks (CIDR) that need no credential."""
    certificates: tuple[str, ...] = ()
    """SHA-256 fingerprints (hexadecimal) of TLS client certificates that need no credential."""
    senders: tuple[str, ...] = ("*",)
    """Addresses, domains, or `*`: checked against MAIL FROM, header From and Sender."""
    alias_domain: str = ""
    """Its notification address serves senders whose domain is not ours."""
    kind: str = "transactional"
    answers: str = ""
    """The destination of answers to its mail; empty: as any other mail."""
    max_size: int = 150 * MiB
    per_minute: int = 0
    active: bool = True


OUR_APPLICATIONS = frozenset({"mailroom", "conversations", "followers", "answered", "once"})
"""What stands as the application of mail that we write ourselves, and beside applications where keys are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """An address that gets nothing more from us."""

    address: str
    reason: str
    source: str = "person"
