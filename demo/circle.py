"""The way back: a customer answers, somebody writes to `info@`, a mail comes back, and the catchall answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from demo.processes import Emulator, Gateway
from mailroom.conversations import Entry
from mailroom.ports import Query, Store
from mailroom.store.open import open_store

MARY = "mary@contoso.example"
ANNA = "anna@customer.example"
NOBODY = "unknown@customer.example"
PATIENCE = 60.0
T = TypeVar("T")
OBJECTS = """
[alias_domain."contoso.example"]

[destination.desk]
inbox = {}

[alias."info@contoso.example"]
destination = "desk"

[incoming."Mary's mailbox"]
graph = { account = "office" }
"""


def set_up(gateway: Gateway, folder: Path) -> None:
    """Mary's mailbox is read, and answers to the application's mail go to the built-in inbox."""
    file = folder / "objects.toml"
    known = gateway.run("export").replace("[application.erp]\n", '[application.erp]\nanswers = "desk"\n')
    file.write_text(f"{known}\n{OBJECTS}")
    gateway.run("apply", str(file))


def close(console: Console, emulator: Emulator, gateway: Gateway, submit: Callable[[EmailMessage, str], None], order: str) -> bool:
    """Whether all four ended as they should. `order` is the subject of a mail that Anna has got."""
    store = open_store(gateway.data / "mailroom.db", clock=lambda: datetime.now(UTC))
    try:
        console.print("\n[bold]And back[/]")
        if not _eventually(lambda: any(each.subscription for each in store.watch.all())):
            console.print("  [red]Microsoft was not asked to tell of new mail.[/]")
            return False
        return all(step(console, emulator, store, submit, order) for step in (_answer, _enquiry, _to_nobody, _to_catchall))
    finally:
        store.close()


def _answer(console: Console, emulator: Emulator, store: Store, submit: object, order: str) -> bool:
    start = time.monotonic()
    emulator.reply(ANNA, order, "Thank you! Twelve of the blue ones, please.")
    entries = _eventually(lambda: _conversation(store, order))
    seconds = time.monotonic() - start
    if not entries:
        return _missed(console, f"Anna's answer to {order!r}")
    console.print(f"  Anna answered {order!r}; {seconds:.1f} s later it stands in its conversation:")
    _show(console, entries)
    return True


def _enquiry(console: Console, emulator: Emulator, store: Store, submit: object, order: str) -> bool:
    emulator.deliver(MARY, _mail(ANNA, "info@contoso.example", "Opening hours", "Are you open on Saturday?"))
    entries = _eventually(lambda: _conversation(store, "Opening hours", least=1))
    if not entries:
        return _missed(console, "the mail to info@")
    console.print("  A mail to info@contoso.example opened a new conversation:")
    _show(console, entries)
    return True


def _to_nobody(console: Console, emulator: Emulator, store: Store, submit: Callable[[EmailMessage, str], None], order: str) -> bool:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = MARY, NOBODY, "Are you there?"
    message.set_content("Hello?\n")
    submit(message, NOBODY)
    told = _eventually(lambda: _event(store, "Are you there?", "bounced"))
    if not told:
        return _missed(console, f"the bounce of the mail to {NOBODY}")
    console.print(f"  A mail to {NOBODY} came back:\n    [yellow]{told}[/]", soft_wrap=True)
    return True


def _to_catchall(console: Console, emulator: Emulator, store: Store, submit: object, order: str) -> bool:
    emulator.deliver(MARY, _mail("bob@partner.example", "catchall@contoso.example", "Hello", "Who is there?"))
    answered = _eventually(lambda: [copy for copy in emulator.outside("bob@partner.example") if copy["subject"] == "Re: Hello"])
    if not answered:
        return _missed(console, "the answer to who wrote to the catchall")
    console.print("  Bob wrote to catchall@contoso.example, and was told how to reach the company.")
    return True


def _conversation(store: Store, subject: str, least: int = 2) -> list[Entry]:
    """Its entries, when there are so many at least."""
    for each in store.conversations.all(limit=100)[0]:
        found = store.conversations.one(each.id)
        if each.subject.endswith(subject) and found and len(found[1]) >= least:
            return found[1]
    return []


def _event(store: Store, subject: str, name: str) -> str:
    for found in store.find(Query(text=subject), limit=10)[0]:
        story = store.story(found.message.id)
        for event in story.events if story else ():
            if event.name == name:
                return event.text
    return ""


def _show(console: Console, entries: list[Entry]) -> None:
    for entry in entries:
        words = " ".join(entry.text.split())
        console.print(f"    {entry.kind.value:8} {entry.author:24} {words[:70]}", markup=False)


def _mail(sender: str, to: str, subject: str, text: str) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"], message["Message-ID"] = sender, to, subject, f"<{time.time_ns()}@{sender}>"
    message.set_content(f"{text}\n")
    return message.as_bytes()


def _missed(console: Console, what: str) -> bool:
    console.print(f"  [red]After {PATIENCE:.0f} s there is no trace of {what}.[/]")
    return False


def _eventually(what: Callable[[], T]) -> T:
    until = time.monotonic() + PATIENCE
    while not (found := what()) and time.monotonic() < until:
        time.sleep(0.1)
    return found
