"""Jobs as the queue makes them, by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from mailroom.ports import Attempt, Job, Message, Resolution
from mailroom_core.mime.source import InMemory, ReadAt
from mailroom_core.model import AttemptId, DeliveryId, Kind, LaneName, MessageId

RAW = (
    b"From: Mary <mary@example.com>\r\n"
    b"To: list@example.com\r\n"
    b"Subject: Hello\r\n"
    b"Message-ID: <1@example.com>\r\n"
    b"\r\n"
    b".a line that begins with a dot\r\n"
    b"..\r\n"
    b"The end.\r\n"
)


def job(
    *recipients: str,
    raw: bytes = RAW,
    source: ReadAt | None = None,
    sender: str | None = "mary@example.com",
    rewrite_from: str = "",
    time_limit: timedelta = timedelta(minutes=5),
    facts: Mapping[str, str] | None = None,
) -> Job:
    """One message to these recipients (one, if none is named); their delivery ids count from 1. `facts` are the attempt's."""
    now = datetime.now(UTC)
    asked = dict(enumerate(recipients or ("joe@example.net",), 1))
    message = Message(
        id=MessageId(1),
        accepted_at=now,
        sender=sender,
        header_from="mary@example.com",
        header_message_id="<1@example.com>",
        subject="Hello",
        application="test",
        kind=Kind.TRANSACTIONAL,
        size=source.size if source else len(raw),
        rewrite_from=rewrite_from,
        raw=None if source else raw,
        blob="",
    )
    deliveries = {DeliveryId(number): address for number, address in asked.items()}
    attempt = Attempt(
        id=AttemptId(1),
        message_id=message.id,
        delivery_ids=tuple(deliveries),
        lane=LaneName("smarthost:test:0"),
        epoch=1,
        started_at=now,
        deadline=now + time_limit,
        marker="0000000000000001",
        facts=facts or {},
        resolution=Resolution.OPEN,
        looks=0,
        ended_at=None,
        text="",
    )
    return Job(attempt, message, deliveries, source or InMemory(raw))


async def remember(facts: Mapping[str, str]) -> None:
    """Nothing to commit here."""
