"""What became of a mail whose send got no answer, and the drafts that nobody knows.

The copy in Sent Items may lag behind for minutes, so `Nowhere` means "not yet": look several times. The immutable id decides
(Microsoft Graph docs, concepts/outlook-immutable-id.md); where it changed on sending all the same (microsoft-graph-docs#1533),
the marker does, and `internetMessageId`.

Copies of one message share a Message-ID (Odoo sends one per recipient), and Exchange may keep it. So what is found by it alone
is ours only if it bears our marker or, should it have lost its marker, went to exactly our recipients. To take another's copy for
ours would lose a mail.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from mailroom_core.flow import Flow, NoResponse, Note, ask, json_object
from mailroom_core.model import Deferred, Failed, Held, Outcome, Remote, Reply, Sent, Trouble, Unknown
from mailroom_core.policy.addresses import normalize
from mailroom_core.providers.graph.drafts import delete_draft, sweep
from mailroom_core.providers.graph.errors import judge, no_answer
from mailroom_core.providers.graph.mailbox import Mailbox, quoted
from mailroom_core.providers.graph.marker import marker_filter, marker_of
from mailroom_core.providers.graph.messages import FIELDS, Message, recipients_of, remote_of, search, unreadable
from mailroom_core.providers.graph.sending import send_draft


@dataclass(frozen=True, slots=True)
class InSentItems:
    """It was sent."""

    remote: Remote


@dataclass(frozen=True, slots=True)
class StillDraft:
    """It was not sent; `send_draft` sends this very draft, and never a second one."""

    draft_id: str


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Neither sent nor a draft, so far."""


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """Graph could not be asked."""

    why: Trouble


_ANEW = Deferred(Reply(0, "The attempt ended before anything was sent; it begins anew"), retry_after=timedelta())

Found = InSentItems | StillDraft | Nowhere | NotAnswered


def look(mailbox: Mailbox, *, draft_id: str, marker: str, internet_message_id: str = "", recipients: Collection[str] = ()) -> Flow[Found]:
    """Where the mail is: by its id, then in Sent Items, then in Drafts. One round trip as a rule, four at most.

    `internet_message_id` is the one that Graph gave the draft, `recipients` are those of the envelope.
    """
    found: Found = (yield from _by_id(mailbox, draft_id)) if draft_id else Nowhere()
    if not isinstance(found, Nowhere):
        return found
    searches = [("sentitems", marker_filter(marker)), ("drafts", marker_filter(marker))]
    if internet_message_id:
        searches.insert(0, ("sentitems", f"internetMessageId eq {quoted(internet_message_id)}"))
    for folder, wanted in searches:
        messages = yield from search(mailbox, folder, wanted)
        if not isinstance(messages, list):
            return NotAnswered(messages)
        for message in messages:
            if _is_ours(message, marker, recipients):
                remote = remote_of(message)
                return StillDraft(remote.remote_id) if folder == "drafts" else InSentItems(remote)
    return Nowhere()


def resolve(mailbox: Mailbox, facts: Mapping[str, str], marker: str, recipients: Collection[str] = ()) -> Flow[Outcome]:
    """The outcome of an attempt by draft that ended without an answer. `facts` are those that its notes committed,
    `recipients` those of the envelope.

    `Unknown` means that nobody knows yet: ask again later. What was never sent is cleared away and may be sent anew at once.
    Before a draft is sent again, the fact `sent_again` is committed: this send counts, and only the lane's owner may do it.
    """
    draft_id = facts.get("draft_id", "")
    if not draft_id:
        return (yield from sweep(mailbox, marker)) or _ANEW
    if facts.get("ready") == "no":
        return (yield from delete_draft(mailbox, draft_id)) or _ANEW
    found = yield from look(
        mailbox, draft_id=draft_id, marker=marker, internet_message_id=facts.get("internet_message_id", ""), recipients=recipients
    )
    match found:
        case InSentItems(remote):
            return Sent(Reply(0, "found among the sent mail"), remote_id=remote.remote_id)
        case StillDraft(found_id):
            return (yield from _send_again(mailbox, found_id))
        case NotAnswered(Held() as why):
            return why
        case NotAnswered(trouble):
            return Unknown(str(trouble.reply), looked=False)
        case _:
            return Unknown("neither among the sent mail nor among the drafts")


def _send_again(mailbox: Mailbox, draft_id: str) -> Flow[Outcome]:
    """Throttled or not, the send before this one may still take effect: the mail must not begin anew, so it stays unknown. What is
    refused for good was refused before as well, and its draft does not stay."""
    yield Note({"sent_again": "yes"})
    outcome = yield from send_draft(mailbox, draft_id)
    if isinstance(outcome, Failed):
        yield from delete_draft(mailbox, draft_id)
    return Unknown(str(outcome.reply), looked=False) if isinstance(outcome, Deferred) else outcome


def _by_id(mailbox: Mailbox, draft_id: str) -> Flow[Found]:
    request = mailbox.get("messages", draft_id, query={"$select": FIELDS})
    try:
        response = yield from ask(request)
    except NoResponse as problem:
        return NotAnswered(no_answer(problem))
    if response.status == 404 and judge(response).reply.name in ("", "ErrorItemNotFound"):
        return Nowhere()
    message = json_object(response)
    if response.status != 200:
        return NotAnswered(judge(response))
    if message.get("isDraft") is True:
        return StillDraft(draft_id)
    if message.get("isDraft") is False:
        return InSentItems(remote_of(message))
    return NotAnswered(unreadable(response))


def _is_ours(message: Message, marker: str, recipients: Collection[str]) -> bool:
    found = marker_of(message)
    return found == marker if found else bool(recipients) and recipients_of(message) == {str(normalize(each)) for each in recipients}
