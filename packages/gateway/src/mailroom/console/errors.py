"""What a person sees when something can't be shown or done: a page, or for a part of a page one line in the corner."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from mailroom.console.headers import ALWAYS
from mailroom.console.pages import page
from mailroom.observe import events
from mailroom_core.errors import ConfigError, MailroomError, MimeError, StoreError

_WORDS = {
    404: ("There is nothing here", "The address may have a typing error, or what was here is gone."),
    405: ("This does not work that way", "Go back, load the page again and repeat it."),
}


def too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"A form may have {limit} bytes; send less", {"Connection": "close"})


def install(app: FastAPI) -> None:
    """Every error of the console is something that a person can read."""
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_values)
    app.add_exception_handler(MailroomError, _of_house)
    app.add_exception_handler(Exception, _of_bug)


async def _of_http(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    if problem.status_code in (301, 302, 303, 307, 308) and problem.headers and "Location" in problem.headers:
        return RedirectResponse(problem.headers["Location"], problem.status_code)
    title, advice = _WORDS.get(problem.status_code, (HTTPStatus(problem.status_code).phrase, ""))
    plain = problem.detail == HTTPStatus(problem.status_code).phrase
    answer = await _answer(request, problem.status_code, title, advice if plain else problem.detail)
    answer.headers.update(problem.headers or {})
    return answer


async def _of_values(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, RequestValidationError)
    wrong = "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in problem.errors())
    return await _answer(request, 422, "This can't be understood", wrong[:500])


async def _of_house(request: Request, problem: Exception) -> Response:
    if isinstance(problem, ConfigError | MimeError):
        return await _answer(request, 422, "This is not possible", str(problem))
    if isinstance(problem, StoreError):
        events.store_trouble(str(problem))
    else:
        events.request_broke(repr(problem))
    text = "The database or the vault does not answer. Mail that was accepted is safe. Try again in a minute; the log says more."
    return await _answer(request, 503, "Not now", text)


async def _of_bug(request: Request, problem: Exception) -> Response:
    events.request_broke(repr(problem))
    answer = await _answer(request, 500, "This is a mistake of ours", "The log of the gateway says more. Mail is not touched by it.")
    answer.headers.update(ALWAYS)  # it is made outside of everything that is around other answers
    return answer


async def _answer(request: Request, status: int, title: str, text: str) -> Response:
    text = text.encode("utf-8", "replace").decode()  # it may quote what was sent
    if request.headers.get("hx-request"):
        return PlainTextResponse(text or title, status)
    return await asyncio.to_thread(page, request, "error.html", status=status, title=title, text=text)
