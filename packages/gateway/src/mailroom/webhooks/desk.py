"""What people and programs do with webhooks: the same for the command line, the API and the console."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from mailroom.notices import NoticeId, Notices, NoticeStory
from mailroom.objects import Webhook
from mailroom.ports import Clock, Store
from mailroom.transports.guarded import Caller, NotAllowed
from mailroom.webhooks import calling, signing
from mailroom_core.errors import ConfigError
from mailroom_core.model import read_id, show_id


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
        return kept["secret"]

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
