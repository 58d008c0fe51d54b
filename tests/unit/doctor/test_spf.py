"""SPF records, read as RFC 7208 wants it, and what is said about them."""

from __future__ import annotations

import asyncio

import pytest

from mailroom.doctor import spf, spf_judge
from mailroom.doctor.findings import Harm, Look, Verdict
from mailroom.doctor.services import BY_KEY, Way
from mailroom.doctor.spf import Spf, Wrong
from tests.unit.doctor.zone import Records, silent, zone

MICROSOFT = Way("office", BY_KEY["microsoft"], envelope="example.com", signing="example.com")
OUTLOOK = {"TXT spf.protection.outlook.com": "v=spf1 ip4:192.0.2.0/24 -all"}
OWN = Way("relay", None, "relay.example.com", envelope="example.com", signing="example.com", addresses=("203.0.113.9",))


def read(record: str | list[str], more: Records | None = None) -> Spf:
    return asyncio.run(spf.gather("example.com", zone({"TXT example.com": record, **OUTLOOK, **(more or {})})))


def look(record: str | list[str], *ways: Way, more: Records | None = None) -> Look:
    known = zone({**OUTLOOK, **(more or {})})
    wanted = {way.service.include for way in ways if way.service}
    services = {each: asyncio.run(spf.gather(each, known)) for each in wanted}
    return spf_judge.judge("example.com", read(record, more), ways, "example.com", services)


def codes(looked: Look) -> dict[str, Harm]:
    return {each.code: each.harm for each in looked.findings}


def test_a_record_that_lets_our_servers_send_has_no_finding() -> None:
    looked = look("v=spf1 include:spf.protection.outlook.com ip4:203.0.113.9 -all", MICROSOFT, OWN)
    assert (looked.findings, looked.check.verdict) == ((), Verdict.GOOD)
    assert "1 of 10 look-ups" in looked.check.text


def test_a_missing_include_is_harmful_and_the_offered_record_has_it_before_the_end() -> None:
    looked = look("v=spf1 mx -all", MICROSOFT, more={"MX example.com": "10 mx.example.com.", "A mx.example.com": "192.0.2.1"})
    assert codes(looked) == {"spf-server-missing": Harm.HARMFUL}
    (finding,) = looked.findings
    assert finding.records[0].value == "v=spf1 mx include:spf.protection.outlook.com -all"
    assert finding.remove[0].value == "v=spf1 mx -all"
    assert finding.evidence[0].said == "v=spf1 mx -all"


def test_a_services_addresses_instead_of_its_include_are_advice_and_the_offered_record_has_the_include() -> None:
    looked = look("v=spf1 ip4:192.0.2.0/25 ip4:203.0.113.9 ip4:192.0.2.128/25 -all", MICROSOFT, OWN)
    assert codes(looked) == {"spf-flattened": Harm.ADVICE}
    (finding,) = looked.findings
    assert finding.records[0].value == "v=spf1 ip4:203.0.113.9 include:spf.protection.outlook.com -all"
    assert finding.evidence[-1].asked == "TXT spf.protection.outlook.com"
    assert codes(look("v=spf1 ip4:192.0.0.0/16 -all", MICROSOFT)) == {"spf-flattened": Harm.ADVICE}


@pytest.mark.parametrize("record", ["ip4:192.0.2.0/25", "~ip4:192.0.2.0/24", "ip6:2001:db8::/32"])
def test_a_part_of_a_services_addresses_does_not_do(record: str) -> None:
    assert codes(look(f"v=spf1 {record} -all", MICROSOFT)) == {"spf-server-missing": Harm.HARMFUL}


@pytest.mark.parametrize("theirs", ["v=spf1 exists:%{i}.example.net -all", "v=spf1 include:gone.example.net -all", "v=spf1 -all"])
def test_what_a_services_record_does_not_list_is_covered_by_nothing(theirs: str) -> None:
    looked = look("v=spf1 ip4:0.0.0.0/1 -all", MICROSOFT, more={"TXT spf.protection.outlook.com": theirs})
    assert "spf-server-missing" in codes(looked)


def test_where_the_include_would_be_one_too_many_the_list_stays() -> None:
    ten = " ".join(f"include:i{number}.test" for number in range(10))
    more = {f"TXT i{number}.test": "v=spf1 ip4:203.0.113.9 -all" for number in range(10)}
    looked = look(f"v=spf1 ip4:192.0.2.0/24 {ten} -all", MICROSOFT, more=more)
    finding = next(each for each in looked.findings if each.code == "spf-flattened")
    assert (finding.records, "let a program keep the list" in finding.todo) == ((), True)


def test_a_service_whose_record_could_not_be_read_is_unchecked_and_not_missing() -> None:
    name = "spf.protection.outlook.com"
    looked = look("v=spf1 ip4:192.0.2.0/24 -all", MICROSOFT, more={f"TXT {name}": silent(name, "TXT")})
    assert (looked.findings, looked.check.verdict) == ((), Verdict.UNCHECKED)
    assert [each.what for each in looked.unchecked] == [f"SPF of {name}"]


def test_an_include_at_any_depth_counts() -> None:
    more = {"TXT spf.example.net": "v=spf1 include:spf.protection.outlook.com -all"}
    assert not look("v=spf1 include:spf.example.net -all", MICROSOFT, more=more).findings
    assert not look("v=spf1 redirect=spf.example.net", MICROSOFT, more=more).findings


def test_without_a_record_it_is_harmful_where_a_server_needs_it() -> None:
    assert codes(look("something else", MICROSOFT)) == {"spf-missing": Harm.HARMFUL}
    assert look("something else", MICROSOFT).findings[0].records[0].value == "v=spf1 include:spf.protection.outlook.com ~all"
    assert codes(look("something else")) == {"spf-missing": Harm.RISKY}


def test_two_records_become_one_that_holds_both() -> None:
    looked = look(["v=spf1 ip4:192.0.2.1 -all", "v=spf1 ip4:192.0.2.2 ~all"], MICROSOFT)
    assert codes(looked) == {"spf-several": Harm.HARMFUL}
    assert looked.findings[0].records[0].value == "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 include:spf.protection.outlook.com -all"
    assert len(looked.findings[0].remove) == 2


def test_a_word_that_only_begins_like_spf_is_none() -> None:
    assert codes(look("v=spf10 -all")) == {"spf-missing": Harm.RISKY}


def test_eleven_look_ups_are_too_many_and_each_term_says_what_it_costs() -> None:
    more = {f"TXT s{number}.example.net": "v=spf1 a:a.example.net -all" for number in range(5)} | {"A a.example.net": "192.0.2.3"}
    ten = " ".join(f"include:s{number}.example.net" for number in range(5))
    assert codes(look(f"v=spf1 {ten} -all", more=more)) == {"spf-near-limit": Harm.ADVICE}
    looked = look(f"v=spf1 {ten} a:a.example.net -all", more=more)
    assert codes(looked) == {"spf-too-many-lookups": Harm.HARMFUL}
    assert "include:s0.example.net (2)" in looked.findings[0].todo
    assert spf.result(read(f"v=spf1 {ten} a:a.example.net -all", more), "192.0.2.3") == "permerror"


def test_three_terms_that_lead_to_nothing_are_too_many_and_are_left_out_of_the_offered_record() -> None:
    assert not look("v=spf1 a:one.test a:two.test -all").findings
    looked = look("v=spf1 a:one.test mx:two.test exists:ok.test a:three.test ip4:192.0.2.1 -all")
    assert codes(looked) == {"spf-void": Harm.HARMFUL}
    assert looked.findings[0].records[0].value == "v=spf1 exists:ok.test ip4:192.0.2.1 -all"


def test_a_circle_ends_and_is_told_with_its_way() -> None:
    looked = look(
        "v=spf1 include:b.test -all", more={"TXT b.test": "v=spf1 include:c.test -all", "TXT c.test": "v=spf1 include:b.test -all"}
    )
    assert codes(looked) == {"spf-loop": Harm.HARMFUL}
    assert "example.com → b.test → c.test → b.test" in looked.findings[0].title


def test_a_tree_without_an_end_is_given_up() -> None:
    many = " ".join(f"include:x{number}.test" for number in range(20))
    more = {f"TXT x{number}.test": f"v=spf1 {many.replace('include:x', f'include:y{number}')} -all" for number in range(20)}
    more |= {f"TXT y{a}{b}.test": "v=spf1 -all" for a in range(20) for b in range(20)}
    found = read(f"v=spf1 {many} -all", more)
    assert any(each.kind is Wrong.ENDLESS for each in found.all_problems())
    assert "spf-too-many-lookups" in codes(spf_judge.judge("example.com", found, [], "example.com"))


@pytest.mark.parametrize(
    "term",
    [
        "ipv4:192.0.2.1",
        "ip4:192.0.2.1/33",
        "ip4:2001:db8::1",
        "ip6:192.0.2.1",
        "include:",
        "a:",
        "a/33",
        "mx/24//129",
        "all:x",
        "192.0.2.1",
        "-",
    ],
)
def test_what_spf_does_not_know_is_a_mistake(term: str) -> None:
    assert codes(look(f"v=spf1 {term} -all")) == {"spf-syntax": Harm.HARMFUL}


def test_an_include_without_a_record_is_harmful_and_taken_out() -> None:
    looked = look("v=spf1 include:gone.test include:spf.protection.outlook.com -all", MICROSOFT)
    assert codes(looked) == {"spf-include-missing": Harm.HARMFUL}
    assert looked.findings[0].records[0].value == "v=spf1 include:spf.protection.outlook.com -all"


def test_a_record_for_everybody_is_harmful() -> None:
    looked = look("v=spf1 +all", MICROSOFT)
    assert codes(looked) == {"spf-all-pass": Harm.HARMFUL}
    assert looked.findings[0].records[0].value == "v=spf1 include:spf.protection.outlook.com ~all"


def test_a_record_without_an_end_and_with_ptr_is_mended_at_once() -> None:
    looked = look("v=spf1 ip4:192.0.2.1 ptr")
    assert codes(looked) == {"spf-no-end": Harm.ADVICE, "spf-ptr": Harm.ADVICE}
    assert {each.records[0].value for each in looked.findings} == {"v=spf1 ip4:192.0.2.1 ~all"}


def test_our_own_address_must_be_allowed() -> None:
    looked = look("v=spf1 ip4:192.0.2.1 -all", OWN)
    assert codes(looked) == {"spf-address-missing": Harm.HARMFUL}
    assert looked.findings[0].records[0].value == "v=spf1 ip4:203.0.113.9 ip4:192.0.2.1 -all"


def test_too_many_mail_servers_behind_mx_are_an_error() -> None:
    servers = [f"10 m{number}.test." for number in range(11)]
    assert codes(look("v=spf1 mx -all", more={"MX example.com": servers})) == {"spf-many-mx": Harm.HARMFUL}


@pytest.mark.parametrize(
    ("record", "address", "said"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.9", "pass"),
        ("v=spf1 ip4:192.0.2.0/24 -all", "198.51.100.1", "fail"),
        ("v=spf1 ?ip4:192.0.2.0/24 ~all", "192.0.2.9", "neutral"),
        ("v=spf1 ~all", "2001:db8::1", "softfail"),
        ("v=spf1 ip6:2001:db8::/32 -all", "2001:db8::1", "pass"),
        ("v=spf1 a -all", "192.0.2.80", "pass"),
        ("v=spf1 a/24 -all", "192.0.2.81", "pass"),
        ("v=spf1 mx -all", "192.0.2.25", "pass"),
        ("v=spf1 mx//64 -all", "2001:db8:5::99", "pass"),
        ("v=spf1 include:spf.protection.outlook.com -all", "192.0.2.1", "pass"),
        ("v=spf1 -include:spf.protection.outlook.com +all", "192.0.2.1", "fail"),
        ("v=spf1 include:spf.protection.outlook.com ?all", "198.51.100.1", "neutral"),
        ("v=spf1 redirect=spf.protection.outlook.com", "198.51.100.1", "fail"),
        ("v=spf1 exists:%{i}.test -all", "192.0.2.1", "unknown"),
        ("v=spf1 ptr -all", "192.0.2.1", "unknown"),
        ("v=spf1 nonsense -all", "192.0.2.1", "permerror"),
        ("v=spf1", "192.0.2.1", "neutral"),
        ("nothing", "192.0.2.1", "none"),
    ],
)
def test_an_address_is_judged_as_a_receiver_would(record: str, address: str, said: str) -> None:
    more = {
        "A example.com": "192.0.2.80",
        "MX example.com": "10 mx.example.com.",
        "A mx.example.com": "192.0.2.25",
        "AAAA mx.example.com": "2001:db8:5::1",
    }
    assert spf.result(read(record, more), address) == said


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("v=spf1 ip4:192.0.2.9 include:gone.test -all", ("pass", "permerror")),
        ("v=spf1 include:gone.test ip4:192.0.2.9 -all", ("permerror", "permerror")),
        ("v=spf1 include:spf.protection.outlook.com include:broken.test -all", ("pass", "permerror")),
        ("v=spf1 -ip4:192.0.2.9 include:two.test +all", ("fail", "permerror")),
        ("v=spf1 ip4:192.0.2.9 include:round.test -all", ("pass", "permerror")),
        ("v=spf1 ip4:192.0.2.9 mx:many.test -all", ("pass", "permerror")),
        ("v=spf1 ip4:192.0.2.9 redirect=gone.test", ("pass", "permerror")),
        ("v=spf1 ip4:192.0.2.9 include:silent.test -all", ("pass", "unknown")),
        ("v=spf1 include:nested.test -all", ("pass", "permerror")),
        ("v=spf1 ip4:192.0.2.9 nonsense -all", ("permerror", "permerror")),
    ],
)
def test_what_is_broken_behind_a_match_harms_those_who_get_so_far(record: str, said: tuple[str, str]) -> None:
    """But nonsense in the record itself harms everybody (RFC 7208 4.6, 4.6.2)."""
    more: Records = {
        "TXT broken.test": "v=spf1 nonsense -all",
        "TXT two.test": ["v=spf1 -all", "v=spf1 ~all"],
        "TXT round.test": "v=spf1 include:round.test -all",
        "TXT nested.test": "v=spf1 ip4:192.0.2.9 include:gone.test -all",
        "TXT silent.test": silent("silent.test", "TXT"),
        "MX many.test": [f"10 m{number}.test." for number in range(11)],
    }
    found = read(record, more)
    assert (spf.result(found, "192.0.2.9"), spf.result(found, "198.51.100.1")) == said


def test_what_stands_after_all_is_not_evaluated() -> None:
    found = read("v=spf1 ip4:192.0.2.1 -all include:gone.test redirect=gone.test")
    assert (found.lookups, list(found.all_problems())) == (0, [])


def test_a_name_server_that_does_not_tell_leaves_it_unchecked() -> None:
    looked = look("x", MICROSOFT, more={"TXT example.com": silent("example.com", "TXT")})
    assert (looked.check.verdict, looked.findings) == (Verdict.UNCHECKED, ())
    assert "no answer" in looked.unchecked[0].why
    looked = look("v=spf1 include:b.test include:spf.protection.outlook.com -all", MICROSOFT, more={"TXT b.test": silent("b.test", "TXT")})
    assert (looked.check.verdict, looked.findings) == (Verdict.UNCHECKED, ())
    assert spf.result(read("v=spf1 a:b.test -all", {"A b.test": silent("b.test", "A")}), "192.0.2.1") == "unknown"
