"""The way to the identity provider and back, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailroom.objects import Role
from mailroom.signin.keys import Keyed
from mailroom.signin.provider import Provider, Registration
from mailroom.store.sql import SqlStore
from mailroom.users import User
from tests.contract.store.makers import FakeClock
from tests.oidc import CLIENT, SECRET, Oidc, provider
from tests.unit.console.site import MARY, PASSWORD, Site, code, made, post, with_second_factor


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
