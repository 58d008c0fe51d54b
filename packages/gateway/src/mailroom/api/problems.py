"""Errors as `application/problem+json` (RFC 9457): what happened, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mailroom.observe import events
from mailroom_core.errors import ConfigError, MailroomError, MimeError, Refused, StoreError

MEDIA = "application/problem+json"
_BY_ENHANCED = {"5.7.1": 403, "5.3.4": 413, "4.7.1": 429}
"""Status codes of RFC 3463 that say more than temporary or not."""
_ADVICE = {
    400: "The request can't be read; send JSON (RFC 8259)",
    401: "Send a token as `Authorization: Bearer ...`; `mailroom token add` makes one",
    404: "There is nothing at this address; /v1/docs shows what there is",
    405: "This can't be done here; /v1/docs shows what can",
}


class Mistake(BaseModel):
    """One of several things that are wrong with a request."""

    where: str
    what: str


class ProblemBody(BaseModel):
    """What is answered to every request that can't be fulfilled."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Mistake] = []
    enhanced: str = ""
    """The status code of RFC 3463, where a mail was refused."""


class Problem(HTTPException):
    """Raise it anywhere in a request."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, errors: Sequence[Mistake] = ()) -> None:
        super().__init__(status, detail, headers)
        self.errors = errors


def body_of(status: int, detail: str, errors: Sequence[Mistake] = (), enhanced: str = "") -> dict[str, Any]:
    """The document; what is empty is left out."""
    detail = detail.encode("utf-8", "replace").decode()  # it may quote what was sent
    made = ProblemBody(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors), enhanced=enhanced)
    return made.model_dump(exclude_defaults=True) | {"type": made.type}


def of_refusal(refused: Refused) -> dict[str, Any]:
    """A mail that was not taken."""
    status = _BY_ENHANCED.get(refused.enhanced, 503 if refused.temporary else 422)
    return body_of(status, refused.text, enhanced=refused.enhanced)


def of_values(problem: ValidationError | RequestValidationError, status: int = 422) -> dict[str, Any]:
    """Values that can't be; what was sent is not repeated."""
    errors = [Mistake(where=_where(e["loc"]), what=str(e["msg"]).removeprefix("Value error, ")) for e in problem.errors()]
    return body_of(status, "The request can't be understood; `errors` says where", errors)


def _where(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location).encode("utf-8", "replace").decode()[:200]


def _answer(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(body, body["status"], headers, MEDIA)


def install(app: FastAPI) -> None:
    """Every error of the application leaves as a problem."""
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_request)
    app.add_exception_handler(ValidationError, _of_request)
    app.add_exception_handler(Refused, _of_refused)
    app.add_exception_handler(MailroomError, _of_house)
    app.add_exception_handler(Exception, _of_bug)


async def _of_http(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    errors = problem.errors if isinstance(problem, Problem) else ()
    detail = problem.detail if isinstance(problem, Problem) else _ADVICE.get(problem.status_code, problem.detail)
    return _answer(body_of(problem.status_code, detail, errors), problem.headers)


async def _of_request(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, RequestValidationError | ValidationError)
    return _answer(of_values(problem))


async def _of_refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    client = request.client.host if request.client else ""
    events.submission_refused(client, "", refused.code, refused.enhanced, refused.text, refused.why)
    return _answer(of_refusal(refused), {"Retry-After": "60"} if refused.temporary else None)


def of_house(problem: MailroomError) -> dict[str, Any]:
    """What can't be done, or not now; the reasons of the house stay in its log."""
    if isinstance(problem, ConfigError | MimeError):
        return body_of(422, str(problem))
    if isinstance(problem, StoreError):
        events.store_trouble(str(problem))
    else:
        events.request_broke(repr(problem))
    return body_of(503, "Something here is out of order; try again later, and tell the administrator")


async def _of_house(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, MailroomError)
    body = of_house(problem)
    return _answer(body, {"Retry-After": "10"} if body["status"] == 503 else None)


async def _of_bug(_: Request, problem: Exception) -> Response:
    events.request_broke(repr(problem))
    return _answer(body_of(500, "This is a mistake of ours; the log of the gateway says more"))
