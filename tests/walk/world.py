"""What every walk needs: an emulated tenant, a running gateway, an application that submits, and patient questions to all of them."""

from __future__ import annotations

import shutil
import smtplib
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from demo.processes import Emulator, Gateway
from mailroom.ports import Delivery, Query, Store
from mailroom.store.open import open_store
from mailroom_core.model import State

MARY = "mary@contoso.example"
TOM = "tom@contoso.example"
SALES = "sales@contoso.example"
NOTIFICATIONS = "notifications@contoso.example"
ANNA = "anna@customer.example"
BOB = "bob@partner.example"
OFFICE = """
[server."office"]
from_filter = ["contoso.example"]
graph = { account = "office" }
"""
PATIENCE = 90.0

T = TypeVar("T")


def unique(title: str) -> str:
    """A subject that occurs once in the world; at most 40 characters, as the list of the queue shows them."""
    return f"{title[:27]} {uuid.uuid4().hex[:12]}"


def mail(subject: str, *, sender: str = MARY, to: str = ANNA, text: str = "Hello\r\n", more: str = "") -> bytes:
    """A plain mail as it goes over the wire; `more` are further header fields, each with its CRLF."""
    return f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{uuid.uuid4()}@erp.test>\r\n{more}\r\n{text}".encode()


def eventually(what: Callable[[], T], *, patience: float = PATIENCE, every: float = 0.1) -> T:
    """Ask until the answer is true; then that answer. After `patience` seconds the last answer is returned as it is."""
    until = time.monotonic() + patience
    while not (answer := what()) and time.monotonic() < until:
        time.sleep(every)
    return answer


class World:
    """Started in its own folder, ended with `stop`."""

    def __init__(
        self, folder: Path, *, environment: Mapping[str, str] | None = None, emulator: Sequence[str] = (), config: str = ""
    ) -> None:
        self.folder = folder
        self._emulator_options = emulator
        if config:
            (folder / "gateway").mkdir()
            (folder / "gateway" / "mailroom.toml").write_text(config)
        self.gateway = Gateway(folder / "gateway", environment)
        self.passwords: dict[str, str] = {}

    @cached_property
    def emulator(self) -> Emulator:
        """The tenant, started when it is first needed."""
        return Emulator(self.folder / "emulator", *self._emulator_options)

    def stop(self) -> None:
        if hasattr(self.gateway, "process"):
            self.gateway.stop()
        if "emulator" in vars(self):
            self.emulator.stop()
            self.emulator.http.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- setting up -------------------------------------------------------------------------------------------------

    def set_up(self, objects: str = "", connect: Sequence[str] = ()) -> World:
        """Mary's mailbox as `office`, which serves contoso.example; the application `erp` may send as anybody there."""
        self.gateway.connect(self.emulator, "office", MARY, "--no-server", *connect)
        self.apply(OFFICE + objects)
        self.add_application("erp", "contoso.example")
        self.gateway.start()
        return self

    def apply(self, objects: str) -> None:
        """Add objects, in the TOML of `mailroom apply`, to those that are there. A running gateway knows them within a second."""
        file = self.folder / "objects.toml"
        file.write_text(f"{self.gateway.run('export')}\n{objects}")
        self.gateway.run("apply", str(file))

    def add_application(self, name: str, *senders: str) -> None:
        options = [word for sender in senders for word in ("--sender", sender)]
        said = self.gateway.run("app", "add", name, *options)
        self.passwords[name] = next(line.split()[1] for line in said.splitlines() if line.startswith("Password"))

    # ---- submitting -------------------------------------------------------------------------------------------------

    @contextmanager
    def session(self, application: str = "erp", *, login: bool = True) -> Iterator[smtplib.SMTP]:
        """An SMTP session with STARTTLS and AUTH."""
        context = ssl.create_default_context(cafile=str(self.gateway.data / "tls.crt"))
        context.check_hostname = False
        with smtplib.SMTP(self.gateway.host, self.gateway.port, timeout=60) as smtp:
            smtp.starttls(context=context)
            smtp.ehlo()
            if login:
                smtp.login(application, self.passwords[application])
            yield smtp

    def submit(self, raw: bytes, *recipients: str, sender: str | None = MARY, application: str = "erp") -> str:
        """Hand in one mail; its id. Raises what smtplib raises when it is refused."""
        with self.session(application) as smtp:
            return submit(smtp, raw, sender, recipients or (ANNA,))

    def answer_to(self, raw: bytes, *recipients: str, sender: str | None = MARY, application: str = "erp") -> tuple[int, str]:
        """The reply that decides: the first refusal, or the one to the content."""
        try:
            return 250, self.submit(raw, *recipients, sender=sender, application=application)
        except smtplib.SMTPResponseException as refusal:
            return refusal.smtp_code, _text(refusal.smtp_error)

    # ---- looking ----------------------------------------------------------------------------------------------------

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The gateway's store, as the command line opens it beside a running gateway; only for as long as the question takes."""
        store = open_store(self.gateway.data / "mailroom.db", clock=lambda: datetime.now(UTC))
        try:
            yield store
        finally:
            store.close()

    def deliveries(self, subject: str = "") -> list[Delivery]:
        """Of the mails with this subject (a part of it); of all mails if it is empty."""
        with self.store() as store:
            return [found.delivery for found in store.find(Query(text=subject), limit=1_000_000)[0]]

    def states(self, subject: str) -> dict[str, State]:
        """Recipient -> state."""
        return {delivery.recipient: delivery.state for delivery in self.deliveries(subject)}

    def wait_for(self, subject: str, *states: State, patience: float = PATIENCE) -> list[Delivery]:
        """The deliveries of a subject, when all of them are in one of these states."""

        def asked() -> list[Delivery]:
            found = self.deliveries(subject)
            return found if found and all(delivery.state in states for delivery in found) else []

        found = eventually(asked, patience=patience)
        assert found, f"not {states} after {patience:.0f} s:\n{self.story(subject)}"
        return found

    def wait_until_sent(self, subject: str, *, patience: float = PATIENCE) -> None:
        self.wait_for(subject, State.SENT, patience=patience)

    def held(self, mailbox: str) -> str:
        """Why the lane of a mailbox is held, once it is."""

        def asked() -> str:
            with self.store() as store:
                return next((lane.held for lane in store.lanes() if lane.name.endswith(f":{mailbox}")), "")

        reason = eventually(asked)
        assert reason, f"the lane of {mailbox} is not held"
        return reason

    def story(self, subject: str) -> str:
        """All that happened to the mails with a subject, a line each."""
        lines = []
        with self.store() as store:
            for number in dict.fromkeys(found.message.id for found in store.find(Query(text=subject), limit=100)[0]):
                story = store.story(number)
                assert story is not None
                lines += [f"{each.at} {each.name}: {each.text}" for each in story.events]
                lines += [f"{each.started_at} attempt: {each.resolution.value}, {each.looks} looks, {each.text}" for each in story.attempts]
        return "\n".join(sorted(lines)) or f"the queue has no mail {subject!r}"

    def arrived(self, subject: str) -> list[str]:
        """Who in the outside world got it; each copy counts."""
        found = self.emulator.ask("GET", "/outside", params={"subject": subject, "limit": 1_000_000})["messages"]
        return sorted(copy["to"] for copy in found)

    def copies(self, subject: str) -> list[bytes]:
        """The bytes of each copy in the outside world."""
        found = self.emulator.ask("GET", "/outside", params={"subject": subject, "limit": 1_000_000})["messages"]
        return [self.emulator.outside_raw(copy["id"]) for copy in found]

    def sent_items(self, account: str, subject: str) -> list[dict[str, Any]]:
        return [message for message in self.emulator.folder(account, "sentitems") if message["subject"] == subject]

    def drafts(self, account: str = MARY) -> list[dict[str, Any]]:
        return self.emulator.folder(account, "drafts")

    def requests(self, operation: str) -> list[dict[str, Any]]:
        """What the tenant was asked since the counters were reset, oldest first."""
        found = self.emulator.ask("GET", "/requests", params={"limit": 2000})
        return [request for request in found if request["operation"] == operation]

    def count(self, operation: str) -> int:
        counted: int = self.emulator.ask("GET", "/counters")["by_operation"].get(operation, 0)
        return counted

    def faults_left(self) -> int:
        """How many faults wait for their request."""
        return sum(fault["left"] for fault in self.emulator.ask("GET", "/faults"))

    def calm(self) -> None:
        """No faults, no odd switches, no old counts."""
        self.emulator.ask("DELETE", "/faults")
        self.emulator.switch(**{switch["name"]: switch["default"] for switch in self.emulator.ask("GET", "/switches")})
        self.emulator.ask("DELETE", "/counters")


def submit(smtp: smtplib.SMTP, raw: bytes, sender: str | None, recipients: Sequence[str]) -> str:
    """One mail in an open session; its id. Raises SMTPResponseException with the first refusal."""
    _expect(250, smtp.mail(sender or "<>", [f"SIZE={len(raw)}"]))
    for recipient in recipients:
        _expect(250, smtp.rcpt(recipient))
    answer = smtp.data(raw)
    _expect(250, answer)
    return _text(answer[1]).rpartition(" ")[2]


def _expect(code: int, answer: tuple[int, bytes]) -> None:
    if answer[0] != code:
        raise smtplib.SMTPResponseException(answer[0], answer[1])


def _text(reply: bytes | str) -> str:
    return reply.decode("ascii", "replace") if isinstance(reply, bytes) else reply
