"""Those who follow an inbox get a copy of every mail of its conversations by mail.

A copy leaves from the notification address with the author's name, because nobody may send as a stranger; answers to it go to the
conversation's address, and find the conversation, because the Message-ID stays. It bears our mark: a copy that is fetched again, from
the mailbox of a follower, opens nothing. The same mail is copied once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mailroom.accept import Wishes
from mailroom.intake.handing_in import Accepts, hand_in
from mailroom.objects import Application, Directory, InboxTarget
from mailroom.observe import events
from mailroom.ports import Message
from mailroom.way_out import notification_address
from mailroom_core.errors import MimeError, Refused, StoreError
from mailroom_core.inbound import LOOP_HEADER
from mailroom_core.mime.headers import Fields, field, format_address
from mailroom_core.mime.rewrite import replace_fields
from mailroom_core.mime.source import ReadAt
from mailroom_core.model import show_id
from mailroom_core.policy.addresses import domain_of, is_deliverable, normalize

FOLLOWERS = "followers"
"""The application of copies."""
_GONE = (
    "Return-Path",
    "Delivered-To",
    "X-Original-To",
    "Sender",
    "DKIM-Signature",
    "Authentication-Results",
    "Bcc",
    "Disposition-Notification-To",
    "Return-Receipt-To",
    "List-Unsubscribe",
    "List-Id",
)
"""Fields that speak of another way, or that a copy must not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followers:
    """Writes the copies of one gateway."""

    directory: Callable[[], Directory]
    accept: Accepts
    spool: Path
    mark: str

    async def __call__(self, destination: str, address: str, message: Message, source: ReadAt) -> None:
        """`address` is the conversation's. What can't be copied is told in the log. Raises StoreError."""
        directory = self.directory()
        known = directory.destinations.get(destination)
        author = normalize(message.header_from)
        following = known.target.followers if known and isinstance(known.target, InboxTarget) else ()
        recipients = tuple(dict.fromkeys(each for each in following if normalize(each) != author))
        if not recipients:
            return
        try:
            await self._copy(directory, destination, address, message, source, recipients)
        except Refused as problem:
            if problem.temporary:
                raise StoreError(f"no copy for the followers yet: {problem.text}") from None
            events.report_left_out(message.id, f"no copy for its followers: {problem}")
        except MimeError as problem:
            events.report_left_out(message.id, f"no copy for its followers: {problem}")

    async def _copy(
        self, directory: Directory, destination: str, address: str, message: Message, source: ReadAt, recipients: tuple[str, ...]
    ) -> None:
        address = _address(directory, destination, address)
        sender = _sender(directory, address)
        copy = replace_fields(source, lambda fields: self._edits(fields, sender, address))
        key = f"{show_id(message.id)} {destination}"
        application = Application(name=FOLLOWERS, alias_domain=domain_of(sender))
        wishes = Wishes(idempotency_key=key)
        await hand_in(
            self.accept, self.spool, copy, application=application, sender=None, recipients=recipients, helo="inbox", wishes=wishes
        )

    def _edits(self, fields: Fields, sender: str, address: str) -> Mapping[str, bytes]:
        name, author = next(iter(fields.addresses("from")), ("", ""))
        return {
            **{each.lower(): b"" for each in _GONE},
            "from": field("From", format_address(name or author.partition("@")[0], sender)),
            "reply-to": field("Reply-To", format_address("", address or sender)),
            LOOP_HEADER.lower(): field(LOOP_HEADER, self.mark),
            "auto-submitted": field("Auto-Submitted", "auto-generated"),
            "x-auto-response-suppress": field("X-Auto-Response-Suppress", "All"),
        }


def _address(directory: Directory, destination: str, written_to: str) -> str:
    """Where an answer finds the inbox: the alias that was written to, or another one of it."""
    aliases = [each.name for each in directory.aliases.values() if each.active and each.destination == destination]
    found = next((each for each in aliases if normalize(each) == normalize(written_to)), None)
    return found or next(iter(aliases), written_to)


def _sender(directory: Directory, address: str) -> str:
    """The notification address of the conversation's domain, or of any; the conversation's own where there is none."""
    domains = directory.alias_domains
    domain = domains.get(domain_of(address)) or next(iter(domains.values()), None)
    found = notification_address(domain) or address
    if not is_deliverable(found):
        raise MimeError("there is no alias domain whose notification address could send it; add one")
    return found
