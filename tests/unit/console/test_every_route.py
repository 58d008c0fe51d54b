"""Each route of the console, as a stranger, as somebody with a foreign form, and as a viewer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import Message

from mailroom.console.app import OPEN, OPEN_PATHS
from mailroom.edge import SAFE
from mailroom.objects import Role
from tests.unit.console.site import MARY, PASSWORD, PAUL, Site, token


def routes_of(routes: Sequence[BaseRoute]) -> Iterator[APIRoute]:
    """All that are declared, also in routers that were included."""
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif inner := getattr(route, "original_router", None):
            yield from routes_of(inner.routes)


def open_paths() -> set[str]:
    return {route.path for router in OPEN for route in routes_of(router.routes)}


def requests_of(app: FastAPI, *, unsafe: bool) -> Iterator[tuple[str, str, str]]:
    """Method, path as declared, path with something in its places; without those that are there for everybody."""
    for route in routes_of(app.routes):
        if route.path not in open_paths():
            for method in sorted(route.methods or ()):
                if (method not in SAFE) is unsafe:
                    yield method, route.path, re.sub(r"{[^}]*}", "x", route.path)


def test_only_the_sign_in_and_files_are_there_for_everybody(site: Site) -> None:
    assert {path for path in open_paths() if not path.startswith("/static/")} == {
        "/signin",
        "/signin/code",
        "/signin/provider",
        "/signin/answer",
        "/setup/{token}",
        "/welcome/{token}",
    }
    declared = {route.path for route in routes_of(site.app.routes)}
    assert {"/", "/me", "/users", "/users/{what}"} | open_paths() <= declared


def test_nothing_is_shown_or_done_without_a_session(site: Site) -> None:
    browser = site.browser(cookie=f"{site.door.cookie('session')}=forged")
    for unsafe in (False, True):
        for method, declared, path in requests_of(site.app, unsafe=unsafe):
            answer = browser.request(method, path)
            assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/signin"), f"{method} {declared}"
            part = browser.request(method, path, headers={"HX-Request": "true"})
            assert (part.status_code, part.headers["hx-redirect"].split("?")[0]) == (401, "/signin"), f"{method} {declared}"


def test_no_byte_of_a_strangers_body_is_taken(site: Site) -> None:
    """Frameworks read a form before they ask who sends it, and files of it onto the disk."""
    for method, declared, path in requests_of(site.app, unsafe=True):
        answered, taken = asyncio.run(told(site.app, method, path))
        assert (answered, taken) == (303, 0), f"{method} {declared}"


async def told(app: FastAPI, method: str, path: str) -> tuple[int, int]:
    """Status of the answer to somebody without a session, and how often the body was asked for before."""
    statuses = list[int]()
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += not statuses
        return {"type": "http.request", "body": b"csrf=x", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"host", b"testserver"), (b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers}
    await app({**scope, "scheme": "http", "server": ("testserver", 80), "client": ("192.0.2.1", 4711), "state": {}}, receive, send)
    return statuses[0], taken


def test_what_is_open_is_small(site: Site) -> None:
    for path in ("/signin", "/setup/x", "/welcome/x"):
        assert site.browser().post(path, data={"name": "x" * 20_000}).status_code == 413
    assert all(path.startswith(OPEN_PATHS) for path in open_paths())
    assert not any(path.startswith(OPEN_PATHS) for _, path, _ in requests_of(site.app, unsafe=True))


def test_nothing_is_done_without_the_token_of_this_very_session(site: Site) -> None:
    browser, other = site.signed_in(), site.signed_in()
    tokens = {"missing": "", "wrong": "0" * 64, "of another session": token(other.get("/me")), "not ASCII": "ü"}
    count = 0
    for method, declared, path in requests_of(site.app, unsafe=True):
        for why, given in tokens.items():
            assert browser.request(method, path, data={"csrf": given}).status_code == 403, f"{method} {declared}: {why}"
            sent = {b"X-CSRF-Token": given.encode()}
            assert browser.request(method, path, headers=sent).status_code == 403, f"{method} {declared}: {why}"
        in_address = browser.request(method, f"{path}?csrf={token(browser.get('/me'))}")
        assert in_address.status_code == 403, f"{method} {declared}: a token in the address is none"
        as_json = browser.request(method, path, json={"csrf": token(browser.get("/me"))})
        assert as_json.status_code == 403, f"{method} {declared}"
        count += 1
    assert count >= 10


def test_a_viewer_changes_nothing_but_their_own(site: Site) -> None:
    site.person(PAUL, Role.VIEWER)
    browser = site.signed_in(PAUL)
    for method, declared, path in requests_of(site.app, unsafe=True):
        if declared != "/me" and not declared.startswith("/me/"):
            answer = browser.request(method, path, headers={"X-CSRF-Token": token(browser.get("/me"))})
            assert answer.status_code == 403, f"{method} {declared} let a viewer in: {answer.status_code}"
            assert "This needs the role" in answer.text, f"{method} {declared}"


def test_what_is_open_takes_no_form_from_elsewhere(site: Site) -> None:
    browser, other = site.browser(), site.browser()
    browser.get("/signin")
    foreign = token(other.get("/signin"))
    for path in sorted(open_paths()):
        if not path.startswith("/static/") and path not in {"/signin/provider", "/signin/answer"}:
            for given in ("", foreign, "0" * 64):
                answer = browser.post(path.replace("{token}", "x"), data={"csrf": given, "name": MARY, "password": PASSWORD})
                assert answer.status_code == 403, path
