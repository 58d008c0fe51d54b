"""DMARC by the records of a made-up tree of names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import pytest

from mailroom_core.policy.dmarc import Dmarc, Found, Look, Wish, evaluate, find, parse

T = TypeVar("T")
Tree = dict[str, list[str]]


def looked_up(look: Look[T], tree: Tree) -> tuple[T, list[str]]:
    """The result, and which names were asked. A name exists if it, or one below it, is in the tree."""
    asked: list[str] = []
    said: Sequence[str] | None = None
    try:
        name = next(look)
        while True:
            asked.append(name)
            exists = any(each == name or each.endswith(f".{name}") for each in tree)
            said = tree.get(name, []) if exists else None
            name = look.send(said)
    except StopIteration as end:
        result: T = end.value
        return result, asked


def found(domain: str, tree: Tree) -> Found:
    return looked_up(find(domain), tree)[0]


def judged(author: str, tree: Tree, *, dkim: Sequence[str] = (), spf: str = "") -> Dmarc:
    return looked_up(evaluate([author], dkim=dkim, spf=spf), tree)[0]


REJECT: Tree = {"_dmarc.example.com": ["v=DMARC1; p=reject"], "example.com": [], "mail.example.com": []}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=spf1 -all",
        "V=DMARC1; p=none",
        "p=none; v=DMARC1",
        "v=DMARC1",
        "v=DMARC1; p=maybe",
        "v=DMARC1; p=none; sp=maybe",
        "v=DMARC1; rua=https://x.example",
    ],
)
def test_what_is_no_record_is_none(text: str) -> None:
    assert parse(text, "example.com") is None


def test_a_record_with_a_mistake_in_its_policy_still_asks_for_reports() -> None:
    record = parse("v=DMARC1; p=reject; sp=maybe; rua=mailto:d@example.com", "example.com")
    assert record is not None
    assert (record.policy, record.subdomains) == (Wish.NONE, None)


def test_all_tags_are_read_whatever_their_case_and_blanks() -> None:
    record = parse("v=DMARC1 ; P = Reject;sp=quarantine;np=reject; adkim=S; aspf=s; psd=Y; t=y; pct=0; x=1;", "example.com")
    assert record is not None
    assert (record.policy, record.subdomains, record.missing) == (Wish.REJECT, Wish.QUARANTINE, Wish.REJECT)
    assert (record.strict_dkim, record.strict_spf, record.psd, record.testing) == (True, True, "y", True)


def test_the_walk_asks_at_most_eight_names_and_skips_the_middle() -> None:
    _, asked = looked_up(find("a.b.c.d.e.f.g.h.i.mail.example.com"), {})
    assert asked == [
        "_dmarc.a.b.c.d.e.f.g.h.i.mail.example.com",
        "_dmarc.f.g.h.i.mail.example.com",
        "_dmarc.g.h.i.mail.example.com",
        "_dmarc.h.i.mail.example.com",
        "_dmarc.i.mail.example.com",
        "_dmarc.mail.example.com",
        "_dmarc.example.com",
        "_dmarc.com",
    ]


def test_a_subdomain_has_the_policy_of_its_organization() -> None:
    tree = {**REJECT, "_dmarc.example.com": ["v=DMARC1; p=reject; sp=quarantine; np=none"]}
    assert found("mail.example.com", tree).wish is Wish.QUARANTINE
    assert found("Example.COM.", tree).wish is Wish.REJECT
    assert found("gone.example.com", tree).wish is Wish.NONE
    assert found("mail.example.com", {**tree, "_dmarc.example.com": ["v=DMARC1; p=reject"]}).wish is Wish.REJECT
    assert found("mail.example.com", tree).organization == "example.com"


def test_a_domain_that_is_testing_asks_for_less() -> None:
    for policy, wish in (("reject", Wish.QUARANTINE), ("quarantine", Wish.NONE), ("none", Wish.NONE)):
        assert found("example.com", {"_dmarc.example.com": [f"v=DMARC1; p={policy}; t=y"]}).wish is wish


def test_several_records_at_one_name_count_as_none() -> None:
    assert found("example.com", {"_dmarc.example.com": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}).record is None
    assert found("example.com", {"_dmarc.example.com": ["v=DMARC1; p=reject", "something else"]}).wish is Wish.REJECT


def test_a_public_suffix_ends_the_organization_below_it_and_has_a_policy_for_what_has_none() -> None:
    tree = {"_dmarc.bank": ["v=DMARC1; p=reject; psd=y"], "shop.bank": []}
    one = found("mail.shop.bank", tree)
    assert (one.organization, one.wish) == ("shop.bank", Wish.REJECT)
    assert found("bank", tree).organization == "bank"
    assert judged("mail.shop.bank", tree, dkim=["shop.bank"]).result == "pass"
    assert judged("shop.bank", tree, dkim=["other.bank"]).result == "fail"


def test_a_domain_may_say_that_it_is_an_organization_of_its_own() -> None:
    tree = {"_dmarc.example.com": ["v=DMARC1; p=none"], "_dmarc.own.example.com": ["v=DMARC1; p=reject; psd=n"]}
    assert found("mail.own.example.com", tree).organization == "own.example.com"
    assert judged("own.example.com", tree, spf="example.com").result == "fail"
    assert judged("example.com", tree, spf="own.example.com").result == "fail"


def test_an_aligned_signature_or_envelope_proves_the_sender() -> None:
    for dkim, spf in ((["example.com"], ""), ([], "example.com"), (["mail.example.com"], ""), (["else.example", "EXAMPLE.com."], "")):
        one = judged("example.com", REJECT, dkim=dkim, spf=spf)
        assert (one.result, one.wish) == ("pass", Wish.REJECT), (dkim, spf)
    for dkim, spf in (([], ""), (["else.example"], "else.example"), (["badexample.com"], ""), (["com"], "")):
        assert judged("example.com", REJECT, dkim=dkim, spf=spf).result == "fail", (dkim, spf)


def test_a_strict_domain_wants_itself() -> None:
    tree = {**REJECT, "_dmarc.example.com": ["v=DMARC1; p=reject; adkim=s"]}
    assert judged("example.com", tree, dkim=["mail.example.com"]).result == "fail"
    assert judged("example.com", tree, dkim=["example.com"]).result == "pass"
    assert judged("example.com", tree, spf="mail.example.com").result == "pass"


def test_without_a_record_nothing_is_said() -> None:
    assert judged("example.com", {}, dkim=["example.com"]).result == "none"


def test_of_several_senders_each_has_to_pass() -> None:
    both = ["else.example", "example.com"]
    for authors in (both, both[::-1]):
        one, _ = looked_up(evaluate(authors, dkim=["else.example"], spf=""), REJECT)
        assert (one.result, one.domain, one.wish) == ("fail", "example.com", Wish.REJECT)
    assert looked_up(evaluate([], dkim=[], spf=""), {})[0].result == "permerror"
    assert looked_up(evaluate(["example.com", ""], dkim=[], spf=""), {})[0].result == "permerror"
    crowd = [f"d{number}.example" for number in range(6)]
    assert looked_up(evaluate(crowd, dkim=crowd, spf=""), {})[0] == Dmarc(
        result="fail", domain="d0.example", wish=Wish.REJECT, why="From names more domains than any honest mail"
    )
    assert looked_up(evaluate(both, dkim=["example.com"], spf=""), REJECT)[0].result == "none"
