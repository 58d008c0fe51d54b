"""inbound: what the nouns of the way in know about themselves."""

from __future__ import annotations

from mailroom_core.inbound import Action, Original, Report, ReportedRecipient, ReportKind, spelling, unique


def test_failures_and_complaints_are_what_a_report_is_feared_for() -> None:
    recipients = tuple(ReportedRecipient(f"{action.value}@b.example", action) for action in Action)
    report = Report(ReportKind.STANDARD, recipients, Original())
    assert [each.action for each in report.failures] == [Action.FAILED, Action.COMPLAINED]


def test_an_address_has_one_spelling_and_stands_once() -> None:
    assert spelling(" Mary@Example.COM") == "mary@example.com"
    assert spelling("Mäx@Example.com") == "Mäx@example.com"
    assert unique(["Mary@example.com", "bob@example.com", "mary@EXAMPLE.com"]) == ("Mary@example.com", "bob@example.com")
