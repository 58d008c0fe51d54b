"""What a report proposes, what is made of it, and how it is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from mailroom.audit import Wanted
from mailroom.cutover.desk import CutoverDesk, Step, deadline
from mailroom.cutover.report import Report, read
from mailroom.objects import Application, Scope, Token
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom_core.errors import ConfigError
from tests.contract.store.makers import FakeClock, Maker
from tests.unit.console.desks import cutover_of

BY = "user:anna@example.com"
REPORT = read(
    b"Sender address,Messages sent,Authentication protocol,TLS 1.0,TLS 1.2\nscanner@contoso.example,900,Basic,100,0\n"
    b"erp@contoso.example,500,Basic,0,100\nnew@contoso.example,20,OAuth,0,100\nscanner@fabrikam.example,3,Basic,0,100\n"
)


@dataclass
class Office:
    store: SqlStore
    clock: FakeClock
    desk: CutoverDesk

    def sends(self, application: str, sender: str | None = None) -> None:
        self.clock.go_on(seconds=1)
        self.store.put([Maker(self.clock).message("a@b.example", application=application, sender=sender)])
        self.clock.go_on(seconds=1)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    clock = FakeClock()
    store = open_store(tmp_path / "mailroom.db", clock=clock)
    store.apply([Application(name="odoo", key="k" * 64, senders=("ERP@contoso.example", "info@contoso.example"))], [], by="test")
    yield Office(store, clock, cutover_of(store, clock))
    store.close()


def test_a_preview_proposes_one_application_for_each_and_changes_nothing(office: Office) -> None:
    proposals = {each.client.address: (each.step, each.application) for each in office.desk.preview(REPORT)}
    assert proposals == {
        "scanner@contoso.example": (Step.NEW, "scanner"),
        "erp@contoso.example": (Step.EXISTING, "odoo"),
        "new@contoso.example": (Step.MODERN, "new"),
        "scanner@fabrikam.example": (Step.NEW, "scanner-fabrikam"),
    }
    assert set(office.store.directory().applications) == {"odoo"}
    assert office.desk.progress().movers == ()


def test_who_uses_a_password_gets_an_application_that_may_send_as_that_address_alone(office: Office) -> None:
    progress = office.desk.take(REPORT, by=BY)
    assert [each.address for each in progress.movers] == ["scanner@contoso.example", "erp@contoso.example", "scanner@fabrikam.example"]
    assert (progress.done, [each.made for each in progress.movers]) == (0, [True, False, True])
    assert office.store.directory().applications["scanner"].senders == ("scanner@contoso.example",)
    told, _ = office.store.audited(Wanted(by=BY), limit=20)
    assert sorted((each.kind, each.name) for each in told) == [
        ("application", "scanner"),
        ("application", "scanner-fabrikam"),
        ("cutover", "erp@contoso.example"),
        ("cutover", "scanner@contoso.example"),
        ("cutover", "scanner@fabrikam.example"),
    ]
    assert {each.step for each in office.desk.preview(REPORT)} == {Step.LISTED, Step.MODERN}


def test_no_application_gets_the_name_of_mail_that_we_write_ourselves(office: Office) -> None:
    report = read(b"Sender address,Messages sent,Authentication protocol\nmailroom@contoso.example,9,Basic\n")
    office.desk.take(report, by=BY)
    assert set(office.store.directory().applications) == {"odoo", "mailroom-contoso"}


def test_only_chosen_addresses_are_taken_and_they_must_be_in_the_report(office: Office) -> None:
    progress = office.desk.take(REPORT, ["New@contoso.example"], by=BY)
    assert [each.address for each in progress.movers] == ["new@contoso.example"]
    with pytest.raises(ConfigError, match=r"does not name other@contoso\.example"):
        office.desk.take(REPORT, ["other@contoso.example"], by=BY)


def test_an_address_is_done_with_its_first_mail(office: Office) -> None:
    office.desk.take(REPORT, by=BY)
    office.sends("scanner")
    office.sends("odoo", "info@contoso.example")
    progress = office.desk.progress()
    assert (progress.done, progress.movers[-1].address) == (1, "scanner@contoso.example"), "who is done comes last"
    office.sends("odoo", "erp@contoso.example")
    assert office.desk.progress().done == 2


def test_a_newer_report_says_who_is_still_there(office: Office) -> None:
    office.desk.take(REPORT, by=BY)
    office.sends("scanner")
    assert office.desk.progress().done == 1
    office.clock.go_on(hours=24)
    later = office.desk.take(Report(REPORT.clients[:1], (), 0), by=BY)
    done = next(each for each in later.movers if each.address == "scanner@contoso.example")
    assert done.done_at is not None
    assert done.reported_at > done.done_at


def test_a_password_is_made_for_what_was_made_here_and_spares_what_others_use(office: Office) -> None:
    office.desk.take(REPORT, by=BY)
    application, password = office.desk.new_password("scanner@contoso.example", by=BY)
    assert application.name == "scanner"
    assert len(password) >= 20
    assert office.store.directory().applications["scanner"].key
    with pytest.raises(ConfigError, match="was there before, and has a password"):
        office.desk.new_password("erp@contoso.example", by=BY)
    with pytest.raises(ConfigError, match="is not on the list"):
        office.desk.new_password("other@contoso.example", by=BY)
    office.store.apply([], [("application", "scanner")], by="test")
    with pytest.raises(ConfigError, match="was removed"):
        office.desk.new_password("scanner@contoso.example", by=BY)


def test_undo_removes_what_never_sent_and_leaves_the_rest(office: Office) -> None:
    office.desk.take(REPORT, by=BY)
    office.sends("scanner-fabrikam")
    done = office.desk.undo(by=BY)
    assert set(done.removed) == {"scanner@contoso.example", "erp@contoso.example"}
    assert done.kept == {"scanner@fabrikam.example": "its mail comes through Mailroom"}
    assert set(office.store.directory().applications) == {"odoo", "scanner-fabrikam"}
    assert [each.address for each in office.desk.progress().movers] == ["scanner@fabrikam.example"]


def test_undo_leaves_an_application_that_a_token_needs_and_says_so(office: Office) -> None:
    office.desk.take(REPORT, by=BY)
    office.store.apply([Token(name="t", key="k" * 64, scopes=(Scope.SEND,), application="scanner")], [], by="test")
    done = office.desk.undo(["scanner@contoso.example", "other@contoso.example"], by=BY)
    assert done.removed == ()
    assert "'t'" in done.kept["scanner@contoso.example"]
    assert done.kept["other@contoso.example"] == "it is not on the list"
    assert "scanner" in office.store.directory().applications


def test_the_date_is_told_with_the_days_that_are_left() -> None:
    assert "in 30 days" in deadline(date(2026, 12, 1))
    assert "tomorrow" in deadline(date(2026, 12, 30))
    assert "today" in deadline(date(2026, 12, 31))
    assert "has switched" in deadline(date(2027, 1, 1))
