"""What people and programs do with webhooks: the same for the command line, the API and the console."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mailroom import tables
from mailroom.notices import Health, NoticeId, Notices, NoticeStory
from mailroom.objects import Destination, Webhook
from mailroom.ports import Clock, Store
from mailroom.transports.guarded import Caller, NotAllowed
from mailroom.webhooks import calling, signing
from mailroom_core.errors import ConfigError
from mailroom_core.model import read_id, show_id


def secret_of(destination: str) -> str:
    """The name of a destination's secret in the vault."""
    return f"destination:{destination}"


def condition(webhook: Webhook, health: Health) -> str:
    """How it is doing, in a word."""
    if not webhook.active:
        return "inactive"
    if health.paused_until:
        return "paused"
    return "failing" if health.failing_since else "fine"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDesk:
    """Blocking, but for `test`."""

    notices: Notices
    store: Store
    seal: Callable[[str, Mapping[str, str] | None], None]
    unseal: Callable[[str], Mapping[str, str] | None]
    caller: Caller
    ids: Callable[[], int]
    clock: Clock

    def read(self, name: str, table: Mapping[str, Any]) -> Webhook:
        """A webhook as people enter it. Raises ConfigError, and pydantic's ValidationError."""
        made = tables.read("webhook", name, dict(table))
        assert isinstance(made, Webhook)
        if made.application and made.application not in self.store.directory().applications:
            raise ConfigError(f"there is no application {made.application!r}; add it first, or leave it empty for all mail")
        self.check(made)
        return made

    def check(self, webhook: Webhook) -> None:
        """Raises ConfigError for a target that would never be called. A name is checked when it is called."""
        url = urlsplit(webhook.url)
        try:
            self.caller.policy.check_literal(url.hostname or "", encrypted=url.scheme == "https")
        except NotAllowed as problem:
            raise ConfigError(f"url: {problem}") from None

    def rotate(self, webhook: Webhook, *, by: str) -> str:
        """A new secret, to be shown this once. One of before is good for another day, and no longer than that."""
        name = signing.secret_of(webhook.name)
        kept = signing.rotated(self.unseal(name), self.clock())
        self.seal(name, kept)
        self.store.apply([webhook], [], by=by)
        self.store.audit(by=by, what="new secret", kind="webhook", name=webhook.name)
        return kept["secret"]

    def rotate_of(self, destination: Destination, *, by: str) -> str:
        """The same for a destination that is a webhook."""
        name = secret_of(destination.name)
        kept = self.unseal(name)
        made = signing.rotated(kept if kept and "secret" in kept else None, self.clock())
        self.seal(name, made)
        self.store.apply([destination], [], by=by)
        self.store.audit(by=by, what="new secret", kind="destination", name=destination.name)
        return made["secret"]

    def has_secret(self, webhook: Webhook) -> bool:
        return self.unseal(signing.secret_of(webhook.name)) is not None

    def look_up(self, webhook: str, number: str) -> NoticeStory | None:
        """By the id that people see. None if there is none of this webhook."""
        try:
            wanted = read_id(number)
        except ValueError:
            return None
        found = self.notices.notice(NoticeId(wanted)) if wanted < 2**63 else None
        return found if found is not None and found.notice.webhook == webhook else None

    async def test(self, webhook: Webhook) -> calling.Called:
        """Call its target once, whether it is active or not, and say what came back."""
        secret = await asyncio.to_thread(self.unseal, signing.secret_of(webhook.name))
        return await calling.test(self.caller, webhook, secret, show_id(self.ids()), self.clock)
