"""Bounces: how many reports a second become a bounced delivery with its reason, from the bytes of the report to the commit.

The store is SQLite on the disk, with `synchronous=FULL`; reports come as many at once as a mailbox is read with. Each is read, judged,
matched by the Message-ID of its mail, applied and stored. At the end every delivery must be bounced, or there is no row.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from bench.place import Missing, Place
from bench.results import Result, median
from mailroom.accept import write
from mailroom.batching import GroupCommit
from mailroom.blobs.files import FileBlobs, OpenFile
from mailroom.fetch import AT_ONCE
from mailroom.ids import Ids
from mailroom.intake.answers import Answers
from mailroom.intake.bounces import Bounces
from mailroom.intake.judge import Came, Judge
from mailroom.intake.lookup import Lookup
from mailroom.intake.take import Fetched, Intake
from mailroom.observe import logs
from mailroom.ports import DeliveryResult, Event, NewAttempt, NewDelivery, NewMessage, Settled, Store
from mailroom.store.open import open_store
from mailroom_core.model import AttemptId, DeliveryId, Kind, LaneName, MessageId, Reply, State
from mailroom_core.policy import bounces
from mailroom_core.policy.decision import Settings

LANE = LaneName("smarthost:out")
DAY = timedelta(days=1)
ROUNDS = 3


def measure(place: Place, quick: bool) -> list[Result]:
    logs.configure(level="error")
    mails = 100 if quick else 2000
    rates = tuple(_round(place.folder / f"reports-{number}", mails) for number in range(1 if quick else ROUNDS))
    return [Result(name="reports: bounces applied", value=median(rates), unit="reports/s", rounds=rates, facts={"reports": mails})]


def _round(folder: Path, mails: int) -> float:
    folder.mkdir()
    store = open_store(f"sqlite:///{folder}/mailroom.db", clock=now)
    try:
        ids = Ids(store.node, now)
        _sent(store, ids, mails)
        files = [folder / f"{number}.eml" for number in range(mails)]
        for number, file in enumerate(files):
            file.write_bytes(_report(number))
        start = time.monotonic()
        asyncio.run(_taken(store, ids, folder, files))
        seconds = time.monotonic() - start
        if store.counts()[State.BOUNCED] != mails:
            raise Missing(f"{store.counts()[State.BOUNCED]} of {mails} deliveries are bounced")
    finally:
        store.close()
    return mails / seconds


def now() -> datetime:
    return datetime.now(UTC)


def _sent(store: Store, ids: Ids, mails: int) -> None:
    """Mail that has left, to one recipient each."""
    store.put([_mail(ids, number) for number in range(mails)])
    (lane,) = store.claim("bench", want=1, ttl=DAY)
    while works := store.due(lane, limit=500):
        attempts = [
            NewAttempt(
                id=AttemptId(ids()),
                message_id=work.message.id,
                delivery_ids=(work.deliveries[0].id,),
                lane=lane.name,
                epoch=lane.epoch,
                started_at=now(),
                deadline=now() + DAY,
                marker="",
                size=1,
            )
            for work in works
        ]
        store.begin(attempts)
        store.settle([_settled(each) for each in attempts])


def _mail(ids: Ids, number: int) -> NewMessage:
    to = NewDelivery(id=DeliveryId(ids()), recipient=f"c{number}@load.example", server="out", lane=LANE, due_at=now())
    return NewMessage(
        id=MessageId(ids()),
        accepted_at=now(),
        expires_at=now() + DAY,
        sender="mary@contoso.example",
        header_from="mary@contoso.example",
        header_message_id=f"<{number}@contoso.example>",
        subject="Offer",
        application="load",
        kind=Kind.TRANSACTIONAL,
        size=1,
        raw=b"x",
        deliveries=(to,),
    )


def _settled(attempt: NewAttempt) -> Settled:
    event = Event(at=now(), name="sent", text="Handed over", delivery_id=attempt.delivery_ids[0])
    result = DeliveryResult(id=attempt.delivery_ids[0], state=State.SENT, due_at=None, reply=Reply(250, "ok"), event=event)
    return Settled(attempt_id=attempt.id, lane=attempt.lane, epoch=attempt.epoch, text="sent", deliveries=(result,))


async def _taken(store: Store, ids: Ids, folder: Path, files: list[Path]) -> None:
    commit: GroupCommit[NewMessage, Mapping[MessageId, MessageId]] = GroupCommit("intake", partial(write, store))
    rules = Settings()
    intake = Intake(
        store=store,
        blobs=FileBlobs(folder / "blobs"),
        opened=lambda path: OpenFile(os.open(path, os.O_RDONLY)),
        ids=ids,
        clock=now,
        commit=commit,
        judge=Judge(store.directory, Lookup(store, rules), rules),
        answers=Answers(directory=store.directory, ids=ids, clock=now, hostname="bench.example", lifetime=DAY),
        bounces=Bounces(store, bounces.Settings()),
        lifetime=DAY,
    )
    left = iter(files)  # all take from it

    async def take() -> None:
        for file in left:
            await intake(Fetched(came=Came(by="bench"), key="bench", remote_id=file.name, file=file))

    await asyncio.gather(*(take() for _ in range(AT_ONCE)))
    await commit.close()


REPORT = """\
Return-Path: <>
From: MAILER-DAEMON@load.example
To: mary@contoso.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <r{number}@load.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b

I'm sorry to have to inform you that your message could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; load.example

Final-Recipient: rfc822; c{number}@load.example
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552 5.2.2 mailbox full

--b
Content-Type: text/rfc822-headers

From: mary@contoso.example
Message-ID: <{number}@contoso.example>

--b--
""".replace("\n", "\r\n")


def _report(number: int) -> bytes:
    return REPORT.format(number=number).encode()
