"""DKIM keys, mail servers, TLS policies, logos and addresses that send themselves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mailroom.doctor import arriving, bimi, dkim, sending
from mailroom.doctor.answers import Answer, Status
from mailroom.doctor.arriving import Sts, Unfetched
from mailroom.doctor.domain import Wanted, changes, domain_name, examine
from mailroom.doctor.findings import Harm, Look, Record, Verdict
from mailroom.doctor.services import BY_KEY, Way, service_at
from mailroom_core.errors import ConfigError
from tests.dns.world import dkim_key, ed25519_key
from tests.unit.doctor.zone import Records, silent, zone

STRONG, WEAK, TINY = dkim_key(2048), dkim_key(1024), dkim_key(1024)
MICROSOFT = Way("office", BY_KEY["microsoft"], envelope="example.com", signing="example.com")
GOOGLE = Way("google", BY_KEY["google"], envelope="example.com", signing="example.com")


def codes(*looked: Look) -> dict[str, Harm]:
    return {each.code: each.harm for look in looked for each in look.findings}


# ---- DKIM -----------------------------------------------------------------------------------------------------------


def keys(way: Way, records: Records) -> Look:
    found = asyncio.run(dkim.gather("example.com", way.selectors, zone(records)))
    return dkim.judge("example.com", found, [way], "example.com")


def test_both_keys_of_microsoft_must_be_there() -> None:
    name = "TXT selector{}._domainkey.example.com"
    assert keys(MICROSOFT, {name.format(1): STRONG, name.format(2): STRONG}).check.verdict is Verdict.GOOD
    one = keys(MICROSOFT, {name.format(1): STRONG})
    assert codes(one) == {"dkim-microsoft-second": Harm.RISKY}
    assert [each.short for each in one.findings[0].records] == ["selector2._domainkey"]
    none = keys(MICROSOFT, {})
    assert codes(none) == {"dkim-microsoft-missing": Harm.RISKY}
    assert none.findings[0].records[0].value == "selector1-example-com._domainkey.TENANT.onmicrosoft.com."


def test_a_service_with_its_own_envelope_sender_needs_its_key() -> None:
    grid = Way("grid", BY_KEY["sendgrid"], signing="example.com")
    assert codes(keys(grid, {})) == {"dkim-sendgrid-missing": Harm.HARMFUL}
    assert not keys(grid, {"TXT s2._domainkey.example.com": STRONG}).findings


def test_a_pointer_into_nothing_is_told() -> None:
    looked = keys(GOOGLE, {"CNAME google._domainkey.example.com": "gone.test."})
    assert "leads to gone.test, where no key is" in next(each for each in looked.findings if each.code == "dkim-broken-key").title


@pytest.mark.parametrize(
    ("record", "code", "words"),
    [
        (WEAK, "dkim-short-key", "1024 bits"),
        (f"{STRONG}; t=y", "dkim-testing", "t=y"),
        ("v=DKIM1; p=", "dkim-broken-key", "revoked"),
        ("v=DKIM1; k=rsa; p=AAAA!!", "dkim-broken-key", "base64"),
        (STRONG[:200], "dkim-broken-key", "cut off"),
        ("v=DKIM2; p=AAAA", "dkim-broken-key", "DKIM2"),
        ("v=DKIM1; k=dsa; p=AAAA", "dkim-broken-key", "dsa"),
        ("v=DKIM1; k=ed25519; p=AAAA", "dkim-broken-key", "32 bytes"),
        ("v=spf1 -all", "dkim-broken-key", "no key"),
    ],
)
def test_a_key_that_proves_little_is_told(record: str, code: str, words: str) -> None:
    looked = keys(GOOGLE, {"TXT google._domainkey.example.com": record})
    assert any(each.code == code and words in each.title for each in looked.findings)


def test_ed25519_keys_are_keys() -> None:
    assert keys(GOOGLE, {"TXT google._domainkey.example.com": ed25519_key()}).check.verdict is Verdict.GOOD


def test_an_unread_key_is_unchecked_and_not_missing() -> None:
    name = "google._domainkey.example.com"
    looked = keys(GOOGLE, {f"TXT {name}": silent(name, "TXT")})
    assert (looked.findings, looked.check.verdict, len(looked.unchecked)) == ((), Verdict.UNCHECKED, 1)


SES = Way("ses", BY_KEY["ses"], signing="example.com", named=("k1", "k2"))


def test_the_keys_that_the_settings_name_prove_a_service_that_has_others_for_everybody() -> None:
    there = {"TXT k1._domainkey.example.com": STRONG, "TXT k2._domainkey.example.com": STRONG}
    looked = keys(SES, there)
    assert (looked.findings, looked.unchecked, looked.check.verdict) == ((), (), Verdict.GOOD)
    assert dkim.proves(SES, asyncio.run(dkim.gather("example.com", SES.selectors, zone(there)))) is True
    assert "doctor.selectors" in keys(replace(SES, named=()), there).unchecked[0].why


def test_a_named_key_that_is_not_there_is_told() -> None:
    looked = keys(SES, {"TXT k1._domainkey.example.com": STRONG})
    (finding,) = looked.findings
    assert (finding.code, finding.title) == ("dkim-named-missing", "The DKIM key k2._domainkey.example.com is not there")
    assert finding.evidence
    assert dkim.proves(SES, asyncio.run(dkim.gather("example.com", SES.selectors, zone({})))) is False


def test_whether_an_unknown_server_signs_is_unchecked() -> None:
    looked = keys(Way("relay", None, "relay.test", envelope="example.com", signing="example.com"), {})
    assert "mailroom doctor message" in looked.unchecked[0].why


# ---- mail servers, MTA-STS, TLS-RPT, BIMI ---------------------------------------------------------------------------


def servers(records: Records, *, ours: bool = True) -> Look:
    return arriving.judge_servers("example.com", asyncio.run(arriving.gather_servers("example.com", zone(records))), ours=ours)


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ({"MX example.com": "10 mx.example.com.", "A mx.example.com": "192.0.2.1"}, {}),
        ({"MX example.com": "0 ."}, {"mx-null": Harm.HARMFUL}),
        ({"MX example.com": "10 mx.example.com."}, {"mx-no-address": Harm.HARMFUL}),
        (
            {"MX example.com": ["10 mx.example.com.", "20 gone.example.com."], "A mx.example.com": "192.0.2.1"},
            {"mx-no-address": Harm.RISKY},
        ),
        ({"MX example.com": "10 192.0.2.1."}, {"mx-number": Harm.HARMFUL}),
        (
            {
                "MX example.com": "10 mx.example.com.",
                "A mx.example.com": Answer("mx.example.com", "A", Status.FOUND, ("192.0.2.1",), alias="other.test"),
            },
            {"mx-alias": Harm.RISKY},
        ),
        ({"A example.com": "192.0.2.80"}, {"mx-missing": Harm.HARMFUL}),
        ({}, {"mx-missing": Harm.HARMFUL}),
        ({"MX example.com": silent("example.com", "MX")}, {}),
    ],
)
def test_mail_servers_are_judged_by_what_arrives(records: Records, found: dict[str, Harm]) -> None:
    assert codes(servers(records)) == found


def test_where_nobody_expects_answers_an_address_will_do() -> None:
    assert codes(servers({"A example.com": "192.0.2.80"}, ours=False)) == {"mx-missing": Harm.RISKY}


STS_RECORD = Answer("_mta-sts.example.com", "TXT", Status.FOUND, ("v=STSv1; id=20261121",))
POLICY = "version: STSv1\r\nmode: {}\r\nmx: {}\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    ("sts", "found"),
    [
        (Sts(Answer("_mta-sts.example.com", "TXT", Status.NO_NAME)), {}),
        (Sts(STS_RECORD, POLICY.format("enforce", "mx.example.com")), {}),
        (Sts(STS_RECORD, POLICY.format("enforce", "*.example.com")), {}),
        (Sts(STS_RECORD, POLICY.format("enforce", "*.com")), {"mta-sts-mx": Harm.HARMFUL}),
        (Sts(STS_RECORD, POLICY.format("testing", "mx.other.test")), {"mta-sts-mx": Harm.RISKY}),
        (Sts(STS_RECORD, problem="the web server answered 404"), {"mta-sts-unreachable": Harm.RISKY}),
        (Sts(STS_RECORD, "hello"), {"mta-sts-syntax": Harm.RISKY}),
        (Sts(silent("_mta-sts.example.com", "TXT")), {}),
    ],
)
def test_the_policy_of_mta_sts_must_name_the_mail_servers(sts: Sts, found: dict[str, Harm]) -> None:
    known = asyncio.run(
        arriving.gather_servers("example.com", zone({"MX example.com": "10 mx.example.com.", "A mx.example.com": "192.0.2.1"}))
    )
    assert codes(arriving.judge_sts("example.com", sts, known)) == found


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        ((), Verdict.UNUSED),
        (("v=TLSRPTv1; rua=mailto:tls@example.com",), Verdict.GOOD),
        (("v=TLSRPTv1;rua=mailto:a@b.test,https://x.test/y",), Verdict.GOOD),
        (("v=TLSRPTv1; rua=tls@example.com",), Verdict.FOUND),
        (("v=TLSRPTv1; rua=mailto:a@b.test", "v=TLSRPTv1; rua=mailto:c@b.test"), Verdict.FOUND),
    ],
)
def test_reports_about_tls_need_an_address(records: tuple[str, ...], verdict: Verdict) -> None:
    answer = Answer("_smtp._tls.example.com", "TXT", Status.FOUND if records else Status.EMPTY, records)
    assert arriving.judge_rpt("example.com", answer, sts=False, zone="example.com").check.verdict is verdict


@pytest.mark.parametrize(
    ("record", "enforced", "verdict"),
    [
        ("", True, Verdict.UNUSED),
        ("v=BIMI1; l=https://example.com/logo.svg; a=https://example.com/vmc.pem", True, Verdict.GOOD),
        ("v=BIMI1; l=; a=;", False, Verdict.GOOD),
        ("v=BIMI1; l=https://example.com/logo.svg", False, Verdict.FOUND),
        ("v=BIMI1; l=http://example.com/logo.svg", True, Verdict.FOUND),
        ("v=BIMI1; a=https://example.com/vmc.pem", True, Verdict.FOUND),
    ],
)
def test_a_logo_needs_https_and_an_enforced_policy(record: str, enforced: bool, verdict: Verdict) -> None:
    answer = Answer("default._bimi.example.com", "TXT", Status.FOUND if record else Status.EMPTY, (record,) if record else ())
    assert bimi.judge("example.com", answer, enforced=enforced).check.verdict is verdict


# ---- our own address ------------------------------------------------------------------------------------------------

BACK = {"PTR 9.113.0.203.in-addr.arpa": "out.example.com.", "A out.example.com": "203.0.113.9"}


def own(records: Records, lists: tuple[str, ...] = ("bl.test",)) -> tuple[Look, ...]:
    return sending.judge(asyncio.run(sending.gather(["203.0.113.9"], lists, zone(records))), "out.example.com")


def test_an_address_whose_name_leads_back_and_that_no_list_has_is_good() -> None:
    assert [each.check.verdict for each in own(BACK)] == [Verdict.GOOD, Verdict.GOOD]
    assert [each.check.verdict for each in sending.judge((), "x")] == [Verdict.UNUSED, Verdict.UNUSED]


@pytest.mark.parametrize("records", [{}, {"PTR 9.113.0.203.in-addr.arpa": "pool.isp.test.", "A pool.isp.test": "203.0.113.10"}])
def test_a_name_that_is_missing_or_leads_elsewhere_is_harmful(records: Records) -> None:
    assert codes(*own(records)) == {"reverse-dns": Harm.HARMFUL}


def test_a_listed_address_is_harmful_and_the_list_says_why() -> None:
    listed = {**BACK, "A 9.113.0.203.bl.test": "127.0.0.4", "TXT 9.113.0.203.bl.test": "https://bl.test/203.0.113.9"}
    looked = own(listed)
    assert codes(*looked) == {"blocklisted": Harm.HARMFUL}
    assert "https://bl.test/203.0.113.9" in looked[1].findings[0].evidence[1].said


@pytest.mark.parametrize("said", ["127.255.255.254", "203.0.113.80"])
def test_a_list_that_refuses_us_or_has_ended_is_unchecked(said: str) -> None:
    looked = own({**BACK, "A 9.113.0.203.bl.test": said})
    assert (codes(*looked), looked[1].check.verdict, len(looked[1].unchecked)) == ({}, Verdict.UNCHECKED, 1)


# ---- the whole ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"), [("Example.COM.", "example.com"), ("info@example.com", "example.com"), ("bücher.example", "xn--bcher-kva.example")]
)
def test_a_domain_is_read_as_people_write_it(text: str, name: str) -> None:
    assert domain_name(text) == name


@pytest.mark.parametrize("text", ["", "localhost", "192.0.2.1", "exa mple.com", "a..b", "-" * 70 + ".com", "https://example.com"])
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no domain"):
        domain_name(text)


def test_a_record_is_written_in_both_ways_and_split_where_it_is_long() -> None:
    record = Record("_dmarc.mail.example.com", "TXT", "x" * 300, "example.com")
    assert (record.short, record.full) == ("_dmarc.mail", "_dmarc.mail.example.com.")
    assert f'"{"x" * 255}" "{"x" * 45}"' in record.line
    assert Record("example.com", "TXT", "x", "example.com").short == "@"
    assert Record("x.other.test", "TXT", "x", "example.com").short == "x.other.test."


def test_services_are_known_by_their_servers() -> None:
    assert [getattr(service_at(host), "key", None) for host in ("smtp.eu.mailgun.org", "SMTP.office365.com", "evilmailgun.org")] == [
        "mailgun",
        "microsoft",
        None,
    ]


def test_a_report_is_ordered_by_harm_and_tells_what_has_changed() -> None:
    async def no_policy(url: str) -> str:
        raise Unfetched("no web server")

    records: Records = {
        "MX example.com": "10 gone.test.",
        "TXT example.com": "v=spf1 ip4:192.0.2.1",
        "TXT _mta-sts.example.com": "v=STSv1; id=1",
    }
    report = asyncio.run(examine(Wanted("example.com"), zone(records), no_policy, now=datetime(2026, 11, 21, tzinfo=UTC)))
    assert [each.code for each in report.findings] == ["mx-no-address", "dmarc-missing", "mta-sts-unreachable", "spf-no-end"]
    assert report.harmful
    new, gone = changes({"mx-no-address": "before", "spf-missing": "There was none"}, report)
    assert (len(new), gone) == (3, ["There was none"])
