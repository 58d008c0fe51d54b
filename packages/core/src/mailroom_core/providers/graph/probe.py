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
    "subject": "A check of permissions; this draft may be deleted",
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
    if trouble := (yield from _unreadable(mailbox, "sendMail")):
        return Rights(None if _closed(trouble) else tier_of(scope), shared, trouble)
    answer = yield from _try(mailbox.post_json("messages", fields=_DRAFT))
    if answer.trouble is not None:
        return _only_sends(scope, answer.trouble)
    return Rights(Tier.READ_WRITE, shared, (yield from delete_draft(mailbox, answer.id)))


def survey(mailbox: Mailbox, scope: str = "") -> Flow[Rights]:
    """As `probe`, and nothing is changed: a draft that can't be decoded is refused with 400 by who may write, too.

    Drafts are opened besides, because a mailbox of others wants Full Access, which may be asked for after the decoding.
    """
    shared = "mail.send.shared" in granted(scope)
    if trouble := (yield from _unreadable(mailbox, "sendMail")):
        return Rights(None if _closed(trouble) else tier_of(scope), shared, trouble)
    if trouble := (yield from could_write(mailbox)):
        return _only_sends(scope, trouble)
    return Rights(Tier.READ_WRITE, shared)


def may_write(mailbox: Mailbox) -> Flow[Trouble | None]:
    """Whether an account may change a mailbox (Mail.ReadWrite): a draft is created and deleted. None: it may."""
    answer = yield from _try(mailbox.post_json("messages", fields=_DRAFT))
    return answer.trouble or (yield from delete_draft(mailbox, answer.id))


def _only_sends(scope: str, trouble: Trouble) -> Rights:
    """It may send, and `trouble` stands in the way of more."""
    tier = Tier.SEND if _closed(trouble) else tier_of(scope) or Tier.SEND
    return Rights(tier, "mail.send.shared" in granted(scope), trouble)


def _unreadable(mailbox: Mailbox, where: str) -> Flow[Trouble | None]:
    """What stands in the way of a mail that can't be decoded, besides that. None: nothing."""
    answer = yield from _try(mailbox.post(where, body=b"*", content_type=MIME))
    return None if answer.trouble is None or (answer.status == 400 and not _closed(answer.trouble)) else answer.trouble


def could_write(mailbox: Mailbox) -> Flow[Trouble | None]:
    """As `may_write`, without a draft: one that can't be decoded, and a look into Drafts."""
    if trouble := (yield from _unreadable(mailbox, "messages")):
        return trouble
    return (yield from _try(mailbox.get("mailFolders", "drafts", query={"$select": "id"}))).trouble


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
