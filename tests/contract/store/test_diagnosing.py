"""What the doctor has seen, and what others report, over every store."""

from __future__ import annotations

from datetime import timedelta

from mailroom.ports import AggregateReport, KeptLook, ReportRow, Store
from tests.contract.store.makers import FakeClock

ROW = ReportRow(
    "192.0.2.1", 12, "example.com", "none", dkim=True, spf=False, dkim_domains=("example.com", "ses.test"), spf_domain="ses.test"
)


def report(clock: FakeClock, number: str = "1", domain: str = "example.com", *rows: ReportRow) -> AggregateReport:
    now = clock()
    return AggregateReport("google.com", number, domain, now - timedelta(days=1), now, "reject", rows or (ROW,))


def test_the_last_look_at_each_domain_is_kept_and_others_are_forgotten(store: Store, clock: FakeClock) -> None:
    store.diagnoses.keep(KeptLook("example.com", clock(), "{}"))
    store.diagnoses.keep(KeptLook("old.test", clock(), "{}"))
    clock.go_on(seconds=60)
    store.diagnoses.keep(KeptLook("example.com", clock(), '{"a": 1}'))
    store.diagnoses.only(["example.com"])
    assert store.diagnoses.looks() == {"example.com": KeptLook("example.com", clock(), '{"a": 1}')}


def test_a_report_counts_once_and_is_given_back_whole(store: Store, clock: FakeClock) -> None:
    assert store.diagnoses.add(report(clock))
    assert not store.diagnoses.add(report(clock))
    assert store.diagnoses.add(report(clock, "1", "other.test"))
    (seen,) = store.diagnoses.seen("example.com", clock() - timedelta(days=7))
    assert (seen.reporter, seen.begins, seen.policy, seen.row) == ("google.com", clock() - timedelta(days=1), "reject", ROW)
    assert store.diagnoses.reported() == {"example.com": (1, clock()), "other.test": (1, clock())}
    assert not store.diagnoses.seen("example.com", clock())


def test_old_reports_are_forgotten_with_their_rows(store: Store, clock: FakeClock) -> None:
    store.diagnoses.add(report(clock))
    before = clock() + timedelta(days=1)
    clock.go_on(seconds=3 * 86400)
    store.diagnoses.add(report(clock, "2"))
    assert store.diagnoses.forget_reports(before, limit=10)
    assert not store.diagnoses.forget_reports(before, limit=10)
    assert len(store.diagnoses.seen("example.com", before - timedelta(days=30))) == 1
