"""Every row of the table of login errors."""

from __future__ import annotations

import pytest

from mailroom_core.flow import Response
from mailroom_core.oauth.problems import ROWS, ProblemKind, Row, TokenProblem, callback_problem, problem_of
from tests.unit.scripted import answer

KINDS = {
    ProblemKind.RECONNECT: "70008 700082 50173 70043 54005 501481 65001 65004 50072 50074 50076 50078 50079 50158 50055 50144 50132 50133 "
    "50089 70000 700020 50126 50056 50064 70018 70019 invalid_grant interaction_required login_required consent_required access_denied",
    ProblemKind.ADMIN: "90094 90095 53003 53000 53001 53002 50005 50131 530032 530035 50105 50053 53004 53011 50135 500021 500022 500212 "
    "500213 50002 650052 500011 50057 50034 51004 16000 50020 90072 7000112 70001 1000031",
    ProblemKind.CONFIG: "700084 7000215 70002 7000222 700024 700027 50012 700030 7000218 700025 700016 700011 90099 90002 50059 90019 "
    "900023 500113 7000216 50128 50194 9001023 90124 90130 9002332 500208 650056 650057 65005 90008 70011 28002 700023 90038 900382 "
    "900432 50011 70004 900971 700022 invalid_client unauthorized_client unsupported_grant_type "
    "unsupported_response_type invalid_scope invalid_resource invalid_request",
    ProblemKind.TRANSIENT: "50196 90033 90024 90006 90012 50033 50087 70012 90055 90090 temporarily_unavailable server_error",
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
