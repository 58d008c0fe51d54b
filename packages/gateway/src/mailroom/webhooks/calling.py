"""One call of a target, signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailroom.notices import Try
from mailroom.objects import Webhook
from mailroom.ports import Clock
from mailroom.transports.guarded import Caller, NoAnswer, NotAllowed, Target, words
from mailroom.webhooks import signing
from mailroom.webhooks.bodies import TestData, TestEvent
from mailroom_core.flow import Response

AGENT = "Mailroom"


@dataclass(frozen=True, slots=True)
class Called:
    """What came of it. Without an answer, `tried` says why."""

    tried: Try
    answer: Response | None = None


async def call(target: Target, secret: Mapping[str, str] | None, number: str, body: bytes, clock: Clock) -> Called:
    """Raises nothing that concerns the target: that is what came of it."""
    began = clock()

    def said(status: int, text: str) -> Try:
        return Try(began, clock() - began, status, text)

    if secret is None:
        return Called(said(0, "not called: it has no secret to sign with; run: mailroom webhook rotate"))
    headers = {"Content-Type": "application/json", "User-Agent": AGENT, "Accept-Encoding": "identity"}
    headers |= signing.headers(secret, number, body, began)
    try:
        answer = await target.post(headers, body)
    except NotAllowed as problem:
        return Called(said(0, f"not called: {problem}"))
    except NoAnswer as problem:
        return Called(said(0, str(problem)))
    if 300 <= answer.status < 400:
        return Called(said(answer.status, "it redirects to another address, which is not followed; enter that one as its URL"), answer)
    return Called(said(answer.status, words(answer.body)), answer)


async def test(caller: Caller, webhook: Webhook, secret: Mapping[str, str] | None, number: str, clock: Clock) -> Called:
    """Send something that stands for nothing, once."""
    body = TestEvent(timestamp=clock(), data=TestData(webhook=webhook.name)).model_dump_json().encode()
    target = caller.target(webhook.url)
    try:
        return await call(target, secret, number, body, clock)
    finally:
        await target.close()


test.__test__ = False  # type: ignore[attr-defined]  # pytest looks for names that begin so
