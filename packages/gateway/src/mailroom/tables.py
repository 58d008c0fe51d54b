"""An object as a plain table, in the words of the users' world: what the object file and the HTTP API read and write.

A server's route is the table `graph`, `smarthost` or `sink`, an incoming server's mailbox `graph`, `imap` or `pop`. A name and what
a program makes (the hash of a credential) are no part of the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from enum import Enum
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from mailroom import defaults
from mailroom.hosts import address_of, is_here, is_near, is_nobodys
from mailroom.objects import (
    CHOICES,
    OUR_APPLICATIONS,
    Account,
    Alias,
    AliasDomain,
    Application,
    Destination,
    ForwardTarget,
    GrantType,
    GraphInbox,
    GraphRoute,
    ImapInbox,
    InboxTarget,
    IncomingServer,
    Object,
    OdooTarget,
    OutgoingServer,
    PopInbox,
    Provider,
    Security,
    SmarthostRoute,
    Webhook,
    WebhookEvent,
    WebhookTarget,
    chosen,
    object_kind,
)
from mailroom_core.errors import ConfigError
from mailroom_core.model import After, Kind
from mailroom_core.policy.addresses import is_deliverable
from mailroom_core.providers.graph.limits import MIME_LIMIT

KINDS: dict[str, type[Account | OutgoingServer | AliasDomain | Application | Destination | Alias | IncomingServer | Webhook]] = {
    "account": Account,
    "alias_domain": AliasDomain,
    "server": OutgoingServer,
    "application": Application,
    "webhook": Webhook,
    "destination": Destination,
    "alias": Alias,
    "incoming": IncomingServer,
}
NOT_IN_TABLE = {"name", "key"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MODEL = re.compile(r"[a-z_][a-z0-9_.]*")
_MOST = 2**53
"""Numbers beyond are not the same in every language."""


def read(kind: str, name: str, table: dict[str, Any], old: Object | None = None) -> Object:
    """The object of a table; what a sign-in has found out about `old` stays, unless the table says otherwise.

    Raises ConfigError, and pydantic's ValidationError for values of a wrong type.
    """
    if isinstance(old, Account) and isinstance(table, dict):
        table = {"read_write": old.read_write, **table}
    field_name, words = CHOICES.get(kind, ("", {}))
    values = {key: value for key, value in table.items() if key not in words}
    if words:
        given = [key for key in table if key in words]
        if len(given) != 1:
            raise ConfigError(f"needs one of the tables {', '.join(words)}; it has {len(given)}")
        values[field_name] = _made(words[given[0]], table[given[0]])
    made: Object = _made(KINDS[kind], values, name=name)
    check(made)
    return made


def check(item: Object) -> None:
    """Raises ConfigError for what has the right type and can't be meant."""
    if not getattr(item, "name", "its address").strip():
        raise ConfigError("needs a name")
    if mistakes := list(_mistakes(item)):
        raise ConfigError("; ".join(mistakes))


def _made(cls: type[Any], values: Any, **given: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{values!r} is no table")
    known = {field.name for field in fields(cls)} - NOT_IN_TABLE
    if unknown := set(values) - known:
        raise ConfigError(f"there is no setting {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return TypeAdapter(cls).validate_python({**values, **given})


def _mistakes(item: Any) -> Iterable[str]:
    for field in fields(item):
        value = getattr(item, field.name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, str) and _CONTROL.search(each):
                yield f"{field.name}: has a line end or another control character inside; remove it"
            if isinstance(each, int) and not -_MOST < each < _MOST:
                yield f"{field.name}: {each} is too large a number"
    match item:
        case Account():
            yield from _account(item)
            if item.external_recipients_per_day < 0:
                yield "external_recipients_per_day can't be negative; 0 is no limit of ours"
        case Application():
            yield from _application(item)
        case OutgoingServer():
            counts = (item.per_minute, item.recipients_per_day, item.max_size)
            if min(counts) < 0:
                yield "per_minute, recipients_per_day and max_size can't be negative; 0 is no limit of ours"
            yield from _mistakes(item.route)
        case SmarthostRoute():
            if not item.host:
                yield "host: name the server"
            elif any(each.isspace() or each in "/@" for each in item.host) or (":" in item.host and address_of(item.host) is None):
                yield f"host: {item.host!r} is none; write for example smtp.example.com, and its port beside it"
            elif is_nobodys(item.host):
                yield f"host: {_nobody(item.host)}"
            if not 0 < item.port < 65536:
                yield f"port: {item.port} is none; ports are 1 to 65535"
            if not 0 < item.connections <= 100:
                yield "connections: 1 to 100"
        case Webhook():
            yield from _webhook(item)
        case Alias():
            yield from _alias(item)
        case IncomingServer():
            yield from _mistakes(item.source)
            if len(item.name) > 60:
                yield "its name has at most 60 characters: Graph carries it in every notification"
            if item.name.startswith("reports of "):
                yield "its name begins as those of mailboxes that are read for reports alone do; call it otherwise"
            if item.every_minutes < 1:
                yield "every_minutes: 1 at least"
            if (item.after is After.MOVE) != bool(item.move_to):
                yield 'move_to names the folder for after = "move", and nothing else'
            if isinstance(item.source, PopInbox) and item.after not in (After.DELETE, After.NOTHING):
                yield f'after: POP3 has no {item.after.value}; write "delete", or "nothing" to leave mail there'
        case ImapInbox() | PopInbox():
            yield from _mail_server(item)
        case Destination():
            yield from _mistakes(item.target)
        case InboxTarget():
            for address in item.followers:
                if not is_deliverable(address):
                    yield f"followers: {address!r} is no address"
        case ForwardTarget():
            if not item.to:
                yield "to: name at least one address"
            for address in item.to:
                if not is_deliverable(address):
                    yield f"to: {address!r} is no address"
        case OdooTarget():
            yield from _odoo(item)
        case WebhookTarget():
            yield from _callable(item)
        case _:
            pass


def _account(item: Account) -> Iterable[str]:
    """A browser is sent to these addresses, and secrets are."""
    for name, value in (("login_url", item.login_url), ("graph_url", item.graph_url)):
        try:
            url = urlsplit(value)
            host, port = url.hostname or "", url.port
        except ValueError:
            url, host, port = urlsplit(""), "", 0
        if not value:
            continue
        if url.scheme not in ("https", "http") or not host or port == 0 or not value.isascii() or url.query or url.fragment or " " in value:
            yield f"{name}: {value!r} is none that can be called; write https://host, or leave it out"
        elif url.username is not None or url.password is not None:
            yield f"{name}: has a user or a password inside; leave them out"
        elif is_nobodys(host):
            yield f"{name}: {_nobody(host)}"
        elif url.scheme == "http" and not is_here(host):
            yield f"{name}: http:// shows secrets and tokens to everybody on the way; use https:// (http:// is for this machine alone)"


def _alias(item: Alias) -> Iterable[str]:
    if not is_deliverable(item.name):
        yield f"{item.name!r} is no address; an alias is called by its full address"
    for domain in item.domains:
        if "@" in domain or not is_deliverable(f"x@{domain}"):
            yield f"domains: {domain!r} is no domain; write for example example.org"
    if item.domains and item.any_domain:
        yield "domains: any_domain means every domain already; leave one of the two out"
    yield from defaults.mistakes(item.defaults)


def _nobody(host: str) -> str:
    return f"no server of yours is at {host}: it is link-local, or its cloud's own; name another host"


def _webhook(item: Webhook) -> Iterable[str]:
    yield from _callable(item)
    if not item.events:
        yield f"events: name at least one; there are {', '.join(event.value for event in WebhookEvent)}"


def _callable(item: Webhook | WebhookTarget) -> Iterable[str]:
    try:
        url = urlsplit(item.url)
        port = url.port
    except ValueError:
        yield f"url: {item.url!r} is none; write https://host/path"
        return
    if url.scheme not in ("https", "http") or not url.hostname or port == 0 or not item.url.isascii() or " " in item.url:
        yield f"url: {item.url!r} is none that can be called; write https://host/path"
    if url.username is not None or url.password is not None or url.fragment:
        yield "url: has a user, a password or a fragment inside; the signature shows who calls, so leave them out"


def _mail_server(item: ImapInbox | PopInbox) -> Iterable[str]:
    if not item.host.strip() or "/" in item.host or " " in item.host:
        yield f"host: {item.host!r} is none; write its name alone, for example mail.your.domain"
    elif is_nobodys(item.host):
        yield f"host: {_nobody(item.host)}"
    if not 0 < item.port < 65536:
        yield f"port: {item.port} is none; ports are 1 to 65535"
    if not (item.user or item.account):
        yield "user: say who signs in, with a user or with an account"
    if item.security is Security.NONE and not is_near(item.host):
        yield 'security: "none" shows password and mail to all on the way; write "tls" or "starttls" ("none" is for private addresses)'
    if isinstance(item, ImapInbox) and not item.folder.strip():
        yield "folder: name one, for example INBOX"


def _odoo(item: OdooTarget) -> Iterable[str]:
    try:
        url = urlsplit(item.url)
        host, port = url.hostname or "", url.port
    except ValueError:
        host, port, url = "", 0, urlsplit("")
    if (
        url.scheme not in ("https", "http")
        or not host
        or port == 0
        or not item.url.isascii()
        or url.path.strip("/")
        or url.query
        or url.fragment
    ):
        yield f"url: {item.url!r} is none of an Odoo; write https://odoo.your.domain, without a path"
    elif url.username is not None or url.password is not None:
        yield "url: has a user or a password inside; name the user in `user`, and give the key with: mailroom destination key"
    elif is_nobodys(host):
        yield f"url: {_nobody(host)}"
    elif url.scheme == "http" and not is_near(host):
        yield "url: http:// shows key and mail to everybody on the way; use https:// (http:// is for private addresses)"
    for name in ("database", "user"):
        if not getattr(item, name).strip():
            yield f"{name}: is empty"
    if item.model and not _MODEL.fullmatch(item.model):
        yield f"model: {item.model!r} is no name of a model; write for example crm.lead"


def _application(item: Application) -> Iterable[str]:
    if item.name in OUR_APPLICATIONS or item.name.startswith("forward:"):
        yield f"the name {item.name!r} is that of mail which Mailroom writes itself: answers to it would be taken for loops; take another"
    for network in item.networks:
        try:
            ip_network(network, strict=False)
        except ValueError:
            yield f'networks: {network!r} is no network; write for example "192.168.1.0/24" or "10.0.0.7"'
    for sender in item.senders:
        if sender != "*" and not is_deliverable(sender if "@" in sender.lstrip("@") else f"x@{sender.strip().lstrip('@')}"):
            yield f"senders: {sender!r} is no address, no domain and not *"
    if item.kind not in (kind.value for kind in Kind):
        yield f"kind: {item.kind!r} is none; write transactional or bulk"
    if item.per_minute < 0 or item.max_size < 0:
        yield "per_minute and max_size can't be negative"


def write(item: Object) -> dict[str, Any]:
    """The table of an object, with what differs from the default."""
    field_name, word = chosen(object_kind(item), item)
    return {word if key == field_name else key: _changed(value) if key == field_name else value for key, value in _changed(item).items()}


def _changed(item: Any) -> dict[str, Any]:
    values = {field: getattr(item, field.name) for field in fields(item) if field.name not in NOT_IN_TABLE}
    return {field.name: plain(value) for field, value in values.items() if value != default_of(field)}


def default_of(field: Field[Any]) -> Any:
    """MISSING if it has none."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def plain(value: Any) -> Any:
    """A value as JSON and TOML have it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def dangling(objects: Iterable[Object]) -> list[str]:
    """Names that point nowhere, and servers that want more of their account than it has: a mailbox to send from, large mail."""
    objects = list(objects)
    accounts = {item.name: item for item in objects if isinstance(item, Account)}
    domains = {item.name for item in objects if isinstance(item, AliasDomain)}
    applications = {item.name for item in objects if isinstance(item, Application)}
    destinations = {item.name: item for item in objects if isinstance(item, Destination)}
    found = []
    for item in objects:
        if isinstance(item, OutgoingServer) and isinstance(item.route, GraphRoute | SmarthostRoute):
            account = item.route.account
            if account not in accounts and (account or isinstance(item.route, GraphRoute)):
                found.append(f"server {item.name!r} names the account {account!r}, which does not exist; add [account.{account or 'NAME'}]")
            known = accounts.get(account)
            if isinstance(item.route, GraphRoute) and known is not None and known.provider is Provider.GOOGLE:
                found.append(f"server {item.name!r} can't go by Graph: the account {account!r} is Google's; give it a smarthost route")
            if isinstance(item.route, GraphRoute) and not item.route.mailbox and _is_nobody(accounts.get(account)):
                found.append(
                    f"server {item.name!r} has no mailbox to send from: the account {account!r} is app-only; "
                    f"give one of them a mailbox, or the server the mailbox `sender`"
                )
            if isinstance(item.route, GraphRoute) and item.max_size > MIME_LIMIT and _only_sends(accounts.get(account)):
                found.append(
                    f"server {item.name!r} has max_size {item.max_size}, and its account {account!r} may only send: that carries at most "
                    f"{MIME_LIMIT} bytes; leave max_size out, or run: mailroom connect {account} --read-write"
                )
        if isinstance(item, Application) and item.alias_domain and item.alias_domain not in domains:
            found.append(f"application {item.name!r} names the alias domain {item.alias_domain!r}, which does not exist")
        if isinstance(item, Webhook) and item.application and item.application not in applications:
            found.append(f"webhook {item.name!r} names the application {item.application!r}, which does not exist")
        found += _dangling_in(item, accounts, destinations)
    return found


def _dangling_in(item: Object, accounts: Mapping[str, Account], destinations: Mapping[str, Destination]) -> Iterable[str]:
    """The same for the way in."""
    match item:
        case IncomingServer():
            kind, wanted = "incoming server", item.destination
            account = accounts.get(item.source.account)
            graph = isinstance(item.source, GraphInbox)
            named = item.source.mailbox if isinstance(item.source, GraphInbox) else item.source.user
            if account is None and (graph or item.source.account):
                yield f"{kind} {item.name!r} names the account {item.source.account!r}, which does not exist"
            elif account is not None and graph and account.provider is Provider.GOOGLE:
                yield f"{kind} {item.name!r} can't read by Graph: the account {account.name!r} is Google's; give it an imap table"
            elif account is not None and not named and _is_nobody(account):
                field = "mailbox" if graph else "user"
                yield f"{kind} {item.name!r} has no mailbox to read: the account {account.name!r} is app-only; give the server a {field}"
        case Alias():
            kind, wanted = "alias", item.destination
            if wanted in destinations and (why := defaults.useless(item, destinations[wanted])):
                yield f"alias {item.name!r} has default values, {why}"
        case Application():
            kind, wanted = "application", item.answers
        case _:
            return
    if wanted and wanted not in destinations:
        yield f"{kind} {item.name!r} names the destination {wanted!r}, which does not exist; add [destination.{wanted}]"


def _is_nobody(account: Account | None) -> bool:
    return account is not None and account.grant is GrantType.APPLICATION and not account.mailbox


def _only_sends(account: Account | None) -> bool:
    return account is not None and not account.read_write
