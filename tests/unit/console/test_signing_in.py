"""The console as a browser meets it: nobody is signed in until somebody signs in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pyotp
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from mailroom.audit import Wanted
from mailroom.blobs.files import FileBlobs
from mailroom.console.app import OPEN, make_console
from mailroom.console.door import Door
from mailroom.console.house import House
from mailroom.console.visitor import SAFE, local
from mailroom.objects import Role
from mailroom.settings import Settings
from mailroom.signin.keys import Keyed
from mailroom.signin.provider import Provider, Registration
from mailroom.signin.reception import PER_USER
from mailroom.signin.throttle import PER_NETWORK
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom.users import User
from mailroom.wiring.accounts import Accounts
from mailroom.wiring.parts import open_parts
from tests.contract.store.makers import FakeClock
from tests.oidc import CLIENT, SECRET, Oidc, provider
from tests.unit.console.conftest import desk_of, door_of

MARY, PAUL, PASSWORD = "mary@example.com", "paul@example.com", "four horses in a kitchen"
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
ADDRESS = "http://testserver"


@dataclass
class Site:
    store: SqlStore
    clock: FakeClock
    door: Door
    app: FastAPI
    browsers: list[TestClient] = field(default_factory=list)

    def browser(self, **headers: str) -> TestClient:
        """One with cookies of its own, which follows no redirect by itself."""
        base = self.door.public_url or "http://127.0.0.1:8020"
        return TestClient(self.app, base_url=base, headers=headers, follow_redirects=False)

    def person(self, name: str, role: Role) -> None:
        self.door.staff.choose_password(self.door.staff.invite(name, role, by="test"), PASSWORD)

    def signed_in(self, name: str = MARY, **headers: str) -> TestClient:
        made = self.browser(**headers)
        answer = sign_in(made, name)
        assert answer.status_code == 303, answer.text
        return made


def made(store: SqlStore, clock: FakeClock, tmp_path: Path, **more: Any) -> Site:
    door = door_of(store, clock, **more)
    house = House(
        store=store,
        blobs=FileBlobs(tmp_path / "blobs"),
        directory=store.directory,
        look=lambda: True,
        servers_of=lambda _: [],
        notify=lambda: None,
        webhooks=desk_of(store, clock),
        accounts=Accounts(open_parts(Settings(data=tmp_path / "accounts"))),
        clock=clock,
    )
    return Site(store, clock, door, make_console(house, door))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[SqlStore]:
    opened = open_store(tmp_path / "mailroom.db", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def empty(store: SqlStore, clock: FakeClock, tmp_path: Path) -> Site:
    return made(store, clock, tmp_path)


@pytest.fixture
def site(empty: Site) -> Site:
    empty.door.staff.set_up(empty.door.staff.set_up_token(), MARY, PASSWORD)
    return empty


def token(answer: httpx2.Response) -> str:
    found = CSRF.search(answer.text)
    assert found, answer.text
    return found[1]


def post(browser: TestClient, path: str, page: str = "", **fields: str) -> httpx2.Response:
    """Fill in the form of a page (else of the path itself) and send it."""
    sent: httpx2.Response = browser.post(path, data={"csrf": token(browser.get(page or path)), **fields})
    return sent


def sign_in(browser: TestClient, name: str = MARY, password: str = PASSWORD, **more: str) -> httpx2.Response:
    return post(browser, "/signin", name=name, password=password, **more)


def cookies(answer: httpx2.Response) -> Sequence[str]:
    return answer.headers.get_list("set-cookie")


# ---- every route ----------------------------------------------------------------------------------------------------


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


# ---- signing in -----------------------------------------------------------------------------------------------------


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


def code(site: Site, totp: pyotp.TOTP) -> str:
    site.clock.go_on(seconds=30)
    return totp.at(site.clock())


def with_second_factor(site: Site, browser: TestClient) -> tuple[pyotp.TOTP, list[str]]:
    page = post(browser, "/me/second-factor", "/me")
    assert "<svg" in page.text
    found = re.search(r'id="secret">([A-Z2-7]{32})<', page.text)
    assert found
    totp = pyotp.TOTP(found[1])
    wrong = browser.post("/me/second-factor/on", data={"csrf": token(page), "code": "nonsense"})
    assert wrong.status_code == 422
    assert found[1] in wrong.text
    shown = browser.post("/me/second-factor/on", data={"csrf": token(page), "code": code(site, totp)})
    codes = re.findall(r"^(?:.*>)?([a-z2-9]{6}-[a-z2-9]{6})", shown.text, re.MULTILINE)
    assert len(codes) == 10
    assert not any(each in browser.get("/me").text for each in codes), "they are shown once"
    return totp, codes


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


# ---- one's own ------------------------------------------------------------------------------------------------------


def test_a_new_password_ends_all_other_sessions(site: Site) -> None:
    browser, other = site.signed_in(), site.signed_in()
    wrong = post(browser, "/me/password", "/me", present="wrong", password="another four horses", again="another four horses")
    assert (wrong.status_code, "not your present password" in wrong.text) == (422, True)
    assert post(browser, "/me/password", "/me", present=PASSWORD, password="short", again="short").status_code == 422
    assert post(browser, "/me/password", "/me", present=PASSWORD, password="another four horses", again="differs").status_code == 422
    answer = post(browser, "/me/password", "/me", present=PASSWORD, password="another four horses", again="another four horses")
    assert answer.status_code == 303
    assert browser.get("/me").status_code == 200
    assert other.get("/me").status_code == 303


def test_ones_sessions_are_listed_and_ended_and_nobody_elses(site: Site) -> None:
    site.person(PAUL, Role.ADMIN)
    mary, phone = site.signed_in(), site.signed_in(**{"user-agent": "Phone <b>"})
    paul = site.signed_in(PAUL)
    page = mary.get("/me").text
    assert "Phone &lt;b&gt;" in page
    keys = re.findall(r'name="key" value="([0-9a-f]{64})"', page)
    assert len(keys) == 2
    for key in keys:
        assert post(paul, "/me/sessions/end", "/me", key=key).status_code == 404
    (theirs,) = [each.key for each in site.door.reception.sessions(MARY) if each.agent.startswith("Phone")]
    assert post(mary, "/me/sessions/end", "/me", key=theirs).status_code == 303
    assert phone.get("/me").status_code == 303
    (own,) = [each.key for each in site.door.reception.sessions(MARY)]
    assert post(mary, "/me/sessions/end", "/me", key=own).headers["location"] == "/signin"
    assert mary.get("/me").status_code == 303


# ---- people ---------------------------------------------------------------------------------------------------------


def test_somebody_is_invited_chooses_a_password_and_gets_a_role(site: Site) -> None:
    mary, paul = site.signed_in(), site.browser()
    page = post(mary, "/users", name=PAUL, role="operator")
    (link,) = re.findall(r"http://testserver(/welcome/[\w-]{43})", page.text)
    assert PAUL in paul.get(link).text
    assert post(paul, link, password="short", again="short").status_code == 422
    assert post(paul, link, password=PASSWORD, again=PASSWORD).headers["location"] == "/"
    assert paul.get("/").status_code == 200
    assert paul.get("/users").status_code == 403
    assert site.browser().get(link).status_code == 410
    assert post(mary, "/users", name=PAUL, role="viewer").status_code == 422
    assert post(mary, "/users", name="nobody", role="viewer").status_code == 422
    assert post(mary, "/users", name="x@example.com", role="king").status_code == 422


def test_an_administrator_changes_people_and_their_sessions_end(site: Site) -> None:
    site.person(PAUL, Role.VIEWER)
    mary, paul = site.signed_in(), site.signed_in(PAUL)
    for path, fields in (("/users/change", {"role": "operator"}), ("/users/end", {}), ("/users/deactivate", {})):
        assert post(mary, path, "/users", name=PAUL, **fields).status_code == 303, path
        assert paul.get("/me").status_code == 303, path
        if path != "/users/deactivate":
            paul = site.signed_in(PAUL)
    assert sign_in(site.browser(), PAUL).status_code == 401
    assert post(mary, "/users/activate", "/users", name=PAUL).status_code == 303
    assert "/welcome/" in post(mary, "/users/link", "/users", name=PAUL).text
    assert post(mary, "/users/remove", "/users", name=PAUL).status_code == 303
    assert PAUL not in mary.get("/users").text
    assert post(mary, "/users/nonsense", "/users", name=PAUL).status_code == 404


@pytest.mark.parametrize(("path", "fields"), [("/users/remove", {}), ("/users/deactivate", {}), ("/users/change", {"role": "viewer"})])
def test_the_last_administrator_cannot_lock_everybody_out(site: Site, path: str, fields: dict[str, str]) -> None:
    answer = post(site.signed_in(), path, "/users", name=MARY, **fields)
    assert answer.status_code == 422
    assert "last active administrator" in answer.text


def test_the_audit_log_tells_who_came_in_and_who_changed_whom(site: Site) -> None:
    mary = site.signed_in()
    post(mary, "/users", name=PAUL, role="operator")
    site.door.staff.choose_password(site.door.staff.reset(PAUL, by="cli:root"), PASSWORD)
    sign_in(site.browser(), PAUL, "wrong")
    sign_in(site.browser(), "nobody@example.com", "wrong")
    post(mary, "/users/change", "/users", name=PAUL, role="viewer")
    post(mary, "/me/signout", "/me")
    told, _ = site.store.audited(Wanted(kind="user"), limit=50)
    assert [(each.by, each.what, each.name) for each in reversed(told)] == [
        (f"user:{MARY}", "first administrator, by the set-up link", MARY),
        (f"user:{MARY}", "sign in", MARY),
        (f"user:{MARY}", "added as operator", PAUL),
        ("cli:root", "a link for a new password was made", PAUL),
        (f"user:{PAUL}", "password, by a link", PAUL),
        (f"user:{PAUL}", "failed sign in", PAUL),
        (f"user:{MARY}", "role: operator -> viewer", PAUL),
        (f"user:{MARY}", "end session", MARY),
    ]
    assert told[2].after == "password, from testclient"
    assert PASSWORD not in str(told)


# ---- identity provider ----------------------------------------------------------------------------------------------


@pytest.fixture
def oidc(clock: FakeClock) -> Iterator[Oidc]:
    with provider() as one:
        one.now = lambda: clock().timestamp()
        yield one


@pytest.fixture
def with_provider(store: SqlStore, clock: FakeClock, tmp_path: Path, oidc: Oidc) -> Site:
    registration = Registration(issuer=oidc.url, client_id=CLIENT, client_secret=SECRET)
    ours = Provider(registration, users=store.users, keyed=Keyed(b"k" * 32), clock=clock)
    return made(store, clock, tmp_path, provider=ours, roles={"Staff": Role.OPERATOR})


def test_the_provider_lets_somebody_in(with_provider: Site, oidc: Oidc) -> None:
    with_provider.door.staff.set_up(with_provider.door.staff.set_up_token(), MARY, PASSWORD)
    oidc.person["groups"] = ["Staff"]
    browser = with_provider.browser()
    assert "Sign in with Contoso" in browser.get("/signin?next=/me").text
    away = browser.get("/signin/provider?next=/me")
    assert away.status_code == 303
    back = oidc.back(away.headers["location"])
    assert back.startswith("http://testserver/signin/answer?")
    answer = browser.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/me"), answer.text
    assert "anna@example.com, operator" in browser.get("/me").text
    again = browser.get(back)
    assert (again.status_code, "belongs to no sign-in" in again.text) == (401, True)


def test_an_answer_that_another_browser_asked_for_signs_nobody_in(with_provider: Site, oidc: Oidc) -> None:
    """Else somebody could be signed in as somebody else without noticing."""
    oidc.person["groups"] = ["Staff"]
    attacker, victim = with_provider.browser(), with_provider.browser()
    victim.get("/signin")
    back = oidc.back(attacker.get("/signin/provider").headers["location"])
    answer = victim.get(back)
    assert answer.status_code == 401
    assert "mailroom-session" not in victim.cookies


def test_who_has_no_right_and_a_provider_in_trouble_get_a_clear_page(with_provider: Site, oidc: Oidc) -> None:
    browser = with_provider.browser()
    refused = browser.get(oidc.back(browser.get("/signin/provider").headers["location"]))
    assert (refused.status_code, "may not use Mailroom" in refused.text) == (401, True)
    state = oidc.answer(browser.get("/signin/provider").headers["location"])["state"]
    declined = browser.get("/signin/answer", params={"state": state, "error": "access_denied"})
    assert (declined.status_code, "was declined" in declined.text) == (401, True)
    oidc.forge = lambda _, claims: "<script>"
    broken = browser.get(oidc.back(browser.get("/signin/provider").headers["location"]))
    assert (broken.status_code, "does not answer as it should" in broken.text) == (502, True)
    assert "<script>" not in broken.text.split("</head>")[1]


def test_the_second_factor_is_asked_for_after_the_provider_as_well(with_provider: Site, oidc: Oidc) -> None:
    site = with_provider
    site.store.users.add(User(name="anna@example.com", role=Role.VIEWER))
    browser = site.browser()
    browser.get(oidc.back(browser.get("/signin/provider").headers["location"]))
    totp, _ = with_second_factor(site, browser)
    fresh = site.browser()
    assert fresh.get(oidc.back(fresh.get("/signin/provider").headers["location"])).headers["location"] == "/signin/code"
    assert post(fresh, "/signin/code", code=code(site, totp)).status_code == 303


def test_without_a_provider_there_is_no_button_and_no_way(site: Site) -> None:
    browser = site.browser()
    assert "Sign in with" not in browser.get("/signin").text
    assert browser.get("/signin/provider").status_code == 404
    assert browser.get("/signin/answer?code=x&state=y").status_code == 404
