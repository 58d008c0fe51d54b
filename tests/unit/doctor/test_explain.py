"""What error texts mean."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mailroom.cli import main
from mailroom.doctor import connections
from mailroom.doctor.explain import MOST, UNKNOWN, explain, explain_reply
from mailroom.transports.smtp_table import TABLE, Row
from mailroom.transports.smtp_table.exchange_reports import REPORTS
from mailroom_core.inbound import Action, ReportedRecipient
from mailroom_core.model import Reply
from mailroom_core.oauth import google_problems, problems
from mailroom_core.policy.bounce_tables import BY_STATUS
from mailroom_core.policy.bounces import judge
from mailroom_core.policy.reasons import Reason
from mailroom_core.providers.graph import errors


@pytest.mark.parametrize(
    ("text", "code", "of", "means"),
    [
        (
            "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [A.B.C]",
            "535 5.7.139",
            "Exchange Online",
            "switched off",
        ),
        (
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
            "535 5.7.139",
            "Exchange Online",
            "SMTP",
        ),
        (
            "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
            "535 5.7.139",
            "Exchange Online",
            "user or password",
        ),
        ("530 5.7.57 Client not authenticated to send mail", "530 5.7.57", "Exchange Online", "without signing in"),
        ("5.7.60", "5.7.60", "Exchange Online", "may not send as"),
        ("550 5.7.64 TenantAttribution; Relay Access Denied", "550 5.7.64", "Exchange Online", "connector"),
        ("550 5.7.68 TenantInboundAttribution; Direct Send not allowed", "550 5.7.68", "Exchange Online", "Direct Send"),
        ("550 5.7.124 Sender not in allowed-senders list", "550 5.7.124", "Exchange Online", "group"),
        ("550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup", "550 5.7.133", "Exchange Online", "own organisation"),
        ("550 5.7.501 Access denied, spam abuse detected from IP", "550 5.7.501", "Exchange Online", "blocked from sending"),
        ("550 5.7.509 Access denied, sending domain contoso.com does not pass DMARC", "550 5.7.509", "Exchange Online", "DMARC"),
        ("550 5.7.606 Access denied, banned sending IP [192.0.2.1]", "550 5.7.606", "Exchange Online", "banned"),
        ("550 5.7.705 Access denied, tenant has exceeded threshold", "550 5.7.705", "Exchange Online", "whole organisation"),
        ("550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP", "550 5.7.708", "Exchange Online", "outside"),
        (
            "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains",
            "550 5.7.750",
            "Exchange Online",
            "domains",
        ),
        ("550 5.1.8 Access denied, bad outbound sender", "550 5.1.8", "Exchange Online", "blocked from sending"),
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", "550 5.1.10", "Exchange Online", "no such mailbox"),
        ("554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException", "554 5.2.2", "Exchange Online", "full"),
        ("550 5.2.2 Submission quota exceeded", "550 5.2.2", "Exchange Online", "in a day"),
        ("550 5.4.1 Recipient address rejected: Access denied", "550 5.4.1", "Exchange Online", "does not know this address"),
        ("4.4.316 Connection refused [Message=Socket error code 10061]", "4.4.316", "Exchange Online", "refuses the connection"),
        ("451 4.7.500 Server busy. Please try again later from [192.0.2.2]. (AS761)", "451 4.7.500", "Exchange Online", "suspects"),
        ("550-5.7.26 This mail has been blocked because the sender is unauthenticated.", "550 5.7.26", "Gmail", "SPF"),
        ("534-5.7.9 Application-specific password required.", "534 5.7.9", "Gmail", "ordinary password"),
        ("550-5.4.5 Daily user sending limit exceeded. - gsmtp", "550 5.4.5", "Gmail", "in a day"),
        ("554 Message rejected: Email address is not verified.", "554", "Amazon SES", "does not know"),
        ("550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus", "550 5.7.1", "a mail server", "list of senders"),
        ("451 4.7.1 Greylisting in action, please come back later", "451 4.7.1", "a mail server", "first try"),
        ("550 5.1.1 <anna@customer.example> user unknown", "550 5.1.1", "a mail server", "no such mailbox"),
        ("552 too many recipients", "552", "a mail server", "more recipients"),
        ("421 4.7.0 Try again later, closing connection", "421 4.7.0", "a mail server", "nobody at present"),
        (
            "AADSTS7000222: The provided client secret keys for app '1' are expired.",
            "AADSTS7000222",
            "Microsoft Entra",
            "secret has expired",
        ),
        ('{"error":"invalid_client","error_description":"AADSTS7000215: Invalid"}', "AADSTS7000215", "Microsoft Entra", "secret is wrong"),
        ("error=invalid_grant: Token has been expired or revoked. (google)", "invalid_grant", "Google", "permission has ended"),
        ('403 {"error":{"code":"ErrorSendAsDenied"}}', "ErrorSendAsDenied", "Microsoft Graph", "may not send as"),
        ("MailboxNotEnabledForRESTAPI", "MailboxNotEnabledForRESTAPI", "Microsoft Graph", "no such mailbox"),
        ("ErrorMessageSubmissionBlocked, cannot send mail.", "ErrorMessageSubmissionBlocked", "Microsoft Graph", "blocked"),
        ("Graph answered 507", "507", "Microsoft Graph", "full"),
        ("ValueError: No possible route found for incoming message from a@b.example", "No possible route found", "Odoo", "No alias"),
        ("[Errno 111] Connect call failed ('192.0.2.1', 587)", "Errno 111", "the network", "Nothing listens"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "WRONG_VERSION_NUMBER", "the network", "speaks TLS at once"),
        ("certificate verify failed: certificate has expired (_ssl.c:1006)", "certificate has expired", "the network", "has expired"),
        ("[Errno -2] Name or service not known", "Name or service not known", "the network", "does not exist"),
        ("smtp.example.com:587 did not answer in time", "did not answer in time", "the network", "in time"),
    ],
)
def test_a_known_text_is_explained_by_its_row(text: str, code: str, of: str, means: str) -> None:
    first = explain(text)[0]
    assert (first.code, first.of) == (code, of)
    assert means in first.means
    assert first.source


@pytest.mark.parametrize("text", ["", "hello world", "foo", "5.1.1.2.3", "10.0.5.7", "order 1001", "Error", "2.0.0 OK", "250 queued"])
def test_what_no_table_knows_is_unknown(text: str) -> None:
    assert explain(text) == ()


def test_a_word_of_two_services_is_explained_for_both() -> None:
    assert [each.of for each in explain("invalid_grant")] == ["Microsoft Entra", "Google"]
    assert [each.of for each in explain("invalid_grant AADSTS700082: The refresh token has expired")] == ["Microsoft Entra"]


def test_an_answer_of_the_next_hop_is_explained_by_its_codes() -> None:
    found = explain_reply(Reply(403, "whatever it says", name="ErrorAccessDenied"))
    assert [each.code for each in found] == ["ErrorAccessDenied"]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.of} {row.code} {row.enhanced} {row.text[:12]}")
def test_every_row_about_servers_says_what_it_means_and_what_to_do_and_is_reached(row: Row) -> None:
    assert len(row.means) > 15
    assert len(row.advice) > 15
    assert len(row.source) > 5
    assert not row.means.endswith(".")
    shown = " ".join(filter(None, (str(row.code or ""), _example(row.enhanced), _example(row.text))))
    codes, enhanced = frozenset({row.code} - {0}), frozenset({_example(row.enhanced)} - {""})
    assert row.told(codes, enhanced, shown), shown


def test_every_other_row_is_reached_by_its_own_name() -> None:
    for row in problems.ROWS:
        for name in row.codes:
            said = f"AADSTS{name}: words" if name.isdigit() else f"error={name} words"
            assert row.text in {each.means for each in explain(said)}, said
    for graph in errors.ROWS:
        for name in graph.codes:
            assert graph.text in {each.means for each in explain(f"answered {name}")}, name
        for status in graph.statuses:
            assert graph.text in {each.means for each in explain(f"Graph answered {status}")}, status
    for google in google_problems.ROWS:
        words = f"google {google.error} {google.subtype} {google.description.split('|')[0]}"
        assert google.text in {each.means for each in explain(words)}, words
    for connection in connections.ROWS:
        assert connection.source
        assert explain(_example(connection.text))[0].means == connection.means, _example(connection.text)


@given(st.text(max_size=300) | st.from_regex(r"[245]\d\d[ -]?([245]\.\d{1,3}\.\d{1,3} )?[A-Za-z ]{0,40}", fullmatch=True))
def test_any_text_is_explained_or_unknown(text: str) -> None:
    found = explain(text)
    assert len(found) <= MOST
    assert all(each.code and each.means and each.source for each in found)


def test_the_command_says_it_and_ends_with_1_for_what_is_unknown() -> None:
    known = CliRunner().invoke(main, ["doctor", "explain", "550", "5.7.708", "traffic"])
    assert (known.exit_code, "5.7.708 (Exchange Online)" in known.output, "Source: Microsoft" in known.output) == (0, True, True)
    unknown = CliRunner().invoke(main, ["doctor", "explain", "-"], input="nothing of this kind\n")
    assert (unknown.exit_code, unknown.output) == (1, f"{UNKNOWN}.\n")
    body = json.loads(CliRunner().invoke(main, ["doctor", "explain", "--json", "AADSTS50011"]).output)
    assert (body["known"], body["explanations"][0]["of"]) == (True, "Microsoft Entra")
    empty = CliRunner().invoke(main, ["doctor", "explain"], input="")
    assert (empty.exit_code, "give the text" in empty.output) == (2, True)


def _example(pattern: str) -> str:
    """A text that fits: of alternatives the first, of a set the first letter."""
    text = re.sub(r"\(\?<?!.*?\)", "", pattern)
    while (shorter := re.sub(r"\(([^()|]*)(?:\|[^()]*)?\)(\?)?", r"\1", text)) != text:
        text = shorter
    text = text.split("|")[0]
    text = re.sub(r"\[(.)[^\]]*\]", r"\1", text).replace(r"\d", "1").replace(r"\b", "").replace(".*", " ")
    text = re.sub(r"\.\{0,\d+\}", " ", text)
    return re.sub(r"(.)\?", r"\1", text).replace("\\", "")


def test_each_code_that_bounces_are_judged_by_is_explained() -> None:
    assert [each for each in BY_STATUS if not explain(f"550 5.{each} no")] == []


def test_each_code_of_exchange_that_is_explained_has_a_reason_when_it_bounces() -> None:
    by_code = [each for each in REPORTS if not each.text]
    codes = {code.replace("\\", "") for row in by_code for code in row.enhanced.split("|")}
    exact = {f"5{each[4:]}" if each.startswith("[45]") else each for each in codes}
    exact = {each for each in exact if re.fullmatch(r"[45]\.\d+\.\d+", each)}
    assert len(exact) > 25
    judged = {each: judge(ReportedRecipient("", Action.FAILED, each, "")).reason for each in exact}
    assert {each for each, reason in judged.items() if reason is Reason.UNKNOWN} == set()
    general = {each for each, reason in judged.items() if reason is Reason.POLICY}
    assert general <= {"5.7.506", "5.7.510", "5.7.703", "5.7.321", "5.7.322", "5.7.323", "5.7.324", "5.7.325"}
