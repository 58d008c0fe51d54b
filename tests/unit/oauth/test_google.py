"""Conversations with Google's login, fed by hand, and every row of its table of errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from mailroom_core.flow import Request, Response
from mailroom_core.oauth import google
from mailroom_core.oauth.google import MAIL, SCOPES, App, Site
from mailroom_core.oauth.google_problems import ROWS, Row, callback_problem, problem_of
from mailroom_core.oauth.grants import Grant, Identity, Secret
from mailroom_core.oauth.problems import ProblemKind, TokenProblem
from tests.unit.scripted import answer, body_of, lost, play

VERIFIER = "v" * 43
BACK = "https://gateway.example/signin/callback"
APP = App("client-1", Secret("s&cret"))
TOKEN, REVOKE, USERINFO = "POST /token", "POST /revoke", "GET /v1/userinfo"
GOOD = {"token_type": "Bearer", "access_token": "at", "expires_in": 3599, "refresh_token": "rt", "scope": f"openid {MAIL}"}


def form_of(request: Request) -> dict[str, str]:
    assert not request.auth
    return {name: values[0] for name, values in parse_qs(body_of(request).decode(), strict_parsing=True).items()}


def redeemed(*script: tuple[str, Response]) -> Grant | TokenProblem:
    return play(google.redeem_code(APP, code="c", redirect_uri=BACK, verifier=VERIFIER), *script).result


def test_the_browser_is_sent_for_a_lasting_permission_with_pkce() -> None:
    url = google.authorize_url(APP, redirect_uri=BACK, state="st&te", verifier=VERIFIER, login_hint="mary@gmail.example")
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=True).items()}
    assert url.startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert (query["access_type"], query["prompt"], query["code_challenge_method"]) == ("offline", "consent", "S256")
    assert (query["scope"], query["state"], query["redirect_uri"]) == (" ".join(SCOPES), "st&te", BACK)
    assert query["login_hint"] == "mary@gmail.example"
    assert VERIFIER not in url
    assert "s%26cret" not in url


def test_a_stand_in_takes_the_place_of_all_addresses() -> None:
    site = Site.at("http://127.0.0.1:9/")
    assert site == Site(
        "http://127.0.0.1:9/o/oauth2/v2/auth", "http://127.0.0.1:9/token", "http://127.0.0.1:9/revoke", "http://127.0.0.1:9/v1/userinfo"
    )
    assert google.authorize_url(replace(APP, site=site), redirect_uri=BACK, state="s", verifier=VERIFIER).startswith(
        "http://127.0.0.1:9/o/"
    )


def test_a_code_becomes_a_grant() -> None:
    played = play(google.redeem_code(APP, code="c&de", redirect_uri=BACK, verifier=VERIFIER), (TOKEN, answer(200, GOOD)))
    assert form_of(played.requests[0]) == {
        "grant_type": "authorization_code",
        "client_id": "client-1",
        "client_secret": "s&cret",
        "code": "c&de",
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }
    assert played.requests[0].url == "https://oauth2.googleapis.com/token"
    assert played.result == Grant("at", timedelta(seconds=3599), "rt", f"openid {MAIL}")
    assert "s&cret" not in repr(APP)


def test_an_app_in_testing_says_when_its_grant_ends() -> None:
    grant = redeemed((TOKEN, answer(200, {**GOOD, "refresh_token_expires_in": 604799})))
    assert isinstance(grant, Grant)
    assert grant.refresh_expires_in == timedelta(seconds=604799)


@pytest.mark.parametrize(("missing", "code"), [({"scope": "openid email"}, "no_mail_scope"), ({"refresh_token": None}, "no_refresh_token")])
def test_a_grant_without_mail_or_without_end_is_none(missing: dict[str, object], code: str) -> None:
    problem = redeemed((TOKEN, answer(200, {**GOOD, **missing})))
    assert isinstance(problem, TokenProblem)
    assert (problem.kind, problem.code) == (ProblemKind.RECONNECT, code)


def test_a_refused_code_is_explained() -> None:
    problem = redeemed((TOKEN, answer(400, {"error": "invalid_grant", "error_description": "Bad Request"})))
    assert isinstance(problem, TokenProblem)
    assert "used before" in problem.text


def test_a_refresh_gives_an_access_token_and_no_new_refresh_token() -> None:
    played = play(google.refresh(APP, refresh_token="rt"), (TOKEN, answer(200, {"access_token": "at2", "expires_in": 10})))
    assert form_of(played.requests[0])["refresh_token"] == "rt"
    assert played.result == Grant("at2", timedelta(seconds=10))


@pytest.mark.parametrize(
    ("said", "gone"),
    [(Response(200), True), (answer(400, {"error": "invalid_token"}), True), (answer(503), False)],
    ids=["revoked", "was gone before", "in trouble"],
)
def test_a_grant_is_revoked(said: Response, gone: bool) -> None:
    played = play(google.revoke(APP, token="r/t"), (REVOKE, said))
    assert form_of(played.requests[0]) == {"token": "r/t"}
    assert (played.result is None) is gone


def test_who_signed_in_is_asked_with_the_token() -> None:
    said = answer(200, {"sub": "1", "name": "Mary", "email": "Mary@Gmail.Example", "email_verified": True})
    played = play(google.who_am_i(Site()), (USERINFO, said))
    assert played.result == Identity("1", "Mary", ("mary@gmail.example",))
    assert played.requests[0].auth


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(401), ProblemKind.RECONNECT),
        (answer(403), ProblemKind.RECONNECT),
        (answer(200, {"sub": "1"}), ProblemKind.CONFIG),
        (answer(200, {"email": "x@y", "email_verified": False}), ProblemKind.CONFIG),
        (answer(502), ProblemKind.TRANSIENT),
    ],
)
def test_who_is_not_told_is_not_guessed(said: Response, kind: ProblemKind) -> None:
    result = play(google.who_am_i(Site()), (USERINFO, said)).result
    assert isinstance(result, TokenProblem)
    assert result.kind is kind


def test_no_answer_is_tried_again() -> None:
    flows = (google.refresh(APP, refresh_token="rt"), google.revoke(APP, token="t"), google.who_am_i(Site()))
    for flow, line in zip(flows, (TOKEN, REVOKE, USERINFO), strict=True):
        result = play(flow, (line, lost(sent=True))).result
        assert isinstance(result, TokenProblem)
        assert (result.kind, result.code) == (ProblemKind.TRANSIENT, "no_response")


# ---- the table

SAID = {  # what Google says -> who can help, and a word of the explanation
    ("invalid_grant", "invalid_rapt", "reauth related error (invalid_rapt)"): (ProblemKind.RECONNECT, "at intervals"),
    ("invalid_grant", "rapt_required", ""): (ProblemKind.RECONNECT, "at intervals"),
    ("invalid_grant", "", "Token has been expired or revoked."): (ProblemKind.RECONNECT, "withdrawn"),
    ("invalid_grant", "", "Bad Request"): (ProblemKind.RECONNECT, "used before"),
    ("invalid_grant", "", "Account has been deleted"): (ProblemKind.RECONNECT, "not valid any more"),
    ("invalid_client", "", "The OAuth client was not found."): (ProblemKind.CONFIG, "secret is wrong"),
    ("deleted_client", "", ""): (ProblemKind.CONFIG, "deleted"),
    ("disabled_client", "", ""): (ProblemKind.CONFIG, "disabled"),
    ("redirect_uri_mismatch", "", "Bad Request"): (ProblemKind.CONFIG, "address"),
    ("unauthorized_client", "", ""): (ProblemKind.CONFIG, "kind of client"),
    ("invalid_scope", "", ""): (ProblemKind.CONFIG, "permission"),
    ("invalid_request", "", "Missing required parameter: code"): (ProblemKind.CONFIG, "request"),
    ("unsupported_grant_type", "", ""): (ProblemKind.CONFIG, "this way"),
    ("org_internal", "", ""): (ProblemKind.ADMIN, "Internal"),
    ("admin_policy_enforced", "", ""): (ProblemKind.ADMIN, "organisation"),
    ("access_denied", "", ""): (ProblemKind.RECONNECT, "test user"),
    ("disallowed_useragent", "", ""): (ProblemKind.RECONNECT, "embedded"),
    ("rate_limit_exceeded", "", ""): (ProblemKind.TRANSIENT, "too many"),
    ("internal_failure", "", ""): (ProblemKind.TRANSIENT, "passing"),
    ("temporarily_unavailable", "", ""): (ProblemKind.TRANSIENT, "unavailable"),
    ("server_error", "", ""): (ProblemKind.TRANSIENT, "unavailable"),
}


@pytest.mark.parametrize("said", SAID, ids=lambda said: "/".join(said[:2]) + said[2][:10])
def test_every_known_answer_says_who_can_help(said: tuple[str, str, str]) -> None:
    fields = dict(zip(("error", "error_subtype", "error_description"), said, strict=True))
    problem = problem_of(answer(400, fields))
    kind, word = SAID[said]
    assert (problem.kind, problem.unmapped) == (kind, False)
    assert word in problem.text
    assert callback_problem(fields) == problem


def test_every_row_of_the_table_decides_something() -> None:
    deciding = {next(row for row in ROWS if row.fits(*said)) for said in SAID}
    assert deciding == set(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.error}/{row.subtype}{row.description[:8]}")
def test_every_row_says_what_happened_what_to_do_and_who_says_so(row: Row) -> None:
    assert len(row.text) > 15
    assert not row.text.endswith(".")
    assert len(row.what_to_do) > 15
    assert row.source.startswith(("Google ", "RFC ", "googleapis/", "apache/"))


def test_an_unknown_word_is_tried_again_and_marked_but_not_of_a_login_in_trouble() -> None:
    problem = problem_of(answer(400, {"error": "brand_new"}))
    assert (problem.kind, problem.code, problem.unmapped) == (ProblemKind.TRANSIENT, "brand_new", True)
    for response in (Response(503, {}, b"<html>"), answer(429, {"error": "brand_new"})):
        assert not problem_of(response).unmapped
    assert problem_of(Response(400)).unmapped


def test_a_callback_with_a_code_is_no_problem() -> None:
    assert callback_problem({"code": "x", "state": "y"}) is None
