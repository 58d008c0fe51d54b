"""Aggregate reports: what is read, what is refused, and what is proposed."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.doctor import aggregate
from mailroom.doctor.aggregate import NoReport, read, reports_of
from mailroom.doctor.receiving import DoctorTransport
from mailroom.doctor.senders import each_day, propose, senders
from mailroom.objects import AliasDomain
from mailroom.ports import Job, ReportRow, Seen
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom_core.errors import StoreError
from mailroom_core.mime.source import InMemory
from mailroom_core.model import Deferred, DeliveryId, Failed, Outcome, Sent
from tests.contract.store.makers import FakeClock
from tests.unit.doctor.reports import brought, packed, report, row, zipped

# ---- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, packed, zipped], ids=["xml", "gzip", "zip"])
def test_a_report_is_read_however_it_is_packed(pack: object) -> None:
    found = read(pack(report(row("192.0.2.1", 7), row("2001:db8::1", 2, dkim="fail", spf="fail", disposition="reject"))))  # type: ignore[operator]
    assert (found.reporter, found.number, found.domain, found.policy) == ("google.com", "r-1", "example.com", "none")
    assert (found.begins, found.ends - found.begins) == (datetime(2025, 11, 20, tzinfo=UTC), timedelta(days=1))
    assert found.rows == (
        ReportRow("192.0.2.1", 7, "example.com", "none", True, True, ("example.com", "esp.test"), "bounce.example.com"),
        ReportRow("2001:db8::1", 2, "example.com", "reject", False, False, ("esp.test",), ""),
    )


def test_the_namespace_of_the_new_form_changes_nothing() -> None:
    new = '<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">'
    assert read(report(opened=new)) == read(report())


def test_a_mail_brings_its_reports_and_other_mail_none() -> None:
    assert [each.domain for each in reports_of(InMemory(brought(packed(report()))))] == ["example.com"]
    assert [each.domain for each in reports_of(InMemory(brought(zipped(report()), name="x.zip")))] == ["example.com"]
    assert reports_of(InMemory(b"From: a@b.example\r\nSubject: hello\r\n\r\nHello\r\n")) == []


BOMB = b'<?xml version="1.0"?><!DOCTYPE f [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><feedback>&b;</feedback>'


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not valid XML"),
        (b"hello", "not valid XML"),
        (report()[:-20], "not valid XML"),
        (BOMB, "document type"),
        (b"<html><body>x</body></html>", "no DMARC report"),
        (b"<feedback></feedback>", "report_id, policy_published/domain is missing"),
        (report(row(source="example.com")), "source_ip"),
        (report(row(count=-1)), "count"),
        (report().replace(b"<begin>1763596800", b"<begin>soon"), "date"),
        (report().replace(b"<begin>1763596800", b"<begin>99999999999999999"), "date"),
        (b"<feedback>" + b"<a>" * 20, "too deep"),
        (packed(report())[:60], "unpacked"),
        (b"PK\x03\x04 no archive", "unpacked"),
        (zipped(report(), "second.xml"), "2 files"),
    ],
)
def test_what_is_no_report_is_refused_with_the_reason(raw: bytes, words: str) -> None:
    with pytest.raises(NoReport, match=words):
        read(raw)


@pytest.mark.parametrize("pack", [bytes, packed, zipped], ids=["xml", "gzip", "zip"])
def test_what_is_small_packed_and_large_unpacked_is_given_up(pack: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "MOST", 1024 * 1024)
    with pytest.raises(NoReport, match="larger than 1 MiB"):
        read(pack(b"<feedback>" + b" " * (2 * 1024 * 1024)))  # type: ignore[operator]


@given(st.binary(max_size=400) | st.binary(max_size=100).map(lambda tail: gzip.compress(report())[:80] + tail))
def test_any_bytes_give_a_report_or_are_refused(raw: bytes) -> None:
    try:
        read(raw)
    except NoReport:
        pass


# ---- taking ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    made = open_store(f"sqlite:///{tmp_path / 'doctor.db'}", clock=FakeClock())
    made.apply([AliasDomain(name="example.com")], [], by="test")
    yield made
    made.close()


def take(store: SqlStore, raw: bytes) -> Outcome:
    async def remember(facts: object) -> None:
        raise AssertionError("there is nothing to remember")

    transport = DoctorTransport(store.diagnoses, lambda: store.directory().alias_domains)
    job = Job(cast(object, None), cast(object, None), {DeliveryId(1): "reports@example.com"}, InMemory(raw))  # type: ignore[arg-type]
    return asyncio.run(transport.attempt(job, remember))[DeliveryId(1)]


def said(outcome: Outcome) -> str:
    assert isinstance(outcome, Sent | Failed | Deferred)
    return str(outcome.reply)


def test_a_report_is_kept_once_and_told_in_words(store: SqlStore) -> None:
    assert "1 DMARC report read" in said(take(store, brought(packed(report()))))
    assert "0 of 1" in said(take(store, brought(packed(report()))))
    assert store.diagnoses.reported()["example.com"][0] == 1
    assert "1 DMARC report read" in said(take(store, brought(packed(report(domain="mail.example.com")))))


def test_a_report_about_somebody_else_or_a_broken_one_waits_in_quarantine(store: SqlStore) -> None:
    foreign = take(store, brought(packed(report(domain="other.test"))))
    assert (isinstance(foreign, Failed), "no alias domain of ours" in said(foreign)) == (True, True)
    assert isinstance(take(store, brought(packed(BOMB))), Failed)
    assert store.diagnoses.reported() == {}


def test_other_mail_is_taken_and_a_database_in_trouble_lets_it_wait(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(take(store, b"From: a@b.example\r\n\r\nHello\r\n"), Sent)

    def full(report: object) -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(store.diagnoses, "add", full)
    assert isinstance(take(store, brought(packed(report()))), Deferred)


# ---- proposing ------------------------------------------------------------------------------------------------------

START = datetime(2026, 11, 1, tzinfo=UTC)
OURS = ReportRow("192.0.2.1", 20, "example.com", "none", True, True, ("example.com",), "example.com")


def seen(*rows: ReportRow, days: int = 20, policy: str = "none") -> list[Seen]:
    return [Seen("google.com", START + timedelta(days=day), policy, row) for day in range(days) for row in rows]


def test_a_domain_whose_servers_pass_can_go_on_step_by_step() -> None:
    assert (propose(senders("example.com", seen(OURS))).ready, propose(senders("example.com", seen(OURS))).policy) == (True, "quarantine")
    assert propose(senders("example.com", seen(OURS, policy="quarantine"))).policy == "reject"
    assert not propose(senders("example.com", seen(OURS, policy="reject"))).ready


def test_without_enough_reports_nothing_is_proposed() -> None:
    for few in (seen(OURS, days=5), seen(replace(OURS, count=1)), []):
        assert (propose(senders("example.com", few)).ready, "After 14 days" in propose(senders("example.com", few)).text) == (False, True)


def test_a_server_of_which_part_fails_is_mended_first() -> None:
    partly = replace(OURS, dkim=False, spf=False, count=2)
    made = propose(senders("example.com", seen(OURS, partly)))
    assert (made.ready, "192.0.2.1" in made.text) == (False, True)


def test_strangers_are_named_and_don_t_stand_in_the_way() -> None:
    forger = replace(OURS, source="198.51.100.66", dkim=False, spf=False, dkim_domains=(), spf_domain="")
    made = propose(senders("example.com", seen(OURS, forger)))
    assert (made.ready, made.policy, "198.51.100.66 (400)" in made.text) == (True, "quarantine", True)


def test_the_chart_has_each_day_of_the_month_and_nothing_is_lost() -> None:
    found = senders("example.com", seen(OURS, days=3))
    shown = each_day(found, START + timedelta(days=10))
    assert [each.day for each in shown] == [(START + timedelta(days=number)).date() for number in range(-20, 11)]
    assert sum(each.both + each.one + each.failing for each in shown) == found.mails


def test_sources_are_counted_by_what_proves_them() -> None:
    one = replace(OURS, spf=False, spf_domain="")
    stopped = replace(OURS, source="198.51.100.66", dkim=False, spf=False, disposition="reject", dkim_domains=("esp.test",))
    found = senders("example.com", seen(OURS, one, stopped, days=1))
    ours, other = found.sources
    assert (ours.mails, ours.both, ours.one, ours.failing) == (40, 20, 20, 0)
    assert (other.failing, other.stopped, other.proven_by) == (20, 20, ("esp.test", "example.com"))
    assert [(day.both, day.one, day.failing) for day in found.days] == [(20, 20, 20)]
