"""The way in: mailboxes that are read, who takes what came, and the addresses that lead there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mailroom.objects.sending import Security
from mailroom_core.model import After


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
    domains: tuple[str, ...] = ()
    """Other domains in which it is an address as well."""
    automatic: bool = False
    """Takes automatic answers and mailing lists as well, which else open nothing."""
    refusal: str = ""
    """What somebody is told who may not write to it; empty: our own words."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of what its mail opens; see `defaults.py`."""
    active: bool = True
