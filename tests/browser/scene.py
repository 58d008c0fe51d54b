"""A company with mail of a day, and somebody who looks at it: for the tests, and for the pictures of the README."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import httpx2

from mailroom.ids import Ids
from mailroom.ports import DeliveryResult, Event, NewAttempt, NewDelivery, NewMessage, Settled, Store
from mailroom.store.open import open_store
from mailroom.way_out import lane_of
from mailroom_core.model import AttemptId, DeliveryId, Kind, LaneName, MessageId, Remote, Reply, State
from tests.contract.store.makers import FakeClock
from tests.walk.world import MARY, World

ADMIN, PASSWORD = "mary@contoso.example", "four horses in a kitchen"
PEOPLE = ("anna.berg", "jonas.keller", "sofia.rossi", "lucas.martin", "emma.novak", "noah.fischer", "mila.haas", "leon.dubois")
COMPANIES = ("nordlicht.example", "alpenhof.example", "atelier-sud.example", "hafenkontor.example", "brightworks.example")
SUBJECTS = (
    "Your invoice INV/2026/{0:04}",
    "Quotation S{0:05} from Contoso",
    "Delivery note WH/OUT/{0:05}",
    "Order confirmation SO{0:05}",
    "Payment reminder for INV/2026/{0:04}",
    "Appointment on Tuesday, reference {0}",
)
SMARTHOST = """
[server."newsletter"]
from_filter = ["news.contoso.example"]
per_minute = 60
smarthost = { host = "127.0.0.1", port = 9, security = "none" }
"""
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


class Scene(World):
    """A world with an administrator who can sign in."""

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, environment=environment)
        self.session_cookie = ""

    def open_doors(self) -> Scene:
        """Use the set-up link, as the first administrator does."""
        link = (self.gateway.data / "setup-link").read_text().strip()
        with httpx2.Client(base_url=self.gateway.web, timeout=30, trust_env=False) as client:
            path = link.removeprefix(self.gateway.web)
            found = _CSRF.search(client.get(path).text)
            assert found
            answer = client.post(path, data={"csrf": found[1], "name": ADMIN, "password": PASSWORD, "again": PASSWORD})
            assert answer.status_code == 303, answer.text
            self.session_cookie = client.cookies["mailroom-session"]
        return self

    def yesterday(self, mails: int = 40) -> None:
        """Mail of the last day, sent and refused; before the gateway starts."""
        now = datetime.now(UTC)
        clock = FakeClock(now - timedelta(hours=24))
        store = open_store(self.gateway.data / "mailroom.db", clock=clock)
        try:
            directory = store.directory()
            lane = lane_of(directory, directory.servers["office"], MARY)
            for hour in range(24):
                clock.now = now - timedelta(hours=24 - hour)
                busy = 0.25 + max(0.0, math.sin((clock.now.hour - 6) / 13 * math.pi)) if 6 <= clock.now.hour <= 19 else 0.1
                _an_hour(store, clock, lane, int(mails * busy) + 1)
        finally:
            store.close()


def _an_hour(store: Store, clock: FakeClock, lane: LaneName, count: int) -> None:
    ids = Ids(lambda: 7, clock)
    mails = []
    for number in range(count):
        mails.append(_mail(ids, clock.now, lane, number))
        clock.go_on(minutes=55 / count)
    store.put(mails)
    mine = store.claim("the past", want=1, ttl=timedelta(minutes=1))[0]
    works = store.due(mine, limit=count)
    attempts = [
        NewAttempt(
            id=AttemptId(ids()),
            message_id=work.message.id,
            delivery_ids=tuple(each.id for each in work.deliveries),
            lane=mine.name,
            epoch=mine.epoch,
            started_at=clock.now,
            deadline=clock.now + timedelta(minutes=5),
            marker="past",
            size=work.message.size,
        )
        for work in works
    ]
    store.begin(attempts)
    clock.go_on(seconds=2)
    store.settle([_settled(attempt, clock.now, refused=place % 17 == 5) for place, attempt in enumerate(attempts)])
    store.release("the past", [mine])


def _mail(ids: Ids, now: datetime, lane: LaneName, number: int) -> NewMessage:
    person, company = PEOPLE[number % len(PEOPLE)], COMPANIES[number * 3 % len(COMPANIES)]
    reference = int(now.timestamp()) // 60 % 9000 + number
    subject = SUBJECTS[number % len(SUBJECTS)].format(reference)
    raw = plain(subject, f"{person}@{company}", "Dear customer,\n\nplease find the details in our portal.\n\nKind regards\nContoso\n")
    return NewMessage(
        id=MessageId(ids()),
        accepted_at=now,
        expires_at=now + timedelta(days=5),
        sender=MARY,
        header_from=MARY,
        header_message_id=f"<{ids()}@erp.contoso.example>",
        subject=subject,
        application="erp",
        kind=Kind.TRANSACTIONAL,
        size=len(raw),
        raw=raw,
        deliveries=(NewDelivery(id=DeliveryId(ids()), recipient=f"{person}@{company}", server="office", lane=lane, due_at=now),),
        events=(Event(at=now, name="accepted", text="Accepted from erp; the FROM filter of office has contoso.example"),),
    )


def _settled(attempt: NewAttempt, now: datetime, *, refused: bool) -> Settled:
    state = State.FAILED if refused else State.SENT
    reply = Reply(400, "A recipient's address is not valid; correct it and send the mail again", "", "ErrorInvalidRecipients")
    reply = reply if refused else Reply(202, "Accepted")
    text = f"Refused for good: {reply}" if refused else f"Handed over: {reply}"
    return Settled(
        attempt_id=attempt.id,
        lane=attempt.lane,
        epoch=attempt.epoch,
        text=f"{state.value}: {reply}",
        deliveries=tuple(
            DeliveryResult(
                id=number,
                state=state,
                due_at=None,
                reply=reply,
                remote=Remote(),
                event=Event(at=now, name=state.value, text=text, delivery_id=number),
            )
            for number in attempt.delivery_ids
        ),
    )


def plain(subject: str, to: str, text: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = f"Mary Jones <{MARY}>", to, subject
    message.set_content(text)
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def invoice(to: str, subject: str = "Your invoice INV/2026/0815") -> bytes:
    """As an ERP writes it: HTML with a plain alternative, and a PDF."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = f"Mary Jones <{MARY}>", to, subject
    message.set_content("Dear Anna,\n\nhere is your invoice INV/2026/0815, amounting to 1,250.00 EUR.\n\nKind regards\nMary Jones\n")
    message.add_alternative(
        """<html><body style="font-family:Arial,sans-serif;color:#333"><div style="max-width:560px">
<h2 style="color:#1f5fbf;margin:0 0 4px">Contoso</h2>
<p style="color:#888;margin:0 0 24px">Invoice INV/2026/0815</p>
<p>Dear Anna,</p><p>here is your invoice, amounting to <b>1,250.00 EUR</b>. Please remit payment at your earliest convenience.</p>
<table style="width:100%;border-collapse:collapse;margin:20px 0">
<tr style="background:#f2f4f8"><th align="left" style="padding:8px">Product</th><th align="right" style="padding:8px">Amount</th></tr>
<tr><td style="padding:8px">Consulting, two days</td><td align="right" style="padding:8px">1,100.00</td></tr>
<tr><td style="padding:8px">Travel</td><td align="right" style="padding:8px">150.00</td></tr></table>
<p>Kind regards<br>Mary Jones</p></div></body></html>""",
        subtype="html",
    )
    message.add_attachment(b"%PDF-1.4\n" + b"0" * 48_000, maintype="application", subtype="pdf", filename="INV_2026_0815.pdf")
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
