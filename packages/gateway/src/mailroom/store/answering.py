"""What a mail that came in may be an answer to, and what its sender has sent lately."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from mailroom.conversations import ConversationId
from mailroom.ids import first_id
from mailroom.ports import Lately, Message
from mailroom.store.database import Tx
from mailroom.store.looking import ENDLESS
from mailroom.store.searching import indexed_under
from mailroom.store.values import MESSAGE, message_of
from mailroom_core.policy.addresses import normalize

BY_PROVIDER = f"""SELECT DISTINCT d.internet_message_id, d.recipient, {MESSAGE} FROM deliveries d JOIN messages m ON m.id = d.message_id
    WHERE d.internet_message_id {{names}} AND d.internet_message_id <> '' AND m.source = ''"""  # noqa: S608  # columns
FRESH = f"""SELECT m.header_message_id, d.recipient, {MESSAGE} FROM unindexed u JOIN deliveries d ON d.id = u.delivery_id
    JOIN messages m ON m.id = d.message_id WHERE m.header_message_id {{names}} AND m.source = ''"""  # noqa: S608  # columns
OURS = f"""SELECT m.header_message_id, d.recipient, {MESSAGE} FROM deliveries d JOIN messages m ON m.id = d.message_id
    WHERE d.id {{ids}} AND m.header_message_id {{names}} AND m.source = ''"""  # noqa: S608  # columns
IN_CONVERSATION = f"""SELECT d.recipient, {MESSAGE} FROM deliveries d JOIN messages m ON m.id = d.message_id
    WHERE d.conversation_id = ? AND d.conversation_id <> '' AND m.source = '' AND m.application <> 'mailroom'
    ORDER BY d.id DESC LIMIT ?"""  # noqa: S608  # columns
MANY = 500
"""Deliveries in one conversation that are looked at, the newest first."""
FEW = 50
"""Deliveries that are looked at together."""
LATELY = """SELECT m.id, d.id, d.server, (SELECT min(e.conversation_id) FROM entries e JOIN conversations c ON c.id = e.conversation_id
        WHERE e.message_id = m.id AND c.destination = d.server) FROM messages m JOIN deliveries d ON d.message_id = m.id
    WHERE m.author = ? AND m.author <> '' AND m.id >= ? AND d.server <> ''"""
ANSWERS = "SELECT d.recipient FROM messages m JOIN deliveries d ON d.message_id = m.id WHERE m.application = 'mailroom' AND m.id >= ?"


def sent_as(tx: Tx, names: Sequence[str], to: Collection[str]) -> dict[str, Message]:
    """See `Store.sent_as`.

    What is in no part of the search index yet is asked first: it may get into one meanwhile, but never out.
    """
    found: dict[str, Message] = {}
    left = list(dict.fromkeys(names))

    def take(rows: Iterable[Sequence[Any]]) -> None:
        for name, recipient, *row in rows:
            meant = not to or normalize(recipient) in to
            if name in left and (meant or name not in found):
                found[name] = message_of(row)
                if meant:
                    left.remove(name)

    take(tx.by(BY_PROVIDER, left))
    take(tx.by(FRESH, left))
    candidates = indexed_under(tx, left, ENDLESS) if left else iter(())
    while left and (few := list(islice(candidates, FEW))):
        take(tx.by(OURS, few, tx.several(left)))
    return found


def in_conversation(tx: Tx, conversation: str) -> tuple[Message, frozenset[str]] | None:
    """See `Store.in_conversation`."""
    rows = tx.rows(IN_CONVERSATION, conversation, MANY)
    return (message_of(rows[0][1:]), frozenset(normalize(row[0]) for row in rows)) if rows else None


def from_sender(tx: Tx, sender: str, since: datetime) -> Lately:
    """See `Store.from_sender`. Ids grow with time, so that a span of it is a range of them."""
    opened: dict[str, int] = {}
    added: dict[ConversationId, int] = {}
    for number, delivery, server, conversation in tx.rows(LATELY, sender, first_id(since)):
        opened[server] = opened.get(server, 0) + (conversation in (None, number, delivery))
        if conversation is not None:
            added[ConversationId(conversation)] = added.get(ConversationId(conversation), 0) + 1
    answers = sum(normalize(recipient) == sender for (recipient,) in tx.rows(ANSWERS, first_id(since)))
    return Lately(opened=opened, added=added, answers=answers)
