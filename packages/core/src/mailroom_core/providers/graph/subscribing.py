"""Change notifications: Graph tells us that something has come, so that nobody has to ask all the time.

A notification is a hint and never the truth: some are late, some get lost. Microsoft Graph docs, concepts/
change-notifications-delivery-webhooks.md and change-notifications-lifecycle-events.md, read 2026-11-20.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import unquote

from mailroom_core.flow import Flow, NoResponse, Request, ask, json_object
from mailroom_core.model import NotThere, Trouble
from mailroom_core.providers.graph.errors import judge, no_answer
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.messages import is_success, unreadable

LIFE = timedelta(days=6)
"""Graph's own limit is a little under seven days."""
RENEW = timedelta(days=2)
"""A subscription is renewed when less than this is left of it."""


@dataclass(frozen=True, slots=True)
class Subscription:
    id: str
    until: datetime


def subscribe(mailbox: Mailbox, folder: str, *, url: str, client_state: str, now: datetime) -> Flow[Subscription | NotThere | Trouble]:
    """Ask to be told of what comes to a folder. Graph shakes hands at `url` meanwhile: it must be able to answer during this call.

    `client_state` has at most 128 characters and comes back with every notification. The resource is a name and no address: nothing in
    it is percent-encoded.
    """
    fields = {
        "changeType": "created",
        "notificationUrl": url,
        "lifecycleNotificationUrl": url,
        "resource": f"{unquote(mailbox.path)}/mailFolders('{folder}')/messages",
        "clientState": client_state,
    }
    return (yield from _asked("POST", f"{mailbox.base_url}/subscriptions", fields, now + LIFE))


def renew(mailbox: Mailbox, subscription: str, *, now: datetime) -> Flow[Subscription | NotThere | Trouble]:
    """NotThere: it has ended, and a new one is to be asked for."""
    return (yield from _asked("PATCH", f"{mailbox.base_url}/subscriptions/{subscription}", {}, now + LIFE))


def keep(
    mailbox: Mailbox, folder: str, subscription: str, *, url: str, client_state: str, now: datetime
) -> Flow[Subscription | NotThere | Trouble]:
    """Renew a subscription, or make one where there is none (any more). NotThere: the folder is gone."""
    found: Subscription | NotThere | Trouble = NotThere()
    if subscription:
        found = yield from renew(mailbox, subscription, now=now)
    if isinstance(found, NotThere):
        found = yield from subscribe(mailbox, folder, url=url, client_state=client_state, now=now)
    return found


def unsubscribe(mailbox: Mailbox, subscription: str) -> Flow[Trouble | None]:
    """Be told no more. One that has ended already is no trouble."""
    try:
        response = yield from ask(Request("DELETE", f"{mailbox.base_url}/subscriptions/{subscription}"))
    except NoResponse as problem:
        return no_answer(problem)
    return None if is_success(response) or response.status == 404 else judge(response)


def _asked(method: str, url: str, fields: dict[str, str], until: datetime) -> Flow[Subscription | NotThere | Trouble]:
    stamp = until.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = json.dumps({**fields, "expirationDateTime": stamp}).encode("ascii")
    headers = {"content-type": "application/json", "prefer": 'IdType="ImmutableId"'}
    try:
        response = yield from ask(Request(method, url, headers, body))
    except NoResponse as problem:
        return no_answer(problem)
    if response.status == 404:
        return NotThere()
    if not is_success(response):
        return judge(response)
    number = json_object(response).get("id")
    return Subscription(number, until) if isinstance(number, str) and number else unreadable(response)
