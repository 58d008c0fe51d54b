"""This installation on the page Doctor."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from mailroom.doctor.findings import Evidence, Finding, Harm, Repair, Unchecked
from mailroom.doctor.health.looking import Examined, Fact, Subject, Usage, judged
from mailroom.objects import Role
from mailroom.vault.expiry import Expiry
from tests.unit.console.desks import doctor_of
from tests.unit.console.site import PAUL, Site, post, token

BROKEN = Finding(
    code="not-connected",
    harm=Harm.HARMFUL,
    title="The account <b>shop</b> is not connected",
    why="Nothing goes through it.",
    todo="Connect it",
    evidence=(Evidence("what is kept", "no sign-in", "vault"),),
    repairs=(Repair("connect it again", "mailroom connect shop", "/accounts/of/shop"),),
)


def found_of(site: Site) -> tuple[Examined, ...]:
    end = Expiry("office", "client secret", site.clock() + timedelta(days=12), "Make a new one")
    office = judged(
        Subject("account", "office"),
        "signs in",
        facts=(Fact("permission tier", "Mail.ReadWrite"),),
        ends=(end,),
        usage=(Usage("recipients of graph:office in 24 hours", 9_000, 10_000),),
    )
    shop = judged(Subject("account", "shop"), "", (BROKEN,))
    relay = judged(Subject("server", "relay"), "", (), (Unchecked("connect", "421 busy"),))
    return office, shop, relay


@pytest.fixture
def browser(site: Site) -> TestClient:
    site.app.state.house = replace(site.app.state.house, doctor=doctor_of(site.store, site.clock, health=found_of(site)))
    return site.signed_in()


def test_a_look_grows_object_by_object_and_ends_with_what_was_found(browser: TestClient) -> None:
    page = post(browser, "/doctor/installation", "/doctor")
    assert page.status_code == 200
    for told in ("account office", "account shop", "server relay", "mailroom connect shop", "421 busy", "client secret", "Make a new one"):
        assert told in page.text
    assert page.text.index("account shop") < page.text.index("Why it matters")
    assert "<b>shop</b>" not in page.text
    assert page.text.rstrip().endswith("</html>")


def test_the_last_look_is_kept_with_what_is_known_of_each_object(browser: TestClient) -> None:
    assert browser.get("/doctor/installation").status_code == 404
    assert "What was found" not in browser.get("/doctor").text
    post(browser, "/doctor/installation", "/doctor")
    page = browser.get("/doctor/installation").text
    for told in ("Permission tier", "9,000 of 10,000", "/accounts/of/shop", "no sign-in"):
        assert told in page
    assert "1 harmful" in browser.get("/doctor").text


def test_a_viewer_sees_the_last_look_starts_none_and_is_sent_to_no_page_of_administrators(browser: TestClient, site: Site) -> None:
    post(browser, "/doctor/installation", "/doctor")
    site.person(PAUL, Role.VIEWER)
    viewer = site.signed_in(PAUL)
    page = viewer.get("/doctor/installation")
    assert (page.status_code, "/accounts/of/shop" in page.text, "mailroom connect shop" in page.text) == (200, False, True)
    for path, form in (("/doctor/installation", {}), ("/doctor/send-as", {"address": "a@b.example"})):
        assert viewer.post(path, data={"csrf": token(page), **form}).status_code == 403


def test_may_i_send_as_is_answered_and_what_is_no_address_is_said_beside_the_box(browser: TestClient) -> None:
    page = post(browser, "/doctor/send-as", "/doctor", address="mary@contoso.example")
    assert (page.status_code, "May I send as mary@contoso.example?" in page.text) == (200, True)
    assert "It is &lt;the&gt; mailbox" in page.text
    page = post(browser, "/doctor/send-as", "/doctor", address="nonsense")
    assert (page.status_code, "is no address" in page.text) == (422, True)
