"""Looks at domains through a real name server: right ones, broken ones, and name servers that don't play fair."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from mailroom.doctor import spf
from mailroom.doctor.arriving import Unfetched
from mailroom.doctor.domain import Wanted, examine
from mailroom.doctor.findings import Harm, Report, Verdict
from mailroom.doctor.resolver import Resolver
from mailroom.doctor.services import BY_KEY, Way
from tests.dns.world import dkim_key, healthy, microsoft, others, txt
from tests.dns_server import Between, DnsServer, between, dns_server

MANY = " ".join(f"include:i{number}.many.test" for number in range(11))
BROKEN = [
    "broken.test. MX 10 nowhere.broken.test.",
    txt("broken.test", "v=spf1 ip4:192.0.2.1 -all"),
    txt("broken.test", "v=spf1 include:spf.protection.outlook.com -all"),
    txt("_dmarc.broken.test", "v=DMARC1; p=reject; pct=10"),
    txt("selector1._domainkey.broken.test", dkim_key()[:120]),
]
HOSTILE = [
    txt("loop.test", "v=spf1 include:a.loop.test -all"),
    txt("a.loop.test", "v=spf1 include:b.loop.test -all"),
    txt("b.loop.test", "v=spf1 redirect=a.loop.test"),
    txt("many.test", f"v=spf1 {MANY} -all"),
    *(txt(f"i{number}.many.test", "v=spf1 ip4:192.0.2.1 -all") for number in range(11)),
    txt("huge.test", "v=spf1 " + "ip4:192.0.2.1 " * 3000 + "-all"),
    *(txt("huge.test", f"verification-{number}=" + "x" * 900) for number in range(20)),
    *(f"{each}.test. MX 10 mx.healthy.test." for each in ("loop", "many", "huge")),
    "sub.healthy.test. A 192.0.2.1",
    "a.b.c.healthy.test. A 192.0.2.1",
    "circle.test. MX 10 circle.test.",
    "flat.test. MX 10 mx.healthy.test.",
    txt("flat.test", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8:1::/48 -all"),
    txt("_dmarc.flat.test", "v=DMARC1; p=reject; rua=mailto:dmarc@flat.test"),
    "c1.test. CNAME c2.test.",
    "c2.test. CNAME c1.test.",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsServer]:
    records = [*microsoft(), *others(), *healthy(), *BROKEN, *HOSTILE]
    with dns_server(Path(tmp_path_factory.mktemp("dns")), "\n".join(records)) as made:
        yield made


@pytest.fixture
def middle(server: DnsServer) -> Iterator[Between]:
    with between(server) as made:
        yield made


async def nothing_there(url: str) -> str:
    raise Unfetched(f"{url} is not for tests")


def look(domain: str, address: str, **wanted: object) -> Report:
    ways = (Way("office", BY_KEY["microsoft"], envelope=domain, signing=domain),)
    made = Wanted(domain, **{"ways": ways, "ours": True, **wanted})  # type: ignore[arg-type]

    async def do() -> Report:
        resolver = Resolver((address,))
        return await examine(made, resolver.ask, nothing_there, now=datetime.now(UTC), resolver=", ".join(resolver.servers))

    return asyncio.run(do())


def codes(report: Report) -> set[str]:
    return {each.code for each in report.findings}


def test_a_healthy_domain_has_no_finding_and_nothing_is_left_unchecked(server: DnsServer) -> None:
    report = look("healthy.test", server.address)
    assert (report.findings, report.unchecked, report.harmful) == ((), (), False)
    assert {each.area: each.verdict for each in report.checks if each.verdict is Verdict.GOOD}.keys() == {"MX", "SPF", "DKIM", "DMARC"}
    assert all(each.source == server.address for check in report.checks for each in check.evidence)


def test_a_report_takes_less_than_two_seconds_where_every_answer_takes_20_ms(middle: Between) -> None:
    middle.delay = 0.02
    look("healthy.test", middle.address)
    for domain in ("healthy.test", "many.test"):
        assert look(domain, middle.address).took.total_seconds() < 2


def test_a_broken_domain_has_each_of_its_mistakes_with_evidence(server: DnsServer) -> None:
    report = look("broken.test", server.address)
    assert codes(report) >= {
        "mx-no-address",
        "spf-several",
        "dkim-broken-key",
        "dkim-microsoft-missing",
        "dmarc-old-tags",
        "dmarc-not-aligned",
    }
    assert report.harmful
    assert all(finding.evidence for finding in report.findings)
    harms = [each.harm for each in report.findings]
    assert harms == sorted(harms, key=[*Harm].index)


@pytest.mark.parametrize(
    ("domain", "code"), [("loop.test", "spf-loop"), ("many.test", "spf-too-many-lookups"), ("circle.test", "mx-no-address")]
)
def test_hostile_records_end_with_a_finding(server: DnsServer, domain: str, code: str) -> None:
    report = look(domain, server.address)
    assert code in codes(report)
    assert report.took.total_seconds() < 10


def test_a_huge_record_is_read_whole_and_shown_in_part(middle: Between) -> None:
    report = look("huge.test", middle.address)
    shown = next(each for check in report.checks if check.area == "SPF" for each in check.evidence)
    assert len(shown.said) <= 2000
    assert "spf-server-missing" in codes(report)


def test_aliases_that_go_round_are_unchecked_or_told_and_end(server: DnsServer) -> None:
    report = look("c1.test", server.address)
    assert report.took.total_seconds() < 10
    assert report.unchecked or report.findings


def test_a_silent_name_server_costs_less_than_ten_seconds_and_everything_is_called_unchecked(middle: Between) -> None:
    middle.twist = lambda question, answer: None
    began = time.monotonic()
    report = look("healthy.test", middle.address)
    assert time.monotonic() - began < 10
    assert report.findings == ()
    assert all(each.verdict in (Verdict.UNCHECKED, Verdict.UNUSED) for each in report.checks)
    assert any(middle.address in each.why for each in report.unchecked)


def test_a_name_server_that_is_silent_about_some_names_costs_less_than_ten_seconds_and_the_rest_is_read(middle: Between) -> None:
    middle.twist = lambda question, answer: None if "_dmarc" in question.question[0].name.to_text() else answer
    report = look("healthy.test", middle.address)
    assert report.took.total_seconds() < 10
    assert report.findings == ()
    verdicts = {each.area: each.verdict for each in report.checks}
    assert (verdicts["DMARC"], verdicts["SPF"], verdicts["DKIM"]) == (Verdict.UNCHECKED, Verdict.GOOD, Verdict.GOOD)
    assert any("no answer from" in each.why for each in report.unchecked)


def test_a_name_server_that_takes_nearly_a_second_for_each_answer_costs_less_than_ten(middle: Between) -> None:
    middle.delay = 0.8
    report = look("healthy.test", middle.address)
    assert report.took.total_seconds() < 10
    assert report.findings == ()


def test_a_name_server_that_fails_for_one_name_leaves_this_one_unchecked(middle: Between) -> None:
    def failing(question: dns.message.Message, answer: dns.message.Message) -> dns.message.Message:
        if "_dmarc" in question.question[0].name.to_text():
            answer = dns.message.make_response(question)
            answer.set_rcode(dns.rcode.SERVFAIL)
        return answer

    middle.twist = failing
    report = look("healthy.test", middle.address)
    assert report.findings == ()
    verdicts = {each.area: each.verdict for each in report.checks}
    assert (verdicts["DMARC"], verdicts["SPF"]) == (Verdict.UNCHECKED, Verdict.GOOD)
    assert any("SERVFAIL" in each.why for each in report.unchecked)


def test_an_answer_to_another_question_is_not_believed(middle: Between) -> None:
    def lying(question: dns.message.Message, answer: dns.message.Message) -> dns.message.Message:
        if question.question[0].name.to_text().startswith("_dmarc.healthy"):
            lie = dns.message.make_response(dns.message.make_query("_dmarc.evil.test.", "TXT"))
            lie.id = question.id
            lie.answer = [dns.rrset.from_text("_dmarc.evil.test.", 60, "IN", "TXT", '"v=DMARC1; p=none; rua=mailto:x@evil.test"')]
            return lie
        return answer

    middle.twist = lying
    report = look("healthy.test", middle.address)
    assert "evil" not in str(report)
    assert next(each for each in report.checks if each.area == "DMARC").verdict is Verdict.UNCHECKED


def test_what_dnssec_proves_is_said(middle: Between) -> None:
    def proven(question: dns.message.Message, answer: dns.message.Message) -> dns.message.Message:
        answer.flags |= dns.flags.AD
        return answer

    assert not any(each.validated for check in look("healthy.test", middle.address).checks for each in check.evidence)
    middle.twist = proven
    report = look("healthy.test", middle.address)
    assert all(each.validated for check in report.checks for each in check.evidence)


def test_a_signed_zone_is_read_as_any_other_and_nothing_is_proven_that_the_resolver_has_not_proven(tmp_path: Path) -> None:
    with dns_server(tmp_path, "\n".join([*microsoft(), *healthy()]), signed=True) as signed:
        question = dns.message.make_query("healthy.test.", "MX", want_dnssec=True)
        answer = dns.query.tcp(question, "127.0.0.1", port=signed.port, timeout=10)
        assert any(each.rdtype is dns.rdatatype.RRSIG for each in answer.answer)
        report = look("healthy.test", signed.address)
    assert (report.findings, report.unchecked) == ((), ())
    assert not any(each.validated for check in report.checks for each in check.evidence)


def test_what_dnssec_disproves_is_unchecked_with_the_resolvers_words(middle: Between) -> None:
    """As a validating resolver answers (RFC 4035 5.5, RFC 8914 4.7)."""

    def bogus(question: dns.message.Message, answer: dns.message.Message) -> dns.message.Message:
        if question.question[0].name.to_text() == "healthy.test." and question.question[0].rdtype is dns.rdatatype.TXT:
            answer = dns.message.make_response(question)
            answer.set_rcode(dns.rcode.SERVFAIL)
            answer.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS)])
        return answer

    middle.twist = bogus
    report = look("healthy.test", middle.address)
    assert next(each for each in report.checks if each.area == "SPF").verdict is Verdict.UNCHECKED
    assert any("SERVFAIL (6" in each.why for each in report.unchecked), report.unchecked
    assert report.findings == ()


def test_a_service_whose_addresses_are_listed_passes_and_is_told_to_be_fragile(server: DnsServer) -> None:
    report = look("flat.test", server.address)
    assert "spf-flattened" in codes(report)
    assert not codes(report) & {"spf-server-missing", "dmarc-not-aligned"}


def test_each_question_is_asked_once(middle: Between) -> None:
    look("healthy.test", middle.address)
    assert sorted(middle.asked) == sorted(set(middle.asked))


@pytest.mark.parametrize("domain", ["healthy.test", "loop.test", "many.test", "huge.test", "broken.test", "spf.protection.outlook.com"])
def test_checkdmarc_reads_the_same_in_every_spf_record(server: DnsServer, domain: str) -> None:
    """A witness that knows nothing of our code."""
    from checkdmarc.spf import check_spf
    from checkdmarc.utils import DNS_CACHE

    DNS_CACHE.clear()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.port
    theirs = check_spf(domain, resolver=resolver)
    ours = asyncio.run(spf.gather(domain, Resolver((server.address,)).ask))
    fails = bool(list(ours.all_problems())) or ours.lookups > spf.MOST_LOOKUPS or ours.voids > spf.MOST_VOID
    assert theirs["valid"] is not fails
    if not fails:
        assert (ours.lookups, ours.voids) == (theirs["dns_lookups"], theirs["void_dns_lookups"])


@pytest.mark.parametrize("domain", ["healthy.test", "sub.healthy.test", "a.b.c.healthy.test"])
def test_checkdmarc_finds_the_same_dmarc_record(server: DnsServer, domain: str) -> None:
    from checkdmarc.dmarc import query_dmarc_record
    from checkdmarc.utils import DNS_CACHE

    from mailroom.doctor import dmarc

    DNS_CACHE.clear()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.port
    theirs = query_dmarc_record(domain, resolver=resolver)
    ours = asyncio.run(dmarc.gather(domain, Resolver((server.address,)).ask))
    assert ours.policy is not None
    assert (ours.policy.text, ours.policy.domain) == (theirs["record"], theirs["location"])


def test_neither_the_gateway_nor_the_settings_load_what_only_a_look_needs() -> None:
    """The start of `mailroom serve` waits for none of it."""
    code = "import sys, mailroom.serve, mailroom.wiring.web, mailroom.cli; print(sorted(set(sys.modules) & {'dns', 'checkdmarc'}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_command_tells_it_and_ends_with_one_where_something_is_harmful(server: DnsServer, tmp_path: Path) -> None:
    environment = {**os.environ, "MAILROOM_DATA": str(tmp_path / "data"), "MAILROOM_DOCTOR_RESOLVER": server.address}
    objects = tmp_path / "objects.toml"
    objects.write_text(
        '[account.office]\nmailbox = "info@healthy.test"\n[server.office.graph]\naccount = "office"\n'
        '[alias_domain."healthy.test"]\n[alias_domain."broken.test"]\n'
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "mailroom.cli", *words], capture_output=True, text=True, env=environment, check=False)

    assert run("apply", str(objects)).returncode == 0
    good = run("doctor", "healthy.test")
    assert (good.returncode, "Nothing was found that is wrong." in good.stdout) == (0, True), good.stdout + good.stderr
    bad = run("doctor", "broken.test", "--json")
    assert bad.returncode == 1
    told = json.loads(bad.stdout)
    several = next(each for each in told["findings"] if each["code"] == "spf-several")
    assert several["add"][0]["full_name"] == "broken.test."
    assert several["add"][0]["value"] == "v=spf1 ip4:192.0.2.1 include:spf.protection.outlook.com -all"
    text = run("doctor", "broken.test").stdout
    assert "HARMFUL: broken.test has 2 SPF records" in text
    refused = run("doctor", "no domain.test")
    assert (refused.returncode, "is no domain" in refused.stderr) == (1, True)
