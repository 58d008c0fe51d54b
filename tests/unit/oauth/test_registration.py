"""Whether an app registration is as it should be, before anybody signs in."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from mailroom_core.flow import NoResponse, Request, Response, run
from mailroom_core.oauth.microsoft import App, Secret
from mailroom_core.oauth.problems import ProblemKind, TokenProblem
from mailroom_core.oauth.registration import check_registration, is_about_redirect, roles_of

BACK = "https://odoo.example/microsoft_graph_mail/callback"
APP = App("app-1", "contoso.example", proof=Secret("s3cret"))


def checked(answer: Response | NoResponse) -> tuple[TokenProblem | None, Request]:
    asked: list[Request] = []

    def http(request: Request) -> Response:
        asked.append(request)
        if isinstance(answer, NoResponse):
            raise answer
        return answer

    result = run(check_registration(APP, redirect_uri=BACK), http, lambda note: None)
    assert len(asked) == 1
    return result, asked[0]


def sent_back(**fields: str) -> Response:
    return Response(302, {"location": f"{BACK}?{urlencode(fields)}"})


def page(text: str, status: int = 200) -> Response:
    return Response(status, {"content-type": "text/html"}, f"<html>{text}</html>".encode())


def test_the_question_is_a_silent_sign_in_and_bears_no_secret() -> None:
    _, asked = checked(sent_back(error="login_required"))
    query = parse_qs(urlsplit(asked.url).query)
    assert (asked.method, asked.auth, query["prompt"], query["redirect_uri"]) == ("GET", False, ["none"], [BACK])
    assert "s3cret" not in asked.url


@pytest.mark.parametrize("error", ["login_required", "interaction_required", "consent_required"])
def test_who_would_have_to_sign_in_says_that_app_and_address_are_known(error: str) -> None:
    assert checked(sent_back(error=error, error_description="AADSTS50058: Nobody is signed in."))[0] is None


def test_a_code_that_comes_back_says_so_too() -> None:
    assert checked(sent_back(code="c"))[0] is None


@pytest.mark.parametrize(
    ("number", "about_redirect", "text"),
    [
        ("90002", False, "no such tenant"),
        ("900023", False, "no such tenant"),
        ("700016", False, "does not know the app"),
        ("50011", True, "redirect address is not registered"),
        ("500113", True, "redirect address is not registered"),
        ("50194", False, "one organisation only"),
    ],
)
def test_microsoft_s_own_page_is_read_for_its_number(number: str, about_redirect: bool, text: str) -> None:
    problem, _ = checked(page(f"Sorry. AADSTS{number}: ..."))
    assert problem is not None
    assert (problem.code, is_about_redirect(problem), problem.kind) == (f"AADSTS{number}", about_redirect, ProblemKind.CONFIG)
    assert text in problem.text


def test_another_error_that_comes_back_is_explained() -> None:
    problem, _ = checked(sent_back(error="unauthorized_client", error_description="AADSTS7000112: disabled."))
    assert problem is not None
    assert "The app is disabled" in problem.text


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (page("Sign in"), "http_200"),
        (page("AADSTS1234567: new", 400), "AADSTS1234567"),
        (Response(302, {"location": "https://login.live.example/"}), "http_302"),
        (Response(503), "http_503"),
    ],
)
def test_what_tells_nothing_is_no_verdict(answer: Response, code: str) -> None:
    problem, _ = checked(answer)
    assert problem is not None
    assert (problem.kind, problem.code, problem.unmapped) == (ProblemKind.TRANSIENT, code, True)


def test_no_answer_is_told() -> None:
    problem, _ = checked(NoResponse("refused", sent=False))
    assert problem is not None
    assert problem.code == "no_response"


def token(claims: object) -> str:
    return f"h.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.s"


@pytest.mark.parametrize(
    ("given", "roles"),
    [
        (token({"roles": ["Mail.Send", "Mail.ReadWrite"]}), {"mail.send", "mail.readwrite"}),
        (token({"appid": "app-1"}), set()),
        (token({"roles": "Mail.Send"}), None),
        (token(["roles"]), None),
        ("opaque", None),
        ("a.!.c", None),
    ],
)
def test_an_app_s_token_tells_its_roles_or_nothing(given: str, roles: set[str] | None) -> None:
    assert roles_of(given) == roles
