"""What is around every page."""

from __future__ import annotations

import re

import pytest
from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from mailroom.console import app as console
from mailroom.console.static_files import address, static_files
from mailroom.console.visitor import protected
from mailroom.objects import Role
from tests.unit.console.conftest import Pages

LOADED = re.compile(r'(?:src|href)="(/static/[^"#]+)')


def test_nothing_inline_and_nothing_from_elsewhere_is_allowed(pages: Pages) -> None:
    answer = pages.client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert " style=" not in answer.text
    assert "<script>" not in answer.text
    assert not re.search(r'\son[a-z]+="', answer.text)
    assert answer.headers["cache-control"] == "no-store"


def test_what_pages_load_is_there_and_is_kept_for_ever(pages: Pages) -> None:
    files = set(LOADED.findall(pages.get("/")))
    assert len(files) >= 5
    for each in files:
        answer = pages.client.get(each)
        assert answer.status_code == 200, each
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"


def test_the_first_load_of_every_area_stays_below_150_kilobytes(pages: Pages) -> None:
    for area in console.AREAS:
        text = pages.get(area.path)
        packed = sum(len(static_files()[name.split("/", 3)[3]].packed) for name in set(LOADED.findall(text)))
        assert len(text) + packed + len(static_files()["icons.svg"].packed) < 150_000, area.title


def test_a_file_of_another_version_is_not_there(pages: Pages) -> None:
    right = address("console.css")
    pages.get(right)
    pages.get(right.replace(static_files()["console.css"].digest, "000000000000"), 404)
    pages.get("/static/000000000000/../app.py", 404)


def test_a_browser_that_cannot_unpack_gets_the_file_as_it_is(pages: Pages) -> None:
    answer = pages.client.get(address("console.css"), headers={"accept-encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert answer.content == static_files()["console.css"].plain


def test_what_is_not_there_is_a_page_with_a_way_back(pages: Pages) -> None:
    assert 'href="/"' in pages.get("/nothing", 404)
    assert "<" not in pages.get("/nothing", 404, hx_request="true")


def test_an_error_repeats_nothing_as_markup(pages: Pages) -> None:
    assert "<script>alert" not in pages.get("/<script>alert(1)</script>", 404)


def test_the_navigation_shows_where_one_is_and_the_way_for_keyboards(pages: Pages) -> None:
    text = pages.get("/")
    assert text.count('aria-current="page"') == 1
    assert 'class="skip" href="#content"' in text


@pytest.mark.parametrize("role", Role)
def test_every_area_in_the_navigation_opens_for_those_who_see_it(pages: Pages, role: Role) -> None:
    pages.role = role
    for path in re.findall(r'<li><a href="([^"]+)"', pages.get("/")):
        pages.get(path)


def test_every_route_of_every_area_stands_behind_the_sign_in(pages: Pages) -> None:
    async def nobody() -> None:
        raise HTTPException(303, "Sign in first", {"Location": "/signin"})

    pages.app.dependency_overrides[protected] = nobody
    routes = [route for area in console.AREAS for route in area.router.routes if isinstance(route, APIRoute)]
    assert len(routes) >= len(console.AREAS)
    for route in routes:
        path = re.sub(r"{[^}]+}", "1", route.path)
        for method in route.methods or ():
            assert pages.client.request(method, path).status_code == 303, route.path


def test_a_form_that_is_too_large_is_refused_before_it_is_read(pages: Pages) -> None:
    answer = pages.client.post("/overview/free", data={"lane": "x" * (console.MAX_BODY + 1)})
    assert answer.status_code == 413


def test_a_mistake_of_ours_is_a_page_behind_the_same_policy(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(pages.app.state.overview, "now", broken)
    client = TestClient(pages.app, raise_server_exceptions=False)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
