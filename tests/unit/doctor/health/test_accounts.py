"""What is said of an account: of one that works, nothing; of each thing that can be wrong, one finding with what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from demo.processes import CONFIDENTIAL_CLIENT
from mailroom.doctor.findings import Harm, Verdict
from mailroom.doctor.health.accounts import AccountFacts, judge
from mailroom.doctor.health.looking import Usage
from mailroom.objects import Account, GraphRoute, OutgoingServer
from mailroom.vault.expiry import Expiry
from mailroom.wiring.parts import utc_now
from mailroom_core.model import Deferred, Held, Reply
from mailroom_core.oauth.scopes import Tier
from mailroom_core.providers.graph.probe import Rights
from tests.unit.doctor.health.house import MARY, T0, TOM, Installation, codes, only

ALL = Rights(Tier.READ_WRITE, shared=True)
DENIED = Held(Reply(403, "The account has no right to this mailbox", name="ErrorAccessDenied"), lane=True)
WELL = AccountFacts(
    account=Account(name="office", mailbox=MARY),
    connected=True,
    sends=("server office",),
    mailbox=MARY,
    host="graph.microsoft.com",
    rights=ALL,
)


def judged_codes(**changes: object) -> list[str]:
    return codes(judge(replace(WELL, **changes), T0))  # type: ignore[arg-type]  # fields by name


def test_an_account_that_works_gets_no_finding_and_its_tier_is_shown(house: Installation) -> None:
    house.person()
    house.app()
    house.has(*(OutgoingServer(name=name, route=GraphRoute(account=name)) for name in ("office", "app")))
    for name in ("office", "app"):
        found = house.look("account", name)
        assert (found.look.check.verdict, found.look.findings, found.look.unchecked) == (Verdict.GOOD, (), ())
        facts = {each.name: each.said for each in found.facts}
        assert facts["permission tier"].startswith("Mail.ReadWrite")
        assert facts["used by"] == f"server {name}"
        assert {each.asked for each in found.look.check.evidence} >= {"a token"}
    assert [each.what for each in house.look("account", "office").ends] == ["sign-in"]


def test_looking_changes_nothing_in_the_mailbox(house: Installation) -> None:
    house.person()
    before = [house.ask("GET", f"/accounts/{MARY}/folders/{folder}") for folder in ("drafts", "sentitems", "deleteditems")]
    seen = len(house.ask("GET", "/requests"))
    house.look("account", "office")
    made = house.ask("GET", "/requests")[seen:]
    assert [house.ask("GET", f"/accounts/{MARY}/folders/{folder}") for folder in ("drafts", "sentitems", "deleteditems")] == before
    assert {(each["method"], each["status"]) for each in made} == {("POST", 400), ("GET", 200)}


def test_an_account_that_nobody_has_connected(house: Installation) -> None:
    house.has(Account(name="office", client_id="x"), OutgoingServer(name="office", route=GraphRoute(account="office")))
    finding = only(house.look("account", "office"))
    assert (finding.code, finding.harm) == ("not-connected", Harm.HARMFUL)
    assert finding.repairs[0].command == "mailroom connect office"
    assert finding.repairs[0].page == "/accounts/of/office"


def test_nothing_stands_still_while_nobody_uses_the_account(house: Installation) -> None:
    house.has(Account(name="office", client_id="x"))
    assert only(house.look("account", "office")).harm is Harm.RISKY


def test_a_secret_that_has_ended_is_told_in_the_providers_words(house: Installation) -> None:
    house.app()
    house.has(OutgoingServer(name="app", route=GraphRoute(account="app")))
    house.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", expire_secrets=True)
    house.forget_token("app")
    finding = only(house.look("account", "app"))
    assert (finding.code, finding.harm) == ("sign-in-refused", Harm.HARMFUL)
    assert "AADSTS7000222" in finding.evidence[0].said
    assert finding.repairs[0].command == "mailroom connect app --secret"


def test_a_revoked_sign_in(house: Installation) -> None:
    house.person()
    house.has(OutgoingServer(name="office", route=GraphRoute(account="office")))
    house.ask("POST", f"/accounts/{MARY}/revoke", access_tokens=True)
    assert only(house.look("account", "office")).code == "sign-in-refused"


def test_a_mailbox_that_an_app_may_not_reach(house: Installation) -> None:
    house.app()
    house.has(OutgoingServer(name="app", route=GraphRoute(account="app")))
    house.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", only_mailboxes=[MARY])
    finding = only(house.look("account", "app"))
    assert finding.code == "may-not-send"
    assert TOM in finding.title
    assert "Access to OData is disabled" in finding.evidence[0].said


def test_an_app_without_mail_readwrite_whose_account_makes_drafts(house: Installation) -> None:
    house.app()
    house.has(OutgoingServer(name="app", route=GraphRoute(account="app")))
    house.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", roles=["Mail.Send"])
    house.forget_token("app")
    finding = only(house.look("account", "app"))
    assert finding.code == "may-only-send"
    assert [each.command for each in finding.repairs][1] == "mailroom connect app --send-only"


def test_who_only_sends_by_choice_is_well(house: Installation) -> None:
    house.person(read_write=False)
    house.has(OutgoingServer(name="office", route=GraphRoute(account="office")))
    found = house.look("account", "office")
    assert codes(found) == []
    assert {each.name: each.said for each in found.facts}["permission tier"].startswith("Mail.Send:")


def test_a_provider_that_is_not_there_is_a_finding_and_one_that_is_busy_is_not(house: Installation) -> None:
    house.person()
    house.has(OutgoingServer(name="office", route=GraphRoute(account="office")))
    house.ask("POST", "/faults", match={"operation": "sendMail"}, action={"kind": "drop", "when": "before"})
    assert only(house.look("account", "office")).code == "unreachable"
    house.ask("POST", "/faults", match={"operation": "sendMail"}, action={"kind": "answer", "status": 503})
    found = house.look("account", "office")
    assert codes(found) == []
    assert [each.what for each in found.look.unchecked] == ["permissions"]


def test_rights_that_nobody_needs_are_not_missed() -> None:
    assert judged_codes(rights=Rights(None, shared=False, trouble=DENIED)) == ["may-not-send"]
    assert judged_codes(rights=Rights(None, shared=False, trouble=DENIED), sends=(), fetches=("incoming x",)) == []
    assert judged_codes(rights=Rights(Tier.SEND, shared=False, trouble=DENIED)) == ["may-only-send"]
    assert judged_codes(rights=Rights(Tier.SEND, shared=False, trouble=DENIED), account=Account(name="office", read_write=False)) == []


def test_a_token_that_can_not_be_had_at_the_moment_is_unchecked() -> None:
    found = judge(replace(WELL, refused="another process refreshes it", transient=True, rights=None), T0)
    assert (codes(found), found.look.check.verdict) == ([], Verdict.UNCHECKED)
    assert [(each.what, each.why) for each in found.look.unchecked] == [("sign-in", "another process refreshes it")]


def test_without_a_mailbox_to_ask_the_tier_is_unchecked() -> None:
    found = judge(replace(WELL, rights=None), T0)
    assert [each.what for each in found.look.unchecked] == ["permissions"]
    assert "not known" in {each.name: each.said for each in found.facts}["permission tier"]


@pytest.mark.parametrize(("days", "expected"), [(31, []), (30, ["ends-soon"]), (0, ["ended"]), (-5, ["ended"])])
def test_what_ends_is_told_thirty_days_before(days: int, expected: list[str]) -> None:
    end = Expiry("office", "client secret", T0 + timedelta(days=days), "Make a new one")
    found = judge(replace(WELL, ends=(end,)), T0)
    assert codes(found) == expected
    assert found.ends == (end,)


@pytest.mark.parametrize(("used", "expected"), [(799, []), (800, ["limit-near"]), (1000, ["limit-reached"])])
def test_a_tenants_limit_that_is_nearly_used_up(used: int, expected: list[str]) -> None:
    assert judged_codes(usage=(Usage("external recipients of tenant:x in 24 hours", used, 1000),)) == expected


def test_a_sign_in_that_was_not_used_for_two_months(house: Installation) -> None:
    house.person()
    kept = house.parts.vault.open("account:office") or {}
    house.parts.vault.seal("account:office", {**kept, "used_at": (utc_now() - timedelta(days=62)).isoformat()})
    finding = only(house.look("account", "office"))
    assert (finding.code, finding.harm) == ("ends-soon", Harm.RISKY)
    assert "sign-in of office ends on" in finding.title


def test_what_is_used_of_the_tenants_limit_is_counted(house: Installation) -> None:
    house.app(external_recipients_per_day=10)
    house.parts.store.budgets.take(f"tenant:{house.parts.directory().accounts['app'].tenant}", 9, 10, timedelta(days=1))
    found = house.look("account", "app")
    assert [(each.used, each.limit) for each in found.usage] == [(9, 10)]
    assert codes(found) == ["limit-near"]


def test_a_limit_that_accounts_share_is_told_of_the_one_that_sets_it(house: Installation) -> None:
    house.app(external_recipients_per_day=10)
    house.app("other", MARY)
    house.parts.store.budgets.take(f"tenant:{house.parts.directory().accounts['app'].tenant}", 9, 10, timedelta(days=1))
    assert [codes(house.look("account", name)) for name in ("app", "other")] == [["limit-near"], []]


def test_busy_is_deferred_with_a_code_and_silence_without() -> None:
    busy, silent = Deferred(Reply(503, "busy")), Deferred(Reply(0, "no answer"))
    assert judged_codes(rights=Rights(Tier.SEND, shared=False, trouble=busy)) == []
    assert judged_codes(rights=Rights(Tier.SEND, shared=False, trouble=silent)) == ["unreachable"]
