"""One Odoo that sends and receives both ways: by SMTP and IMAP as it is, and by the add-on."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from bench.place import Missing, Place
from demo.processes import Emulator
from tests.odoo import machine
from tests.odoo.machine import Odoo
from tests.odoo.people import MAILBOX

SCALE = 60
"""The emulator's windows pass so much faster, so that no limit of Microsoft's is measured here."""
LARGEST = 210_000_000
"""Bytes that the mailbox takes."""
_CALM = (
    "--max-cron-threads",
    "0",
    "--limit-time-real",
    "3600",
    "--limit-time-cpu",
    "3600",
    "--limit-memory-soft",
    "0",
    "--limit-memory-hard",
    "0",
)


class Way(Enum):
    STOCK = "stock"
    ADD_ON = "add-on"

    def __str__(self) -> str:
        return self.value


def in_turns(number: int) -> tuple[Way, Way]:
    """Who begins changes from round to round."""
    return (Way.STOCK, Way.ADD_ON) if number % 2 == 0 else (Way.ADD_ON, Way.STOCK)


@dataclass(frozen=True)
class House:
    odoo: Odoo
    emulator: Emulator
    place: Place

    def start(self) -> None:
        """Nothing runs in it but what it is asked for."""
        self.odoo.start(*_CALM)

    def smtp(self, port: int) -> int:
        values = {"name": "SMTP", "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_encryption": "none", "max_email_size": 200}
        server: int = self.odoo.call("ir.mail_server", "create", values)
        return server

    def graph(self) -> int:
        self.emulator.ask("PATCH", f"/accounts/{MAILBOX}", json={"max_message_size": LARGEST})
        return self.odoo.outgoing(MAILBOX, MAILBOX, max_email_size=200)

    def attachment(self, name: str, content: bytes) -> int:
        values = {"name": name, "datas": base64.b64encode(content).decode(), "mimetype": "application/pdf"}
        number: int = self.odoo.call("ir.attachment", "create", values)
        return number

    def write_mails(self, server: int, count: int, attachment: int, subject: str) -> None:
        """Into Odoo's queue, each with the same file."""
        mail = {
            "subject": subject,
            "body_html": "<p>Dear customer,</p><p>here is what you have asked for.</p>",
            "email_from": MAILBOX,
            "email_to": "somebody@customer.example",
            "mail_server_id": server,
            "attachment_ids": [(4, attachment)],
            "auto_delete": False,
        }
        self.odoo.call("mail.mail", "create", [mail] * count)

    def run_queue(self) -> None:
        """Odoo's own job, until nothing is waiting: one run of the add-on ends after a minute. Raises Missing if something was not sent."""
        waiting, before = self._waiting(), 0
        while waiting and waiting != before:
            self.odoo.call("ir.cron", "method_direct_trigger", [self.odoo.ref("mail.ir_cron_mail_scheduler_action")])
            waiting, before = self._waiting(), waiting
        if left := self.odoo.sql("SELECT state, failure_reason FROM mail_mail WHERE state != 'sent' LIMIT 1"):
            raise Missing(f"Odoo's queue has not sent everything: {left[0]}; see {self.place.log('odoo')}")

    def _waiting(self) -> int:
        return int(self.odoo.sql("SELECT count(*) FROM mail_mail WHERE state = 'outgoing'")[0][0])


@contextmanager
def house(place: Place, odoo: machine.Place) -> Iterator[House]:
    emulator = Emulator(place.folder / "emulator", "--data", str(place.folder), "--time-scale", str(SCALE))
    emulator.http.timeout = 120
    found = Odoo(odoo, place.folder)
    try:
        made = House(found, emulator, place)
        made.start()
        found.set_up(emulator)
        yield made
    finally:
        found.stop()
        emulator.stop()
        if found.log.exists():
            shutil.copy(found.log, place.log("odoo"))
