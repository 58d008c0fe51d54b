"""policy.routing: each rule of the specification, and where we do better than Odoo.

The cases are mails as they come; the names of the rules are those that `Decision.steps` shows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.routing import decision_seconds
from mailroom_core.inbound import Action, Authentication, AuthenticationResult, Head, Original, Report, ReportedRecipient, ReportKind
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import head
from mailroom_core.model import Envelope
from mailroom_core.policy.aliases import Alias, Domain, Tables, Target, Who
from mailroom_core.policy.answers import AnswerKind, answer, answer_id
from mailroom_core.policy.decision import Arrival, Decision, Facts, Known, Route, Settings, Verdict, dedupe_key
from mailroom_core.policy.routing import questions, route

LEADS = Target("odoo", "crm.lead")
TICKETS = Target("odoo", "helpdesk.ticket")
INBOX = Target("inbox")
SALES = Alias(name="sales", domain="example.com", target=LEADS, local_part=True)
SUPPORT = Alias(name="support", domain="example.com", target=TICKETS, who=Who.KNOWN, refusal="Customers only:\nsee example.com")
TEAM = Alias(name="team", domain="example.com", target=INBOX, thread="room-1", who=Who.FOLLOWERS)
BOARD = Alias(name="board", domain="example.com", target=INBOX, parent="board", who=Who.FOLLOWERS)
BROKEN = Alias(name="broken", domain="example.com", target=INBOX, who=Who.FOLLOWERS)
BANK = Alias(name="bank", domain="example.com", target=LEADS, authenticated=True)
ALARMS = Alias(name="alarms", domain="example.com", target=TICKETS, automatic=True)
NOWHERE = Alias(name="nowhere", target=LEADS, local_part=True)
UNREACHABLE = Alias(name="unreachable", target=LEADS)
ALIASES = [SALES, SUPPORT, TEAM, BOARD, BROKEN, BANK, ALARMS, NOWHERE, UNREACHABLE]
DOMAINS = [
    Domain(name="example.com", reach="Write to sales@example.com."),
    Domain(name="Example.org", bounce="", catchall="", default_from=""),
]
TABLES = Tables(ALIASES, DOMAINS)
OURS = Known(LEADS, "lead-7", message_id="<ours@example.com>")


def mail(*fields: str) -> Head:
    """From bob@shop.example, if the fields say nothing else."""
    own = {field.partition(":")[0] for field in fields}
    usual = {"From": "bob@shop.example", "Message-ID": "<1@shop.example>"}
    given = [f"{name}: {value}" for name, value in usual.items() if name not in own]
    return head(Fields("\r\n".join([*given, *fields, "", ""]).encode()))


def decide(*fields: str, **more: Any) -> Decision:
    tables, arrival, facts = more.pop("tables", TABLES), more.pop("arrival", Arrival()), more.pop("facts", Facts())
    return route(mail(*fields), arrival, tables, facts, **more)


def rule(decision: Decision) -> str:
    assert [step.decided for step in decision.steps] == [False] * (len(decision.steps) - 1) + [True]
    return decision.steps[-1].rule


def targets(decision: Decision) -> list[tuple[Target, str]]:
    return [(each.target, each.thread) for each in decision.routes]


def report(kind: ReportKind, *actions: Action) -> Report:
    return Report(kind, tuple(ReportedRecipient("lost@shop.example", action) for action in actions), Original())


ANSWERING = "In-Reply-To: <ours@example.com>"
KNOWN = Facts(known={"<ours@example.com>": OURS})


# What was forwarded


def test_a_bounce_of_what_we_forwarded_goes_on_before_any_other_rule() -> None:
    back = Arrival(returns_to="anna@shop.example")
    for about in (report(ReportKind.STANDARD, Action.FAILED), report(ReportKind.STANDARD, Action.DELAYED), None):
        decision = decide("Return-Path: <>", "From: mailer-daemon@shop.example", arrival=back, report=about)
        assert (decision.verdict, rule(decision), decision.returns_to) == (Verdict.RETURNED, "forwarded", "anna@shop.example")
        assert "  to anna@shop.example: passed on" in decision.lines()


def test_what_is_no_bounce_does_not_go_on_to_strangers_and_neither_do_too_many() -> None:
    back = Arrival(returns_to="anna@shop.example")
    for decision in (decide(arrival=back), decide("Return-Path: <>", arrival=back, facts=Facts(returned=20))):
        assert (decision.verdict, rule(decision), decision.returns_to) == (Verdict.QUARANTINED, "forwarded", "")


# 4.1 Which recipients count


@pytest.mark.parametrize("field", ["To", "Cc", "Delivered-To", "X-Original-To", "Resent-To", "Resent-Cc", "Envelope-To"])
def test_an_alias_is_found_wherever_a_recipient_may_stand(field: str) -> None:
    decision = decide(f"{field}: Sales@Example.com")
    assert (decision.verdict, rule(decision), targets(decision)) == (Verdict.ALIAS, "aliases", [(LEADS, "")])


def test_an_alias_in_bcc_is_found_in_the_trace_lines() -> None:
    hidden = "Received: by mx.example.com for <sales@example.com>; Fri, 20 Nov 2026 12:00:00 +0000"
    assert targets(decide("To: undisclosed-recipients:;", hidden)) == [(LEADS, "")]
    assert targets(decide("To: alarms@example.com", hidden)) == [(TICKETS, "")], "only where nobody else is named"


def test_with_an_envelope_nothing_but_its_recipients_counts() -> None:
    arrival = Arrival(envelope=Envelope("bob@shop.example", ("sales@example.com",)))
    forged = ("To: support@example.com", "Delivered-To: bounce@example.com", "Received: by x for <alarms@example.com>;")
    assert targets(decide(*forged, arrival=arrival)) == [(LEADS, "")]


# 4.2 and 4.5 Loops


def test_a_mail_that_has_passed_too_many_servers_is_a_loop() -> None:
    decision = decide("To: sales@example.com", *["Received: by x"] * 51)
    assert (decision.verdict, rule(decision)) == (Verdict.LOOP, "hops")
    assert decide("To: sales@example.com", *["Received: by x"] * 50).verdict is Verdict.ALIAS


def test_a_mail_that_has_passed_too_many_servers_is_refused_while_its_client_waits() -> None:
    arrival = Arrival(envelope=Envelope("bob@shop.example", ("sales@example.com",)), in_session=True)
    decision = decide(*(["Received: by x.example; Fri, 20 Nov 2026 12:00:00 +0000"] * 51), arrival=arrival)
    assert (decision.verdict, rule(decision), decision.answers[0].kind) == (Verdict.REFUSED, "hops", AnswerKind.ROUND_IN_CIRCLES)


def test_our_own_mark_is_a_loop() -> None:
    marked = ("To: sales@example.com", "X-Mailroom-Loop: house-1")
    assert rule(decide(*marked, settings=Settings(mark="house-1"))) == "mark"
    assert decide(*marked, settings=Settings(mark="house-2")).verdict is Verdict.ALIAS
    assert decide(*marked).verdict is Verdict.ALIAS


@pytest.mark.parametrize("marker", ["<1.2-openerp-loop-detection-bounce-email@odoo>", answer_id("x", "mail.example.com")])
@pytest.mark.parametrize("field", ["In-Reply-To", "References"])
def test_what_answers_an_automatic_answer_is_a_loop(marker: str, field: str) -> None:
    decision = decide("To: sales@example.com", f"{field}: {marker}")
    assert (decision.verdict, rule(decision), decision.answers) == (Verdict.LOOP, "our answer", ())


def test_an_automatic_answer_of_ours_is_known_without_its_marker_too() -> None:
    facts = Facts(known={"<ours@example.com>": replace(OURS, answer=True)})
    assert rule(decide("To: sales@example.com", ANSWERING, facts=facts)) == "our answer"


def over(**counts: Any) -> Facts:
    return replace(KNOWN, **counts)


@pytest.mark.parametrize(
    ("fields", "counts", "arrival"),
    [
        (("To: sales@example.com",), {"opened": {LEADS: 20}}, Arrival()),
        (("To: x@example.com",), {"opened": {INBOX: 20}}, Arrival(fallback=INBOX)),
        ((ANSWERING,), {"added": {"lead-7": 20}}, Arrival()),
        (("To: sales@example.com, alarms@example.com",), {"opened": {LEADS: 20}}, Arrival()),
    ],
)
def test_twenty_mails_of_a_sender_within_the_window_are_enough_also_for_the_fallback(
    fields: tuple[str, ...], counts: dict[str, Any], arrival: Arrival
) -> None:
    decision = decide(*fields, facts=over(**counts), arrival=arrival)
    assert (decision.verdict, decision.routes) == (Verdict.LOOP, ())
    assert "within 120 minutes" in decision.why
    assert [each.kind for each in decision.answers] == [AnswerKind.TOO_MANY]
    fewer = {name: dict.fromkeys(value, 19) for name, value in counts.items()}
    assert decide(*fields, facts=over(**fewer), arrival=arrival).routes
    assert decide(*fields, facts=over(**counts), arrival=arrival, settings=Settings(exempt=("shop.example",))).routes
    assert decide(*fields, facts=over(**counts), arrival=arrival, settings=Settings(loop_count=21)).routes


def test_who_waits_for_our_reply_is_told_to_bring_the_mail_later_so_that_nothing_is_lost() -> None:
    decision = decide("To: sales@example.com", facts=over(opened={LEADS: 20}), arrival=Arrival(in_session=True))
    assert decision.verdict is Verdict.REFUSED
    assert [(each.kind, each.code, each.enhanced) for each in decision.answers] == [(AnswerKind.LATER, 450, "4.7.1")]


def test_too_many_answers_end_the_answering_but_not_the_loop_protection() -> None:
    decision = decide("To: sales@example.com", facts=Facts(opened={LEADS: 50}, answers=3))
    assert (decision.verdict, decision.answers) == (Verdict.LOOP, ())
    assert "has got 3 automatic answers already" in decision.withheld


def test_a_mail_without_a_sender_is_not_counted() -> None:
    assert decide("From: nobody", "To: sales@example.com", facts=Facts(opened={LEADS: 50})).verdict is Verdict.ALIAS


# 4.3 (0) Bounces


def test_a_report_of_a_failure_is_a_bounce_wherever_it_was_sent() -> None:
    found = report(ReportKind.STANDARD, Action.FAILED)
    decision = decide("To: sales@example.com", "From: MAILER-DAEMON@shop.example", report=found)
    assert (decision.verdict, rule(decision), decision.routes) == (Verdict.BOUNCE, "report", ())
    assert "lost@shop.example" in decision.why
    nameless = Report(ReportKind.INFORMAL, (ReportedRecipient("", Action.FAILED),), Original())
    assert "does not name" in decide("To: sales@example.com", report=nameless).why


@pytest.mark.parametrize(
    ("kind", "action", "words"),
    [
        (ReportKind.STANDARD, Action.DELAYED, "delayed"),
        (ReportKind.STANDARD, Action.DELIVERED, "delivered"),
        (ReportKind.RECEIPT, None, "read receipt"),
    ],
)
def test_delays_deliveries_and_read_receipts_are_no_bounces_and_open_nothing(kind: ReportKind, action: Action | None, words: str) -> None:
    decision = decide("To: sales@example.com", report=report(kind, *([action] if action else [])))
    assert decision.verdict is Verdict.IGNORED
    assert words in decision.why


@pytest.mark.parametrize(
    "fields",
    [
        ("To: bounce@example.com",),
        ("To: bounce+06xqfhxnc2400-abcdefgh@example.com",),
        ("Delivered-To: BOUNCE@example.com", "To: sales@example.com"),
        ("From: Mailer-Daemon@shop.example", "To: sales@example.com"),
        ("To: sales@example.com", "Content-Type: multipart/report"),
    ],
)
def test_what_looks_like_a_bounce_and_can_not_be_read_waits_for_a_person(fields: tuple[str, ...]) -> None:
    decision = decide(*fields)
    assert (decision.verdict, rule(decision)) == (Verdict.QUARANTINED, "bounce address")


def test_the_bounce_address_in_cc_makes_no_bounce() -> None:
    assert decide("To: sales@example.com", "Cc: bounce@example.com").verdict is Verdict.ALIAS


@pytest.mark.parametrize(
    "mark", ["X-Mailer: y", "Precedence: bulk", "List-Help: <https://provider.example>", "Auto-Submitted: auto-generated"]
)
@pytest.mark.parametrize("address", ["bounce@example.com", "catchall@example.com", "notifications@example.com"])
def test_a_verification_mail_to_the_bounce_catchall_or_notification_address_stays_readable(address: str, mark: str) -> None:
    decision = decide("From: no-reply@provider.example", f"To: {address}", "Subject: Your code", mark)
    assert (decision.verdict, decision.answers) == (Verdict.QUARANTINED, ()), address


def test_an_absence_note_to_the_bounce_address_finds_its_thread_or_is_ignored() -> None:
    note = ("To: bounce@example.com", ANSWERING, "Auto-Submitted: auto-replied")
    decision = decide(*note, facts=KNOWN)
    assert (decision.verdict, decision.routes[0].automatic) == (Verdict.REPLY, True)
    assert decide(*note).verdict is Verdict.IGNORED


# 4.3 (1) Replies


def test_a_reply_is_found_by_our_id_by_the_providers_id_and_by_references() -> None:
    for fields in ((ANSWERING,), ("References: <x@y> <ours@example.com>",), ("In-Reply-To: <unknown@x>", "References: <ours@example.com>")):
        decision = decide("To: catchall@example.com", *fields, facts=KNOWN)
        assert (decision.verdict, rule(decision), targets(decision)) == (Verdict.REPLY, "reply", [(LEADS, "lead-7")])
    provider = Facts(known={"<new@prod.outlook.com>": OURS})
    assert targets(decide("In-Reply-To: <new@prod.outlook.com>", facts=provider)) == [(LEADS, "lead-7")]


def test_the_newest_known_reference_wins_and_in_reply_to_before_it() -> None:
    facts = Facts(known={"<a@x>": Known(LEADS, "a"), "<b@x>": Known(LEADS, "b"), "<c@x>": Known(LEADS, "c")})
    assert targets(decide("References: <a@x> <b@x>", facts=facts)) == [(LEADS, "b")]
    assert targets(decide("References: <a@x> <b@x>", "In-Reply-To: <c@x>", facts=facts)) == [(LEADS, "c")]


def test_ids_that_ask_for_a_new_record_are_no_reply() -> None:
    known = {"<1-openerp-reply_to@odoo>": OURS}
    assert rule(decide("To: sales@example.com", "In-Reply-To: <1-openerp-reply_to@odoo>", facts=Facts(known=known))) == "aliases"


def test_a_conversation_makes_a_reply_only_for_those_who_have_a_part_in_it() -> None:
    facts = Facts(conversation=replace(OURS, correspondents=frozenset({"bob@shop.example"})))
    assert targets(decide("From: Bob@Shop.example", facts=facts)) == [(LEADS, "lead-7")]
    assert decide("From: eve@shop.example", "To: sales@example.com", facts=facts).verdict is Verdict.ALIAS


def test_a_forward_to_another_alias_is_no_reply() -> None:
    decision = decide("To: alarms@example.com", "Cc: bank@example.com", ANSWERING, facts=KNOWN)
    assert (decision.verdict, rule(decision)) == (Verdict.ALIAS, "reply")
    assert targets(decision) == [(TICKETS, "")], "recipients are narrowed to the aliases of the other kind"
    assert any("forwarded to alarms@example.com" in step.said for step in decision.steps)


@pytest.mark.parametrize("arrival", [Arrival(), Arrival(in_session=True)])
@pytest.mark.parametrize("field", ["List-Id: <news.example>", "Precedence: bulk"])
def test_a_list_that_names_our_mail_is_ignored_at_another_alias_as_all_lists_are(field: str, arrival: Arrival) -> None:
    """A refusal would take the alias off the list."""
    decision = decide("To: support@example.com", ANSWERING, field, facts=KNOWN, arrival=arrival)
    assert (decision.verdict, rule(decision), decision.answers) == (Verdict.IGNORED, "reply", ())
    taken = decide("To: support@example.com, alarms@example.com", ANSWERING, field, facts=KNOWN, arrival=arrival)
    assert targets(taken) == [(TICKETS, "")]


def test_an_alias_of_the_same_kind_makes_no_forward_and_brings_its_policy_along() -> None:
    decision = decide("To: sales@example.com", ANSWERING, facts=KNOWN)
    assert (decision.verdict, decision.routes[0].alias) == (Verdict.REPLY, SALES)
    decision = decide("To: bank@example.com", ANSWERING, facts=KNOWN)
    assert (decision.verdict, decision.answers[0].kind) == (Verdict.ANSWERED, AnswerKind.NOT_AUTHENTICATED)


def test_a_follower_of_the_answered_thread_may_write_to_its_alias() -> None:
    room = Facts(known={"<ours@example.com>": Known(INBOX, "room-2")}, follows=frozenset({"room-2"}))
    assert targets(decide("To: broken@example.com", ANSWERING, facts=room)) == [(INBOX, "room-2")]
    assert decide("To: broken@example.com", ANSWERING, facts=replace(room, follows=frozenset())).verdict is Verdict.ANSWERED


def test_a_reply_whose_thread_is_gone_opens_a_new_one_of_its_kind() -> None:
    gone = Facts(known={"<ours@example.com>": replace(OURS, gone=True)})
    assert targets(decide(ANSWERING, facts=gone)) == [(LEADS, "")]
    assert decide(ANSWERING, "Auto-Submitted: auto-replied", facts=gone).verdict is Verdict.IGNORED


# 4.3 (2a), (4) Catchall


def test_the_catchall_written_to_directly_is_answered_with_how_to_reach_the_company() -> None:
    decision = decide("To: Catchall@example.com", "Cc: sales@example.com")
    assert (decision.verdict, rule(decision), decision.routes) == (Verdict.ANSWERED, "catchall alone", ())
    assert decision.answers[0].text.endswith("Write to sales@example.com.")
    assert decision.answers[0].kind.marked


def test_beside_an_alias_the_catchall_does_not_count() -> None:
    assert targets(decide("To: catchall@example.com, sales@example.com")) == [(LEADS, "")]


def test_beside_a_stranger_the_catchall_is_answered_after_the_fallback() -> None:
    fields = ("To: catchall@example.com, somebody@else.example",)
    assert decide(*fields, arrival=Arrival(fallback=INBOX)).verdict is Verdict.FALLBACK
    decision = decide(*fields)
    assert (decision.verdict, rule(decision)) == (Verdict.ANSWERED, "catchall")


# 4.3 (2b) Aliases


def test_two_aliases_in_one_mail_are_two_routes_in_the_order_of_their_targets() -> None:
    decision = decide("To: alarms@example.com", "Cc: sales@example.com, SALES@example.com")
    assert targets(decision) == [(LEADS, ""), (TICKETS, "")]


def test_local_part_matching_takes_any_domain_or_those_that_the_alias_names() -> None:
    assert targets(decide("To: sales@anything.example")) == [(LEADS, "")]
    strict = Tables([replace(SALES, local_part=False, domains=("Allowed.example", "EXAMPLE.com"))], DOMAINS)
    for domain, found in (("anything.example", False), ("allowed.EXAMPLE", True), ("example.org", False), ("example.com", True)):
        assert bool(decide(f"To: sales@{domain}", tables=strict).routes) is found, domain
        assert strict.takes(f"sales@{domain}") is strict.is_ours(f"sales@{domain}") is found, domain
    assert len(decide("To: sales@example.com, sales@allowed.example", tables=strict).routes) == 1, "one alias, however it is called"
    assert decide("To: support@anything.example", facts=Facts(sender_known=True)).routes == (), "it wants its own domain"


def test_mail_servers_bring_no_mail_of_other_domains_by_a_local_part() -> None:
    tables = Tables([SALES], DOMAINS)
    assert [each for each in ("example.com", "example.org", "anything.example") if tables.takes(f"sales@{each}")] == [
        "example.com",
        "example.org",
    ]


def test_what_is_opened_gets_the_values_of_its_alias_and_what_is_there_keeps_its_own() -> None:
    alias = replace(SALES, defaults={"team_id": 3, "priority": "2"})
    tables = Tables([alias], DOMAINS)
    decision = decide("To: sales@example.com", tables=tables)
    assert decision.routes[0].defaults == alias.defaults
    assert decision.lines()[-1].endswith('through sales@example.com: opens something new, with team_id = 3, priority = "2"')
    known = Facts(known={"<1@example.com>": Known(target=LEADS, thread="lead 7")})
    (answer,) = decide("To: sales@example.com", "In-Reply-To: <1@example.com>", tables=tables, facts=known).routes
    assert (answer.alias, answer.defaults, answer.told_defaults()) == (alias, {}, "")


def test_an_alias_without_a_domain_is_found_by_its_local_part_alone() -> None:
    assert targets(decide("To: nowhere@example.com")) == [(LEADS, "")]
    assert decide("To: unreachable@example.com").routes == ()
    assert Tables([NOWHERE], []).matching(["nowhere"]) == []


def test_plus_addresses_are_not_taken_apart() -> None:
    assert decide("To: sales+eu@example.com").routes == ()


def test_an_alias_with_a_thread_adds_to_it() -> None:
    assert targets(decide("To: team@example.com", facts=Facts(follows=frozenset({"room-1"})))) == [(INBOX, "room-1")]


# 4.4 Who may write


@pytest.mark.parametrize(
    ("alias", "facts", "kind"),
    [
        ("sales", Facts(), None),
        ("support", Facts(sender_known=True), None),
        ("support", Facts(), AnswerKind.NOT_ALLOWED),
        ("team", Facts(sender_known=True), AnswerKind.NOT_ALLOWED),
        ("team", Facts(follows=frozenset({"board"})), AnswerKind.NOT_ALLOWED),
        ("board", Facts(follows=frozenset({"board"})), None),
    ],
)
def test_everyone_known_senders_or_followers_may_write(alias: str, facts: Facts, kind: AnswerKind | None) -> None:
    decision = decide(f"To: {alias}@example.com", facts=facts)
    assert [each.kind for each in decision.answers] == ([kind] if kind else [])
    assert decision.verdict is (Verdict.ANSWERED if kind else Verdict.ALIAS)


def test_an_alias_that_makes_no_sense_bounces_nobodys_mail() -> None:
    decision = decide("To: broken@example.com")
    assert (decision.verdict, decision.answers) == (Verdict.QUARANTINED, ())
    assert "put the alias right" in decision.withheld
    decision = decide("To: broken@example.com", arrival=Arrival(in_session=True))
    assert (decision.verdict, decision.answers[0].code) == (Verdict.REFUSED, 451)


def test_a_refused_sender_reads_the_text_of_the_alias() -> None:
    said = decide("To: support@example.com", "Subject: Help").answers[0]
    assert (said.to, said.text, said.subject) == ("bob@shop.example", "Customers only: see example.com", "Re: Help")
    assert said.references == ("<1@shop.example>",)
    assert not said.kind.marked


def test_an_answer_goes_to_the_return_path_and_never_to_null() -> None:
    assert decide("To: support@example.com", "Return-Path: <b@shop.example>").answers[0].to == "b@shop.example"
    decision = decide("To: support@example.com", "Return-Path: <>")
    assert (decision.verdict, decision.answers) == (Verdict.QUARANTINED, ())
    assert "null" in decision.withheld


def test_one_refused_alias_does_not_stop_the_other() -> None:
    decision = decide("To: support@example.com, sales@example.com")
    assert (targets(decision), decision.answers) == ([(LEADS, "")], ())
    assert "support@example.com is for known senders" in decision.why


PROOF = Authentication("mx", (AuthenticationResult("dmarc", "pass", {"header.from": "shop.example"}),))


def test_an_alias_may_want_a_proven_sender() -> None:
    to_bank = replace(mail("To: bank@example.com"), authentication=PROOF)
    assert route(to_bank, Arrival(), TABLES, Facts()).verdict is Verdict.ALIAS
    for unproven in (
        replace(to_bank, authentication=None),
        replace(to_bank, defect="line 3 is no field"),
        replace(to_bank, from_=(*to_bank.from_, ("", "boss@bank.example"))),
        replace(to_bank, from_=(("", "eve@else.example"),)),
    ):
        assert route(unproven, Arrival(), TABLES, Facts()).answers[0].kind is AnswerKind.NOT_AUTHENTICATED


# 4.6 Automatic mail: better than Odoo, which opens a record for it


@pytest.mark.parametrize("field", ["Auto-Submitted: auto-replied", "List-Id: <news.example>", "Precedence: bulk"])
def test_automatic_answers_and_lists_open_nothing(field: str) -> None:
    for arrival in (Arrival(), Arrival(fallback=INBOX)):
        decision = decide("To: sales@example.com", field, arrival=arrival)
        assert (decision.verdict, rule(decision), decision.answers) == (Verdict.IGNORED, "automatic", ())


@pytest.mark.parametrize(
    "fields",
    [
        ("To: catchall@example.com", "Auto-Submitted: auto-replied"),
        ("To: notifications@example.com", "X-Autoreply: yes"),
        ("To: notifications@example.com, sales@example.com", "Precedence: bulk"),
    ],
)
def test_absence_notes_and_mailings_to_an_alias_as_well_do_not_fill_the_quarantine(fields: tuple[str, ...]) -> None:
    assert decide(*fields).verdict is Verdict.IGNORED


def test_an_alias_may_take_automatic_mail_but_does_not_open_the_door_for_others() -> None:
    decision = decide("To: alarms@example.com, sales@example.com", "Precedence: bulk")
    assert targets(decision) == [(TICKETS, "")]
    assert "sales@example.com takes no automatic mail" in decision.why


def test_what_a_program_writes_by_itself_may_open_something_but_is_not_answered() -> None:
    assert decide("To: sales@example.com", "Auto-Submitted: auto-generated").verdict is Verdict.ALIAS
    assert decide("To: support@example.com", "Auto-Submitted: auto-generated").verdict is Verdict.QUARANTINED


def test_an_automatic_answer_to_known_mail_is_a_note_even_if_it_looks_like_a_forward() -> None:
    decision = decide("To: alarms@example.com", ANSWERING, "Auto-Submitted: auto-replied", facts=KNOWN)
    assert (targets(decision), decision.routes[0].automatic) == ([(LEADS, "lead-7")], True)


# 4.3 (3), (5) Fallback and the unknown


def test_the_fallback_takes_what_nobody_else_does() -> None:
    decision = decide("To: office@example.com", arrival=Arrival(fallback=INBOX))
    assert (decision.verdict, rule(decision), targets(decision)) == (Verdict.FALLBACK, "fallback", [(INBOX, "")])


def test_the_unknown_waits_in_quarantine_and_nobody_is_told() -> None:
    decision = decide("To: office@example.com")
    assert (decision.verdict, rule(decision), decision.answers) == (Verdict.QUARANTINED, "unknown", ())
    assert "office@example.com" in decision.why
    assert "nobody" in decide("To: undisclosed-recipients:;").why


def test_the_unknown_is_refused_in_a_session() -> None:
    arrival = Arrival(envelope=Envelope("bob@shop.example", ("office@example.com",)), in_session=True)
    decision = decide(arrival=arrival)
    assert (decision.verdict, decision.answers[0].code, decision.answers[0].enhanced) == (Verdict.REFUSED, 550, "5.1.1")
    decision = decide(arrival=replace(arrival, envelope=Envelope("bob@shop.example", ("support@example.com",))))
    assert (decision.verdict, decision.answers[0].enhanced) == (Verdict.REFUSED, "5.7.1")


def test_our_own_addresses_are_never_answered() -> None:
    decision = decide("From: sales@example.com", "To: catchall@example.com")
    assert decision.verdict is Verdict.QUARANTINED
    assert "a program of ours" in decision.withheld
    assert TABLES.is_ours("bounce+x@example.com")
    assert not TABLES.is_ours("bob@shop.example")


# What has to be looked up, what is remembered, what is shown


def test_questions_name_everything_that_a_decision_may_need() -> None:
    found = questions(
        mail(
            "From: Bob@Shop.example",
            "To: team@example.com",
            ANSWERING,
            "References: <a@x>",
            "Thread-Index: AQIDBAUGBwgJCgsMDQ4PEBESExQVFhc=",  # anybody can write one
        ),
        Arrival(conversation="c1"),
        TABLES,
    )
    assert found.ids == ("<ours@example.com>", "<a@x>")
    assert found.conversation == "c1"
    assert (found.sender, found.aliases) == ("bob@shop.example", (TEAM,))


def test_a_copy_is_known_by_all_that_a_reader_may_go_by_and_never_without_an_id() -> None:
    there, elsewhere = Route(target=LEADS, alias=SALES), Route(target=INBOX, alias=TEAM)
    asked = ("Subject: Order", "Reply-To: bob@shop.example", ANSWERING, "References: <a@x>")
    real = dedupe_key(mail(*asked), "digest", there)
    others = [
        dedupe_key(mail(*asked), "other", there),
        dedupe_key(mail(*asked), "digest", elsewhere),
        dedupe_key(mail(*asked), "digest", replace(there, alias=None)),
        dedupe_key(mail("Subject: Another", *asked[1:]), "digest", there),
        dedupe_key(mail(asked[0], "Reply-To: eve@evil.example", *asked[2:]), "digest", there),
        dedupe_key(mail("From: eve@evil.example", *asked), "digest", there),
        dedupe_key(mail("Message-ID: <2@shop.example>", *asked), "digest", there),
        dedupe_key(mail(*asked[:2], "In-Reply-To: <other@x>", asked[3]), "digest", there),
        dedupe_key(mail(*asked[:3], "References: <b@x>"), "digest", there),
    ]
    assert len({real, *others}) == len(others) + 1
    same = ("From: Bob <BOB@shop.example>", "Subject: Order ", *asked[1:], "Received: by another", "Date: Sat, 21 Nov 2026 12:00:00 +0100")
    assert dedupe_key(mail(*same), "digest", replace(there, thread="conversation 1")) == real
    assert dedupe_key(mail("Message-ID:"), "digest", there) == ""


def test_a_decision_explains_itself_in_lines() -> None:
    lines = decide("To: team@example.com, sales@example.com", facts=Facts(follows=frozenset({"room-1"}))).lines()
    assert lines[0] == "  hops            it has passed 0 servers"
    assert "* aliases         it was sent to team@example.com, sales@example.com" in lines
    assert lines[-3:] == [
        "So it goes where its alias says: it was sent to team@example.com, sales@example.com.",
        "  to inbox through team@example.com: added to room-1",
        "  to odoo (crm.lead) through sales@example.com: opens something new",
    ]
    assert (
        decide(ANSWERING, "Auto-Submitted: auto-replied", facts=KNOWN).lines()[-1]
        == "  to odoo (crm.lead): added to lead-7, as an automatic answer"
    )
    assert decide("To: support@example.com").lines()[-1] == "  answer to bob@shop.example: 550 5.7.1 Customers only: see example.com"
    assert decide("To: office@example.com").lines()[-1] == "  no answer is written, because nobody is told which addresses exist here"


def test_a_mail_without_a_subject_is_answered_too() -> None:
    said = answer(AnswerKind.UNKNOWN, Head(from_=(("", "a@b.example"),)), "")
    assert (said.subject, said.references) == ("Re: your mail", ())


def test_a_decision_among_ten_thousand_aliases_takes_less_than_a_millisecond() -> None:
    assert decision_seconds(aliases=10_000, decisions=300) < 0.001


def test_what_would_be_handed_over_waits_for_a_person_where_the_sender_is_in_doubt() -> None:
    doubt = "example.org wants it refused (DMARC)"
    decision = decide("To: sales@example.com", arrival=Arrival(doubt=doubt))
    assert (decision.verdict, decision.routes, rule(decision)) == (Verdict.QUARANTINED, (), "aliases")
    assert decision.why.startswith(f"{doubt}; else: it was sent to sales@example.com")
    arrival = Arrival(envelope=Envelope(None, ("nobody@example.com",)), in_session=True, doubt=doubt)
    assert decide(arrival=arrival).verdict is Verdict.REFUSED, "what is refused anyway is refused"


def test_every_domain_has_a_postmaster_whose_mail_waits_for_a_person() -> None:
    arrival = Arrival(envelope=Envelope(None, ("Postmaster@example.org",)), in_session=True)
    decision = decide(arrival=arrival)
    assert (decision.verdict, rule(decision)) == (Verdict.QUARANTINED, "unknown")
    assert "no alias takes it" in decision.why
    elsewhere = Arrival(envelope=Envelope(None, ("postmaster@shop.example",)), in_session=True)
    assert decide(arrival=elsewhere).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("address", "takes"),
    [
        ("SALES@example.com", True),
        ("sales@else.example", False),  # a mail server brings it: it is no domain of ours
        ("bounce@example.com", True),
        ("bounce+06xqfhxnc2400-abcdefgh@example.com", True),
        ("catchall@example.com", True),
        ("notifications@example.com", True),
        ("postmaster@example.org", True),
        ("postmaster@else.example", False),
        ("unreachable@example.com", False),
        ("nobody@example.com", False),
        ("sales%example.com@else.example", False),
        ("sales", False),
    ],
)
def test_an_address_exists_here_or_not(address: str, takes: bool) -> None:
    assert TABLES.takes(address) is takes
