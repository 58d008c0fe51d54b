"""All objects together, and the words for their kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from mailroom.objects.accounts import Account
from mailroom.objects.programs import Token, Webhook
from mailroom.objects.receiving import (
    Alias,
    Destination,
    DoctorTarget,
    ForwardTarget,
    GraphInbox,
    ImapInbox,
    InboxTarget,
    IncomingServer,
    OdooTarget,
    PopInbox,
    Target,
    WebhookTarget,
)
from mailroom.objects.sending import AliasDomain, Application, GraphRoute, OutgoingServer, Route, SinkRoute, SmarthostRoute, Suppression

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
