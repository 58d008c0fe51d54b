"""What people configure, in the words of their world. Plain values; they live in the store as JSON documents.

`mailroom apply FILE.toml` makes the store match a file; `objectfile.py` reads and checks it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from mailroom_core.model import After

MiB = 1024 * 1024


class Provider(Enum):
    MICROSOFT = "microsoft"
    GOOGLE = "google"
    """By its SMTP server, with XOAUTH2."""


class GrantType(Enum):
    """How we came to our rights."""

    DELEGATED = "delegated"
    """A person signed in (authorization code with PKCE); we act for them."""
    APPLICATION = "application"
    """App-only (client credentials); an administrator consented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An identity that we hold a grant for. Its secrets lie in the vault under its name, never here."""

    name: str
    provider: Provider = Provider.MICROSOFT
    grant: GrantType = GrantType.DELEGATED
    mailbox: str = ""
    """The address of the mailbox that signs in; empty for app-only until a server names one."""
    tenant: str = "common"
    client_id: str = ""
    cloud: str = "global"
    login_url: str = ""
    """Only for other hosts than the provider's own, such as the emulator."""
    graph_url: str = ""
    read_write: bool = True
    """Ask for Mail.ReadWrite: drafts, large attachments, and looking before sending again."""
    read: bool = False
    """Without it, ask for Mail.Read: mail can be fetched, and stays as it is in its mailbox."""
    shared: bool = True
    """Ask for the .Shared permissions as well (work and school accounts only)."""
    smtp: bool = False
    """Ask for SMTP.Send as well, for a smarthost that signs in with this account."""
    imap: bool = False
    """Ask for IMAP.AccessAsUser.All as well, for an incoming server that signs in with this account."""
    pop: bool = False
    """The same with POP.AccessAsUser.All."""
    external_recipients_per_day: int = 0
    """Recipients outside our own domains that all accounts of the tenant may have in any 24 hours; 0 is no limit of ours."""

    @property
    def place(self) -> tuple[object, ...]:
        """Where its secrets are shown, and as which app."""
        return (self.provider, self.cloud, self.login_url, self.graph_url, self.client_id)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInbox:
    """A mailbox at Microsoft 365, read by Graph."""

    account: str
    mailbox: str = ""
    """Empty: the account's own."""
    folder: str = "inbox"
    """A well-known name, or a path such as `Inbox/Invoices`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapInbox:
    """A folder of a mailbox, read by IMAP."""

    host: str
    port: int = 993
    security: Security = Security.TLS
    user: str = ""
    """Its password lies in the vault as `incoming:<name>`. With an account: another mailbox that this one may open."""
    account: str = ""
    """With an account, XOAUTH2 with its token."""
    folder: str = "INBOX"
    """A name, or a path such as `INBOX/Invoices`."""
    idle: bool = True
    """Wait at the mailbox (RFC 2177), so that mail is taken as soon as it comes."""
    ca_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PopInbox:
    """A mailbox, read by POP3."""

    host: str
    port: int = 995
    security: Security = Security.TLS
    user: str = ""
    """As for IMAP."""
    account: str = ""
    ca_file: str = ""


Inbox = GraphInbox | ImapInbox | PopInbox


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingServer:
    """Where mail is fetched."""

    name: str
    source: Inbox
    after: After = After.READ
    """What becomes of a mail there when it is safe here; `nothing` where the account may only read."""
    move_to: str = ""
    """The folder for `move`."""
    destination: str = ""
    """Takes what no alias wants; empty: it waits in quarantine."""
    every_minutes: int = 5
    authserv_id: str = ""
    """The name under which this mailbox's server writes Authentication-Results; empty: nobody counts as authenticated."""
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxTarget:
    """The built-in inbox: conversations in the console."""

    followers: tuple[str, ...] = ()
    """Addresses that get a copy of every mail of a conversation."""


class OdooApi(Enum):
    """By which of its interfaces an Odoo is called."""

    JSON2 = "json-2"
    """Odoo 19 and later, with an API key."""
    XML_RPC = "xml-rpc"
    """Odoo 14 and later, with an API key or the user's password."""
    ADD_ON = "add-on"
    """Odoo 19 with the add-on `microsoft_graph_mail`, which says what became of a mail; with its own key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OdooTarget:
    """An Odoo. Its key lies in the vault as `destination:<name>`, the add-on's as `add-on:<name>`."""

    url: str
    """Without a path; `http://` only within one machine or network."""
    database: str
    user: str
    """The login of an administrator."""
    api: OdooApi = OdooApi.JSON2
    model: str = ""
    """Takes what no alias of Odoo wants, such as `crm.lead`; empty: that waits in quarantine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTarget:
    """A program that gets each mail as JSON. Its secret lies in the vault as `destination:<name>`."""

    url: str
    """`https://...`; `http://...` only within `webhooks.private_networks`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardTarget:
    """Other addresses, by mail."""

    to: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorTarget:
    """The doctor: reads DMARC reports, and takes other mail apart."""


Target = InboxTarget | OdooTarget | WebhookTarget | ForwardTarget | DoctorTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Who takes mail that has come in."""

    name: str
    target: Target
    active: bool = True


class Writers(Enum):
    """Who may write to an alias."""

    EVERYONE = "everyone"
    KNOWN = "known"
    """Those whom we have written to."""
    FOLLOWERS = "followers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """An address of ours whose mail goes to a destination."""

    name: str
    """The full address."""
    destination: str
    writers: Writers = Writers.EVERYONE
    authenticated: bool = False
    """Only mail whose sender is proven."""
    any_domain: bool = False
    """The local part alone decides."""
    refusal: str = ""
    """What somebody is told who may not write to it; empty: our own words."""
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """An address that gets nothing more from us."""

    address: str
    reason: str
    source: str = "person"


class Scope(Enum):
    """What a token may be used for."""

    SEND = "messages:send"
    READ = "messages:read"
    ACT = "messages:act"
    OBJECTS_READ = "objects:read"
    OBJECTS_WRITE = "objects:write"
    CONVERSATIONS_READ = "conversations:read"
    CONVERSATIONS_WRITE = "conversations:write"
    """Notes, answers, stage and assignee."""
    INBOUND_WRITE = "inbound:write"
    """Hand over mail that has come for us elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A right to use the HTTP API."""

    name: str
    key: str
    """Keyed SHA-256 of the token, hexadecimal."""
    scopes: tuple[Scope, ...]
    application: str = ""
    """Sends as this one, and sees and touches its mail alone; empty: all mail."""
    expires_at: datetime | None = None
    per_minute: int = 6000
    """Requests; 0 is no limit."""


class Role(Enum):
    """What a person may do in the console; each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    """Acts on mail: retry, cancel, hold."""
    ADMIN = "admin"
    """Changes accounts, servers, applications and people."""

    def covers(self, other: Role) -> bool:
        """Whether this one may do what the other may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)


class WebhookEvent(Enum):
    """What a webhook may want to hear of."""

    ACCEPTED = "accepted"
    SENT = "sent"
    DEFERRED = "deferred"
    HELD = "held"
    FAILED = "failed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    ACCOUNT_NEEDS_ATTENTION = "account.needs_attention"
    DOCTOR_CHANGED = "doctor.changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A program that is told what happens. Its secret lies in the vault as `webhook:<name>`."""

    name: str
    url: str
    """`https://...`; `http://...` only within `webhooks.private_networks`."""
    events: tuple[WebhookEvent, ...] = tuple(WebhookEvent)
    application: str = ""
    """Only about this one's mail, and then nothing about accounts; empty: everything."""
    active: bool = True
    """Nothing is kept for one that is not, and what waits for it stays."""


Object = Account | OutgoingServer | AliasDomain | Application | Destination | Alias | IncomingServer | Suppression | Token | Webhook

OBJECT_KINDS: dict[str, type[Object]] = {
    "account": Account,
    "server": OutgoingServer,
    "alias_domain": AliasDomain,
    "application": Application,
    "destination": Destination,
    "alias": Alias,
    "incoming": IncomingServer,
    "suppression": Suppression,
    "token": Token,
    "webhook": Webhook,
}

ROUTES: dict[str, type[Route]] = {"graph": GraphRoute, "smarthost": SmarthostRoute, "sink": SinkRoute}

TARGETS: dict[str, type[Target]] = {
    "inbox": InboxTarget,
    "odoo": OdooTarget,
    "webhook": WebhookTarget,
    "forward": ForwardTarget,
    "doctor": DoctorTarget,
}

CHOICES: dict[str, tuple[str, dict[str, type]]] = {
    "server": ("route", dict(ROUTES)),
    "incoming": ("source", {"graph": GraphInbox, "imap": ImapInbox, "pop": PopInbox}),
    "destination": ("target", dict(TARGETS)),
}
"""Kinds of objects with a field that is one of several kinds of thing: the field, and the word for each."""


def chosen(kind: str, thing: Object) -> tuple[str, str]:
    """The field of a kind that is a choice, and the word for what was chosen; both empty for a kind without."""
    field_name, words = CHOICES.get(kind, ("", {}))
    return field_name, next((word for word, of in words.items() if isinstance(getattr(thing, field_name), of)), "")


def object_kind(thing: Object) -> str:
    """What kind of thing it is, as the store, the object file and the console say it."""
    return next(kind for kind, of in OBJECT_KINDS.items() if isinstance(thing, of))


@dataclass(frozen=True, slots=True)
class Directory:
    """All objects of one moment. `version` grows with every change; an unchanged version needs no second look."""

    version: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    servers: dict[str, OutgoingServer] = field(default_factory=dict)
    alias_domains: dict[str, AliasDomain] = field(default_factory=dict)
    applications: dict[str, Application] = field(default_factory=dict)
    destinations: dict[str, Destination] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    incoming: dict[str, IncomingServer] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    webhooks: dict[str, Webhook] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long what is done stays: its bytes, then its story; and who has changed what."""

    raw: timedelta = timedelta(days=7)
    rows: timedelta = timedelta(days=90)
    audit: timedelta = timedelta(days=365)
