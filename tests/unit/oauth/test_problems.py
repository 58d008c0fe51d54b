"""Every row of the table of login errors."""

from __future__ import annotations

import pytest

from mailroom_core.flow import Response
from mailroom_core.oauth.problems import ROWS, ProblemKind, Row, TokenProblem, callback_problem, problem_of
from tests.unit.scripted import answer

KINDS = {
    ProblemKind.RECONNECT: "70008 700082 50173 70043 54005 501481 65001 65004 50076 50079 invalid_grant interaction_required "
    "login_required consent_required access_denied",
    ProblemKind.ADMIN: "90094 53003 53000 530035 50105 50057 50034 7000112",
    ProblemKind.CONFIG: "700084 7000215 7000222 700024 700027 7000218 7000216 700025 700016 90002 "
    "900023 50194 50011 500113 700022 "
    "invalid_client unauthorized_client unsupported_grant_type unsupported_response_type invalid_scope invalid_resource invalid_request",
    ProblemKind.TRANSIENT: "50196 90033 90024 temporarily_unavailable server_error",
}
CODES = [(code, kind) for kind, codes in KINDS.items() for code in codes.split()]


def said(code: str) -> Response:
    """As the token endpoint says it; numbers come with the `error` that would mislead most."""
    if code.isdigit():
        misleading = "invalid_grant" if code in KINDS[ProblemKind.CONFIG] else "invalid_client"
        return answer(400, {"error": misleading, "error_description": f"AADSTS{code}: words", "error_codes": [int(code)]})
    return answer(400, {"error": code, "error_description": "words"})


@pytest.mark.parametrize(("code", "kind"), CODES)
def test_every_known_code_says_who_can_help(code: str, kind: ProblemKind) -> None:
    problem = problem_of(said(code))
    assert (problem.kind, problem.unmapped) == (kind, False)
    assert problem.code == (f"AADSTS{code}" if code.isdigit() else code)


def test_the_table_has_no_row_that_is_not_tested_and_no_code_twice() -> None:
    in_table = [code for row in ROWS for code in row.codes]
    assert sorted(in_table) == sorted(code for code, _ in CODES)
    assert len(set(in_table)) == len(in_table)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.codes[0])
def test_every_row_says_what_happened_what_to_do_and_who_says_so(row: Row) -> None:
    assert len(row.text) > 15
    assert not row.text.endswith(".")
    assert len(row.what_to_do) > 15
    assert row.source.startswith(("Microsoft Entra docs, identity-platform/", "RFC ", "AzureAD/"))


def test_a_number_only_in_the_description_is_found() -> None:
    parameters = {"error": "access_denied", "error_description": "AADSTS65004: User declined to consent."}
    problem = callback_problem(parameters)
    assert problem is not None
    assert (problem.code, problem.text) == ("AADSTS65004", "The permissions were declined")


def test_an_unknown_number_leaves_the_decision_to_the_error_and_is_shown() -> None:
    problem = problem_of(answer(400, {"error": "invalid_grant", "error_codes": [99999]}))
    assert (problem.kind, problem.code, problem.unmapped) == (ProblemKind.RECONNECT, "AADSTS99999", False)


def test_the_first_number_that_is_known_counts() -> None:
    assert problem_of(answer(400, {"error": "x", "error_codes": [1, 53003, 700082]})).kind is ProblemKind.ADMIN


def test_an_unknown_error_is_tried_again_and_marked() -> None:
    problem = problem_of(answer(400, {"error": "brand_new"}))
    assert (problem.kind, problem.code, problem.unmapped) == (ProblemKind.TRANSIENT, "brand_new", True)
    assert "brand_new" in problem.text


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_login_in_trouble_is_nothing_to_learn_from(status: int) -> None:
    for response in (Response(status, {}, b"<html>"), answer(status, {"error": "brand_new"})):
        problem = problem_of(response)
        assert (problem.kind, problem.code, problem.unmapped) == (ProblemKind.TRANSIENT, f"http_{status}", False)


def test_a_refusal_without_any_word_is_marked() -> None:
    problem = problem_of(Response(400))
    assert (problem.kind, problem.code, problem.unmapped) == (ProblemKind.TRANSIENT, "http_400", True)


def test_a_callback_with_a_code_is_no_problem() -> None:
    assert callback_problem({"code": "x", "state": "y"}) is None


def test_a_problem_reads_as_one_line() -> None:
    problem = TokenProblem(ProblemKind.CONFIG, "AADSTS1", "It is wrong", "Mend it")
    assert str(problem) == "AADSTS1: It is wrong. Mend it"
