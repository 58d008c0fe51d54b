"""What an account may really do in a mailbox: asked of Graph itself, because neither a scope nor an app-only token tells."""

from __future__ import annotations

from dataclasses import dataclass

from mailroom_core.flow import Flow, NoResponse, Request, ask, json_object
from mailroom_core.model import Held, Trouble
from mailroom_core.oauth.scopes import Tier, granted, tier_of
from mailroom_core.providers.graph.drafts import MIME, delete_draft
from mailroom_core.providers.graph.errors import judge, no_answer
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.marker import HEADER
from mailroom_core.providers.graph.messages import is_success, remote_of

_DRAFT = {
    "subject": "Mailroom checks its permissions; this draft may be deleted",
    "internetMessageHeaders": [{"name": HEADER, "value": "probe"}],
}


@dataclass(frozen=True, slots=True)
class Rights:
    """What was found out. `trouble` says what stands in the way of more; without an answer the tier is what the scope promises."""

    tier: Tier | None
    shared: bool
    """Permissions for mailboxes that others share were granted (delegated accounts)."""
    trouble: Trouble | None = None


def probe(mailbox: Mailbox, scope: str = "") -> Flow[Rights]:
    """Find out the tier in three round trips that send nothing. `scope` is that of the token response.

    A mail that can't be decoded is refused with 400 by who may send, and with 403 by who may not. A draft is created and deleted;
    being JSON, it also makes the marker's header known to the mailbox, which otherwise loses it from MIME (see `marker`).
    """
    shared = "mail.send.shared" in granted(scope)
    answer = yield from _try(mailbox.post("sendMail", body=b"*", content_type=MIME))
    if answer.trouble is not None and (answer.status != 400 or _closed(answer.trouble)):
        return Rights(None if _closed(answer.trouble) else tier_of(scope), shared, answer.trouble)
    answer = yield from _try(mailbox.post_json("messages", fields=_DRAFT))
    if answer.trouble is not None:
        return Rights(Tier.SEND if _closed(answer.trouble) else tier_of(scope) or Tier.SEND, shared, answer.trouble)
    return Rights(Tier.READ_WRITE, shared, (yield from delete_draft(mailbox, answer.id)))


def may_write(mailbox: Mailbox) -> Flow[Trouble | None]:
    """Whether an account may change a mailbox (Mail.ReadWrite): a draft is created and deleted. None: it may."""
    answer = yield from _try(mailbox.post_json("messages", fields=_DRAFT))
    return answer.trouble or (yield from delete_draft(mailbox, answer.id))


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    id: str
    trouble: Trouble | None


def _try(request: Request) -> Flow[_Answer]:
    try:
        response = yield from ask(request)
    except NoResponse as problem:
        return _Answer(0, "", no_answer(problem))
    return _Answer(response.status, remote_of(json_object(response)).remote_id, None if is_success(response) else judge(response))


def _closed(trouble: Trouble) -> bool:
    """Whether Graph refuses it to this account for good, and not only now."""
    return isinstance(trouble, Held) and trouble.lane
