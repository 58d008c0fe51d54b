"""Change notifications: subscriptions, and the POSTs that tell their owners (facts 3.9)."""

import asyncio
import json
import ssl
import urllib.error
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mailroom_emulator.mailbox import Change, Mailbox

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

Json = dict[str, Any]
LONGEST = timedelta(minutes=10_080)
SHORTEST = timedelta(minutes=45)
PER_MAILBOX = 1000
_HANDSHAKE_SECONDS = 10
_HANDSHAKE_FAILED = "Subscription validation request failed. Response must exactly match validationToken query parameter."
_ANSWER_SECONDS = 10
_RETRIES = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=2))
_ITEM = {"@odata.type": "#Microsoft.Graph.Message"}


@dataclass
class Subscription:
    """Who wants to know what; `folder` is None for the whole mailbox."""

    id: str
    client_id: str
    mailbox: str  # oid
    folder: str | None
    kinds: frozenset[str]
    resource: str
    url: str
    lifecycle_url: str | None
    client_state: str | None
    expires: datetime
    immutable: bool

    def wants(self, mailbox: Mailbox, change: Change) -> bool:
        same_folder = self.folder is None or self.folder == change.folder
        return self.mailbox == mailbox.account.oid and same_folder and change.kind in self.kinds


class Notifications:
    """All subscriptions, and what is on its way to their owners."""

    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator
        self._pending: dict[str, list[Json]] = defaultdict(list)
        self.all: dict[str, Subscription] = {}
        self.sent = 0
        self.failed = 0

    def add(self, subscription: Subscription) -> None:
        self.all[subscription.id] = subscription

    def of_mailbox(self, oid: str) -> int:
        return sum(1 for s in self.all.values() if s.mailbox == oid)

    def on_change(self, mailbox: Mailbox, change: Change) -> None:
        """Queue a notification for everyone who asked; those of one moment leave together."""
        now = self._emulator.clock.now()
        for subscription in list(self.all.values()):
            if subscription.expires <= now:
                del self.all[subscription.id]
            elif subscription.wants(mailbox, change):
                self._queue(subscription, change)

    def _queue(self, subscription: Subscription, change: Change) -> None:
        how = self._emulator.switches.notifications
        if how == "lost":
            return
        item_id = change.immutable_id if subscription.immutable else change.id
        path = f"Users/{subscription.mailbox}/Messages/{item_id}"
        note = self._envelope(subscription) | {
            "changeType": change.kind,
            "resource": path,
            "resourceData": {**_ITEM, "@odata.id": path, "@odata.etag": f'W/"{change.number}"', "id": item_id},
        }
        self._enqueue(subscription.url, [note] * (2 if how == "repeated" else 1))

    def _enqueue(self, url: str, notes: list[Json]) -> None:
        if url not in self._pending:
            asyncio.get_running_loop().call_soon(self._flush, url)
        self._pending[url].extend(notes)

    def lifecycle(self, subscription: Subscription, event: str) -> None:
        """Tell about the subscription itself: reauthorizationRequired, subscriptionRemoved, missed."""
        if event == "subscriptionRemoved":
            self.all.pop(subscription.id, None)
        if subscription.lifecycle_url is not None:
            note = self._envelope(subscription) | {"lifecycleEvent": event}
            self._enqueue(subscription.lifecycle_url, [note])

    def _envelope(self, subscription: Subscription) -> Json:
        return {
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": subscription.expires.isoformat(),
            "clientState": subscription.client_state,
            "tenantId": self._emulator.tenant.id,
        }

    def _flush(self, url: str) -> None:
        notes = self._pending.pop(url, [])
        if notes:
            self._emulator.spawn(self._deliver(url, json.dumps({"value": notes}).encode(), iter(_RETRIES)))

    async def _deliver(self, url: str, body: bytes, retries: Iterator[timedelta]) -> None:
        """POST until it is accepted; after four hours the notification is lost."""
        status, _ = await asyncio.to_thread(_post, url, body, "application/json", _ANSWER_SECONDS)
        if 200 <= status < 300:
            self.sent += 1
            return
        self.failed += 1
        wait = next(retries, None)
        if wait is not None:
            self._emulator.agenda.later(wait, lambda: self._emulator.spawn(self._deliver(url, body, retries)))


async def shakes_hands(url: str) -> str | None:
    """The handshake of a new subscription: None when the endpoint echoes the token, else what went wrong."""
    token = f"Validation: Testing client application reachability for subscription {uuid.uuid4()} + 1"
    mark = "&" if "?" in url else "?"
    target = f"{url}{mark}validationToken={quote(token)}"
    status, text = await asyncio.to_thread(_post, target, b"", "text/plain; charset=utf-8", _HANDSHAKE_SECONDS)
    if status == 0:
        return "Subscription validation request timed out."
    if status != 200 or text != token:
        return f"{_HANDSHAKE_FAILED} HTTP status code is '{status}'."
    return None


def _post(url: str, body: bytes, content_type: str, seconds: float) -> tuple[int, str]:
    """Status and text of the answer; status 0 when there was none. Any certificate will do: this is a test tool."""
    context = ssl._create_unverified_context() if url.startswith("https:") else None  # noqa: S323
    request = urllib.request.Request(url, body, {"Content-Type": content_type}, method="POST")  # noqa: S310 - checked on creation
    try:
        with urllib.request.urlopen(request, timeout=seconds, context=context) as answer:  # noqa: S310
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, ""
    except (OSError, ValueError):
        return 0, ""
