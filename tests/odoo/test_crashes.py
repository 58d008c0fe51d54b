"""Workers that are killed at the worst moment: nobody gets a second copy, and nobody none."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

import psycopg
import pytest

from demo.processes import Emulator
from tests.odoo.machine import Odoo, Place
from tests.odoo.people import MAILBOX, Lead

KILLS, MAILS = 4, 60


@pytest.fixture(scope="module")
def odoo(place: Place, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odoo]:
    """As in production: a web and a cron process of their own."""
    odoo = Odoo(place, tmp_path_factory.mktemp("odoo"), workers=2)
    try:
        odoo.start()
        odoo.set_up(emulator)
        odoo.outgoing(MAILBOX, MAILBOX)
        yield odoo
    finally:
        odoo.stop()


def copies(emulator: Emulator, begin: str) -> Counter[tuple[str, str]]:
    return Counter((copy["subject"], copy["to"]) for copy in emulator.outside() if copy["subject"].startswith(begin))


def hurry(odoo: Odoo) -> bool:
    """The time has come for what waits, and the queue is called. Always false, for conditions to come after it."""
    odoo.sql("UPDATE mail_mail SET scheduled_date = NULL WHERE state = 'outgoing'")
    odoo.sql("UPDATE microsoft_graph_lane SET paused_until = NULL")
    odoo.sql(
        "UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' - interval '1 minute', failure_count = 0 WHERE id = %s",
        odoo.ref("mail.ir_cron_mail_scheduler_action"),
    )
    odoo.sql("DELETE FROM ir_cron_progress")  # three ends in a row without progress, and Odoo leaves a job alone for hours
    odoo.place.sql("SELECT pg_notify('cron_trigger', %s)", odoo.database)
    time.sleep(0.2)
    return False


def pause(odoo: Odoo) -> None:
    """What is written now waits until `hurry`."""
    odoo.sql(
        "INSERT INTO microsoft_graph_lane (mailbox, paused_until) VALUES (%s, now() AT TIME ZONE 'UTC' + interval '1 hour')"
        " ON CONFLICT (mailbox) DO UPDATE SET paused_until = excluded.paused_until",
        MAILBOX,
    )


def test_killed_between_send_and_commit(odoo: Odoo, emulator: Emulator) -> None:
    """Graph has sent it, and Odoo's own transaction never commits that."""
    lead = Lead.new(odoo, "between@customer.example")
    pause(odoo)
    message = lead.post("Between")
    assert lead.envelopes(message) == {"between@customer.example": ("ready", "")}
    with psycopg.connect(host=odoo.place.database_host, user=odoo.place.database_user, dbname=odoo.database) as holds_the_commit_back:
        holds_the_commit_back.execute("LOCK TABLE mail_notification IN SHARE MODE")
        hurry(odoo)
        odoo.eventually(lambda: copies(emulator, "Between"), "Graph has sent it", 150)
        odoo.kill()
    assert lead.envelopes(message) == {"between@customer.example": ("ready", "")}, "Odoo knows nothing of it"
    odoo.start()
    hurry(odoo)
    odoo.eventually(lambda: lead.envelopes(message) == {"between@customer.example": ("sent", "")}, "Odoo knows it now", 150)
    assert copies(emulator, "Between") == {("Between", "between@customer.example"): 1}


@pytest.mark.parametrize("operation", ["createDraft", "send"])
def test_killed_while_graph_is_at_it(odoo: Odoo, emulator: Emulator, operation: str) -> None:
    subject = f"While {operation}"
    emulator.fault(match={"operation": operation}, action={"kind": "delay", "seconds": 180})  # three seconds of ours
    lead = Lead.new(odoo, "while@customer.example")
    pause(odoo)
    message = lead.post(subject)
    tries = odoo.sql("SELECT count(*) FROM microsoft_graph_try")
    hurry(odoo)
    odoo.eventually(lambda: odoo.sql("SELECT count(*) FROM microsoft_graph_try") != tries, "it has begun", 150)
    odoo.kill()
    odoo.start()
    hurry(odoo)

    def sent() -> bool:
        if lead.envelopes(message) == {"while@customer.example": ("sent", "")}:
            return True
        hurry(odoo)
        time.sleep(0.5)
        return False

    odoo.eventually(sent, "it was sent", 200)
    assert copies(emulator, subject) == {(subject, "while@customer.example"): 1}


def test_killed_again_and_again_under_load(odoo: Odoo, emulator: Emulator) -> None:
    chance = random.Random(19)
    mails = [
        {"subject": f"Load {number}", "body_html": "<p>Hello</p>", "email_from": MAILBOX, "email_to": f"load{number}@customer.example"}
        for number in range(MAILS)
    ]
    odoo.call("mail.mail", "create", mails)
    for _ in range(KILLS):
        hurry(odoo)
        before = sum(copies(emulator, "Load").values())
        odoo.eventually(partial(_more, emulator, before), "mail leaves", 150)
        time.sleep(chance.random() / 4)
        odoo.kill()
        odoo.start()
    odoo.eventually(lambda: hurry(odoo) or _all(emulator), "all have arrived", 200)
    assert set(copies(emulator, "Load").values()) == {1}
    unsent = "SELECT count(*) FROM mail_mail WHERE starts_with(email_to, 'load') AND state != 'sent'"
    odoo.eventually(lambda: hurry(odoo) or odoo.sql(unsent) == [(0,)], "Odoo knows it", 150)


def _more(emulator: Emulator, before: int) -> bool:
    return sum(copies(emulator, "Load").values()) > before or _all(emulator)


def _all(emulator: Emulator) -> bool:
    return len(copies(emulator, "Load")) == MAILS
