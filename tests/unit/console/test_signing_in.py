"""Forms, cookies, where to go afterwards, and under which name."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from mailroom.console.visitor import local
from mailroom.signin.reception import PER_USER
from mailroom.signin.throttle import PER_NETWORK
from mailroom.store.sql import SqlStore
from tests.contract.store.makers import FakeClock
from tests.unit.console.site import CSRF, MARY, PASSWORD, PAUL, Site, code, cookies, made, post, sign_in, token, with_second_factor


def test_the_first_administrator_is_made_by_the_link_and_is_signed_in(empty: Site, tmp_path: Path) -> None:
    browser = empty.browser()
    assert browser.get("/").headers["location"] == "/signin?next=/"
    assert "setup-link" in browser.get("/signin").text
    link = f"/setup/{empty.door.staff.set_up_token()}"
    page = browser.get(link)
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "differ" in post(browser, link, name=MARY, password=PASSWORD, again="other").text
    assert post(browser, link, name=MARY, password="short", again="short").status_code == 422
    answer = post(browser, link, name=MARY, password=PASSWORD, again=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/").status_code == 200
    assert empty.browser().get(link).status_code == 410
    assert "setup-link" not in empty.browser().get("/signin").text


def test_who_signs_in_comes_to_where_they_wanted_to_go(site: Site) -> None:
    browser = site.browser()
    to = browser.get("/users?x=1").headers["location"]
    assert to == "/signin?next=/users%3Fx%3D1"
    answer = browser.post("/signin", data={"csrf": token(browser.get(to)), "name": MARY, "password": PASSWORD, "next": "/users?x=1"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/users?x=1")
    assert browser.get("/signin?next=/me").headers["location"] == "/me", "who is in needs no sign-in"


@pytest.mark.parametrize("name", [MARY, "nobody@example.com", "", "<script>alert(1)</script>@x"])
def test_a_wrong_password_and_an_unknown_name_look_the_same(site: Site, name: str) -> None:
    browser = site.browser()
    answer = sign_in(browser, name, "wrong")
    assert answer.status_code == 401
    assert "don't fit together" in unescape(answer.text)
    assert "<script>alert" not in answer.text
    plain = unescape(answer.text).replace(unescape(f'value="{name}"'), 'value=""')
    assert CSRF.sub("", plain.replace(name, "")) == CSRF.sub("", unescape(sign_in(browser, "", "wrong").text))


def test_the_cookie_of_a_session_is_new_and_for_us_alone(site: Site) -> None:
    browser = site.browser()
    browser.get("/signin")
    planted = "planted-by-somebody-else"
    browser.cookies.set("mailroom-session", planted)
    answer = sign_in(browser)
    (session,) = [each for each in cookies(answer) if each.startswith("mailroom-session=")]
    assert planted not in session
    assert {part.strip() for part in session.split(";")[1:]} == {"HttpOnly", "Path=/", "SameSite=lax"}
    assert any(each.startswith('mailroom-visit="";') for each in cookies(answer)), "the visit is over"
    assert site.door.reception.who(planted) is None


def test_behind_tls_cookies_leave_by_tls_only(store: SqlStore, clock: FakeClock, tmp_path: Path) -> None:
    site = made(store, clock, tmp_path, url="https://mail.example.com")
    site.door.staff.set_up(site.door.staff.set_up_token(), MARY, PASSWORD)
    browser = site.browser()
    for answer in (browser.get("/signin"), sign_in(browser)):
        for cookie in cookies(answer):
            assert cookie.startswith("__Host-mailroom-")
            assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
            assert "domain" not in cookie.lower()
    assert browser.get("/me").status_code == 200


def test_an_ended_session_is_worth_nothing(site: Site) -> None:
    browser = site.signed_in()
    kept = browser.cookies["mailroom-session"]
    assert post(browser, "/me/signout", "/me").headers["location"] == "/signin"
    late = site.browser(cookie=f"mailroom-session={kept}")
    assert late.get("/me").status_code == 303


def test_a_session_that_nobody_used_for_long_is_over(site: Site) -> None:
    browser = site.signed_in()
    site.clock.go_on(hours=8)
    assert browser.get("/me").status_code == 303


def test_too_many_attempts_are_told_so(site: Site) -> None:
    browser = site.browser()
    answers = [sign_in(browser, MARY, "wrong").status_code for _ in range(PER_USER)]
    assert answers == [401] * PER_USER
    refused = sign_in(browser)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "900")
    assert "too many attempts" in refused.text


def test_a_flood_does_not_reach_the_database(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = site.browser()
    given = token(browser.get("/signin"))
    for _ in range(PER_NETWORK):
        browser.post("/signin", data={"csrf": "wrong"})
    monkeypatch.setattr(site.store.users, "attempt", None)
    for method, path in (("POST", "/signin"), ("POST", "/signin/code"), ("GET", "/signin/provider"), ("GET", "/signin/answer")):
        answer = browser.request(method, path, data={"csrf": given} if method == "POST" else None)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60"), path
    assert browser.get("/signin").status_code == 200, "what costs nothing is still shown"
    monkeypatch.undo()
    site.clock.go_on(minutes=1)
    assert sign_in(browser).status_code == 303


# ---- where to go afterwards -----------------------------------------------------------------------------------------

ELSEWHERE = [
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    "evil.example",
    "/x\r\nSet-Cookie: a=b",
    "/x\x00",
    "/ü",
    " //evil.example",
    "///evil.example",
    "/" + "x" * 3000,
    "",
]


@pytest.mark.parametrize("to", ELSEWHERE, ids=lambda to: repr(to)[:30])
def test_nobody_is_sent_elsewhere_after_the_sign_in(site: Site, to: str) -> None:
    assert local(to) == "/"
    browser = site.browser()
    answer = sign_in(browser, next=to)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "set-cookie: a" not in str(answer.headers).lower()
    asked = browser.get("/signin", params={"next": to})
    assert asked.headers["location"] == "/"


def test_a_path_of_ours_stays_as_it_is() -> None:
    assert [local(path) for path in ("/", "/messages?q=a%20b&x=1", "/a/b#c")] == ["/", "/messages?q=a%20b&x=1", "/a/b#c"]


@pytest.mark.parametrize("current", ["http://testserver/users?q=1", "https://evil.example/users?q=1", "http://[", "/users?q=1"])
def test_a_part_of_a_page_leads_back_to_the_whole_page(site: Site, current: str) -> None:
    answer = site.browser().get("/users", headers={"HX-Request": "true", "HX-Current-URL": current})
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == ("/signin?next=/" if current == "http://[" else "/signin?next=/users%3Fq%3D1")


# ---- under which name -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "testserver.evil.example", "evil.example:80", "x@evil.example", "[evil"])
def test_the_console_does_not_answer_to_a_name_that_is_not_ours(site: Site, host: str) -> None:
    browser = site.signed_in()
    for path in ("/me", "/signin"):
        answer = site.browser(cookie=f"mailroom-session={browser.cookies['mailroom-session']}").get(path, headers={"Host": host})
        assert answer.status_code == 421, path


@pytest.mark.parametrize("host", ["testserver", "localhost:8020", "127.0.0.1:8020", "[::1]:8020", "192.168.1.7"])
def test_it_answers_to_its_own_name_and_to_addresses(site: Site, host: str) -> None:
    assert site.browser().get("/signin", headers={"Host": host}).status_code == 200


def test_links_never_bear_a_name_that_a_request_brought(site: Site) -> None:
    browser = site.signed_in()
    lies = {"Host": "192.0.2.66", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Forwarded-Proto": "https"}
    data = {"csrf": token(browser.get("/users")), "name": PAUL, "role": "viewer"}
    page = site.browser(cookie=f"mailroom-session={browser.cookies['mailroom-session']}").post("/users", data=data, headers=lies)
    assert re.search(r"http://testserver/welcome/[\w-]{43}", page.text)
    assert "evil" not in page.text
    assert "192.0.2.66" not in page.text


# ---- second factor --------------------------------------------------------------------------------------------------


def test_a_second_factor_is_set_up_asked_for_and_turned_off(site: Site) -> None:
    totp, codes = with_second_factor(site, site.signed_in())
    browser = site.browser()
    asked = sign_in(browser, next="/users")
    assert asked.headers["location"] == "/signin/code"
    assert "mailroom-session" not in browser.cookies
    assert browser.get("/me").status_code == 303
    assert post(browser, "/signin/code", code="nonsense").status_code == 401
    answer = post(browser, "/signin/code", code=code(site, totp))
    assert (answer.status_code, answer.headers["location"]) == (303, "/users")
    assert post(browser, "/me/second-factor/off", "/me", code="nonsense").status_code == 422
    assert post(browser, "/me/second-factor/off", "/me", code=codes[0]).status_code == 303
    assert sign_in(site.browser()).headers["location"] == "/"


def test_the_step_of_the_code_is_for_the_browser_that_gave_the_password(site: Site) -> None:
    totp, _ = with_second_factor(site, site.signed_in())
    sign_in(site.browser())
    answer = post(site.browser(), "/signin/code", code=code(site, totp))
    assert answer.status_code == 401
    assert "took too long" in answer.text
