"""DMARC by RFC 9989: which record holds, what it asks for, and whether our servers' mail passes."""

from __future__ import annotations

import asyncio

import pytest

from mailroom.doctor import dkim, dmarc, dmarc_judge, spf
from mailroom.doctor.answers import Ask
from mailroom.doctor.findings import Harm, Look, Verdict
from mailroom.doctor.services import BY_KEY, Way
from tests.dns.world import dkim_key
from tests.unit.doctor.zone import Records, silent, zone

KEY = dkim_key(1024)
MICROSOFT = Way("office", BY_KEY["microsoft"], envelope="example.com", signing="example.com")
SES = Way("ses", BY_KEY["ses"], signing="example.com")
SENDGRID = Way("grid", BY_KEY["sendgrid"], signing="example.com")
MAILGUN = Way("gun", BY_KEY["mailgun"], envelope="mg.example.com", signing="mg.example.com")


def found(domain: str, records: Records) -> dmarc.Dmarc:
    return asyncio.run(dmarc.gather(domain, zone(records)))


def look(record: str | list[str], *ways: Way, more: Records | None = None, domain: str = "example.com") -> Look:
    return asyncio.run(_look(domain, zone({"TXT _dmarc.example.com": record, "MX example.com": "0 mx.example.com.", **(more or {})}), ways))


async def _look(domain: str, ask: Ask, ways: tuple[Way, ...]) -> Look:
    facts = await dmarc_judge.gather_facts(domain, ways, ask)
    envelopes = {way.envelope for way in ways if way.envelope}
    spfs = {each: await spf.gather(each, ask) for each in envelopes}
    keys = [key for each, names in dkim.selectors_of(ways).items() for key in await dkim.gather(each, names, ask)]
    return dmarc_judge.judge(facts, ways, spfs, keys, "example.com")


def codes(looked: Look) -> dict[str, Harm]:
    return {each.code: each.harm for each in looked.findings}


GOOD = "v=DMARC1; p=reject; rua=mailto:d@example.com"
SPF = {
    "TXT example.com": "v=spf1 include:spf.protection.outlook.com -all",
    "TXT spf.protection.outlook.com": "v=spf1 ip4:192.0.2.0/24 -all",
}


def test_the_walk_asks_for_the_domain_and_at_most_seven_names_above() -> None:
    assert dmarc.steps("a.b.example.com") == ["a.b.example.com", "b.example.com", "example.com", "com"]
    deep = dmarc.steps("a.b.c.d.e.f.g.h.i.j.mail.example.com")
    assert (len(deep), deep[1], deep[-1]) == (8, "g.h.i.j.mail.example.com", "com")


@pytest.mark.parametrize(
    ("domain", "records", "holds", "organisation"),
    [
        ("example.com", {"example.com": "v=DMARC1; p=none"}, "example.com", "example.com"),
        ("a.b.example.com", {"example.com": "v=DMARC1; p=none"}, "example.com", "example.com"),
        ("a.b.example.com", {"b.example.com": "v=DMARC1; p=none", "example.com": "v=DMARC1; p=none"}, "example.com", "example.com"),
        ("a.b.example.com", {"b.example.com": "v=DMARC1; p=none; psd=n", "example.com": "v=DMARC1"}, "b.example.com", "b.example.com"),
        ("a.shop.co.test", {"co.test": "v=DMARC1; p=reject; psd=y"}, "co.test", "shop.co.test"),
        ("a.shop.co.test", {"shop.co.test": "v=DMARC1; p=none", "co.test": "v=DMARC1; psd=y"}, "shop.co.test", "shop.co.test"),
        ("a.example.com", {"a.example.com": "v=DMARC1; p=reject", "example.com": "v=DMARC1; p=none"}, "a.example.com", "example.com"),
        ("example.com", {}, None, "example.com"),
    ],
)
def test_the_tree_walk_finds_the_record_and_the_organisation(
    domain: str, records: dict[str, str], holds: str | None, organisation: str
) -> None:
    walked = found(domain, {f"TXT _dmarc.{name}": record for name, record in records.items()})
    assert (walked.policy.domain if walked.policy else None, walked.organisation) == (holds, organisation)


def test_subdomains_and_names_that_do_not_exist_have_policies_of_their_own() -> None:
    records = {"TXT _dmarc.example.com": "v=DMARC1; p=none; sp=quarantine; np=reject", "A there.example.com": "192.0.2.1"}
    assert found("example.com", {**records, "MX example.com": "0 ."}).wish == "none"
    assert found("there.example.com", records).wish == "quarantine"
    assert found("not.example.com", records).wish == "reject"
    assert found("not.example.com", {"TXT _dmarc.example.com": "v=DMARC1; p=quarantine"}).wish == "quarantine"


def test_a_record_in_test_is_applied_one_step_milder() -> None:
    for policy, applied in (("reject", "quarantine"), ("quarantine", "none"), ("none", "none")):
        assert found("example.com", {"TXT _dmarc.example.com": f"v=DMARC1; p={policy}; t=y"}).applied == applied


def test_an_enforced_record_with_reports_has_no_finding() -> None:
    looked = look(GOOD, MICROSOFT, more=SPF)
    assert (looked.findings, looked.unchecked, looked.check.verdict) == ((), (), Verdict.GOOD)


def test_without_a_record_one_is_offered() -> None:
    looked = look("something", more={})
    assert codes(looked) == {"dmarc-missing": Harm.RISKY}
    assert looked.findings[0].records[0].line == '_dmarc.example.com. 3600 IN TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@example.com"'
    assert looked.findings[0].records[0].short == "_dmarc"


def test_several_records_count_as_none() -> None:
    assert codes(look([GOOD, GOOD])) == {"dmarc-several": Harm.RISKY}


@pytest.mark.parametrize(
    ("record", "code", "offered"),
    [
        ("v=DMARC1; p=none; rua=mailto:d@example.com", "dmarc-none", "v=DMARC1; p=quarantine; rua=mailto:d@example.com"),
        ("v=DMARC1; p=quarantine; t=y; rua=mailto:d@example.com", "dmarc-none", "v=DMARC1; p=quarantine; rua=mailto:d@example.com"),
        ("v=DMARC1; p=refuse; rua=mailto:d@example.com", "dmarc-policy", "v=DMARC1; p=none; rua=mailto:d@example.com"),
        ("v=DMARC1; p=refuse", "dmarc-policy", "v=DMARC1; p=none; rua=mailto:dmarc-reports@example.com"),
        ("v=DMARC1; rua=mailto:d@example.com", "dmarc-policy", "v=DMARC1; rua=mailto:d@example.com; p=none"),
        ("v=DMARC1; p=reject; sp=none; rua=mailto:d@example.com", "dmarc-subdomains", GOOD),
        ("v=DMARC1; p=reject; np=none; rua=mailto:d@example.com", "dmarc-nonexistent", GOOD),
        ("v=DMARC1; p=reject; pct=20; ri=3600; rua=mailto:d@example.com", "dmarc-old-tags", GOOD),
        ("v=DMARC1; p=reject; ruaa=x; rua=mailto:d@example.com", "dmarc-unknown-tags", GOOD),
        ("v=DMARC1; p=reject", "dmarc-no-reports", "v=DMARC1; p=reject; rua=mailto:dmarc-reports@example.com"),
    ],
)
def test_each_weakness_has_its_finding_and_a_record_that_mends_it(record: str, code: str, offered: str) -> None:
    looked = look(record)
    assert list(codes(looked)) == [code]
    assert looked.findings[0].records[0].value == offered


def test_two_mistakes_are_mended_by_one_record() -> None:
    looked = look("v=DMARC1; p=reject; pct=20")
    assert {each.records[0].value for each in looked.findings} == {"v=DMARC1; p=reject; rua=mailto:dmarc-reports@example.com"}


def test_a_foreign_address_must_want_the_reports() -> None:
    record = "v=DMARC1; p=reject; rua=mailto:x@reports.test"
    looked = look(record)
    assert codes(looked) == {"dmarc-report-address": Harm.ADVICE}
    assert looked.findings[0].records[0].full == "example.com._report._dmarc.reports.test."
    assert not look(record, more={"TXT example.com._report._dmarc.reports.test": "v=DMARC1"}).findings


def test_a_server_that_neither_spf_nor_dkim_proves_fails() -> None:
    looked = look(GOOD, MICROSOFT, more={"TXT example.com": "v=spf1 -all"})
    assert codes(looked) == {"dmarc-not-aligned": Harm.HARMFUL}
    assert "outgoing server office" in looked.findings[0].title
    assert codes(look("v=DMARC1; p=none; rua=mailto:d@example.com", SENDGRID))["dmarc-not-aligned"] is Harm.RISKY


def test_a_signature_is_enough() -> None:
    signed: Records = {"TXT s1._domainkey.example.com": KEY}
    assert not look(GOOD, SENDGRID, more=signed).findings


def test_a_service_whose_keys_are_unknown_is_unchecked() -> None:
    looked = look(GOOD, SES)
    assert not looked.findings
    assert [each.what for each in looked.unchecked] == ["DMARC of outgoing server ses"]


def test_alignment_is_by_organisation_unless_it_is_strict() -> None:
    more: Records = {"TXT mg.example.com": "v=spf1 include:mailgun.org ~all", "TXT mailgun.org": "v=spf1 ip4:192.0.2.0/24 ~all"}
    assert not look(GOOD, MAILGUN, more=more).findings
    assert codes(look(f"{GOOD}; aspf=s; adkim=s", MAILGUN, more=more)) == {"dmarc-not-aligned": Harm.HARMFUL}
    assert codes(look(GOOD, MAILGUN, more={**more, "TXT _dmarc.mg.example.com": "v=DMARC1; p=none; psd=n"})) == {
        "dmarc-not-aligned": Harm.HARMFUL
    }


def test_a_silent_name_server_leaves_it_unchecked() -> None:
    name = "_dmarc.example.com"
    looked = look("", more={f"TXT {name}": silent(name, "TXT")})
    assert (looked.check.verdict, looked.findings) == (Verdict.UNCHECKED, ())
