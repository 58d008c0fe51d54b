"""People at work, in a real browser, with the real process."""

from __future__ import annotations

import re
import socket
from datetime import datetime, timezone
from email.message import EmailMessage

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from mailroom.console.app import AREAS
from mailroom.console.messages import STEP
from mailroom.ports import Action, Query
from mailroom_core.model import State
from tests.browser.chromium import PHONE, WIDE, sideways, violations
from tests.browser.scene import ADMIN, PASSWORD, Scene, invoice, plain
from tests.contract.store.makers import Maker
from tests.walk.world import MARY, unique

FORMS = (
    "/accounts/connect/microsoft",
    "/accounts/connect/google",
    "/accounts/of/office",
    "/presets",
    "/presets/ses",
    "/presets/smtp",
    "/servers/new?way=smarthost",
    "/servers/of/office",
    "/incoming/new",
    "/applications/new",
    "/applications/of/erp",
    "/domains/new",
    "/me/exports",
)
REFUSED = {"operation": "createDraft"}
EVIL = """<html><head><meta http-equiv="refresh" content="0;url=http://EVIL/refresh"><base href="http://EVIL/">
<link rel="stylesheet" href="http://EVIL/x.css"><link rel="preconnect" href="http://EVIL">
<style>@import url(http://EVIL/y.css); body{background:url(http://EVIL/z.png)}</style></head>
<body onload="parent.hacked=1"><script>parent.hacked=1;top.hacked=1</script>
<img src="http://EVIL/pixel.gif" onerror="parent.hacked=1">
<img src=x onerror="top.hacked=1"><svg onload="parent.hacked=1"></svg><iframe src="javascript:parent.hacked=1"></iframe>
<a id="out" href="http://EVIL/click" target="_top">click me</a><a id="js" href="javascript:top.hacked=1">and me</a>
<form action="http://EVIL/form"><button id="send">send</button></form><p>The text that remains</p></body></html>"""
SCRIPT = '<script>hacked=1</script><img src=x onerror="hacked=1">'


def test_a_person_signs_in_and_sees_that_mail_is_leaving(scene: Scene, page: Page, browser: BrowserContext) -> None:
    browser.clear_cookies()
    page.goto(f"{scene.gateway.web}/messages?text=anna")
    expect(page).to_have_url(re.compile(r"/signin\?next="))
    page.get_by_label(re.compile("mail|name", re.IGNORECASE)).first.fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(re.compile(r"/messages\?text=anna"))
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="Mail is leaving")).to_be_visible()
    expect(page.get_by_role("heading", name=MARY)).to_be_visible()
    expect(page.locator("#chart canvas")).to_be_visible()


def test_the_chart_has_its_numbers_as_a_table(scene: Scene, page: Page) -> None:
    page.goto(scene.gateway.web)
    page.get_by_text("As a table").click()
    table = page.locator("#chart-table")
    expect(table.get_by_role("columnheader", name="Failed")).to_be_visible()
    expect(table.get_by_role("row")).to_have_count(25)


def test_a_mail_is_found_by_a_part_of_its_recipient_and_tells_its_story(scene: Scene, page: Page) -> None:
    subject = unique("Invoice")
    scene.submit(invoice("zoe.quinn@remote-island.example", subject), "zoe.quinn@remote-island.example")
    scene.wait_until_sent(subject)
    page.goto(f"{scene.gateway.web}/messages")
    page.get_by_role("searchbox").fill("quinn@remote-isl")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/messages\?text=quinn%40remote-isl$"))
    page.get_by_role("link", name="zoe.quinn@remote-island.example").first.click()
    expect(page.get_by_role("heading", name=subject)).to_be_visible()
    expect(page.locator(".timeline").get_by_role("heading")).to_have_text(["Accepted", "Try 1", "Handed over"])
    page.get_by_text("The answer, word by word").last.click()
    expect(page.locator(".timeline details[open]")).to_contain_text("202")
    expect(page.frame_locator(".mail-frame").get_by_text("1,250.00 EUR")).to_be_visible()
    page.get_by_role("button", name="Plain text").click()
    expect(page.get_by_role("region", name="The mail as plain text")).to_contain_text("Dear Anna,")
    page.get_by_role("button", name="Source").click()
    expect(page.get_by_role("region", name="The source of the mail")).to_contain_text("Content-Type: multipart/mixed")
    with page.expect_download() as download:
        page.get_by_role("link", name="INV_2026_0815.pdf").click()
    assert download.value.path().read_bytes().startswith(b"%PDF-1.4")


def test_what_failed_is_sent_again_by_a_click(scene: Scene, page: Page) -> None:
    subject = unique("Refused")
    scene.emulator.fault(match=REFUSED, action={"kind": "answer", "status": 400, "code": "ErrorInvalidRecipients"})
    number = scene.submit(plain(subject, "anna@customer.example", "Hi\n"))
    scene.wait_for(subject, State.FAILED)
    page.goto(f"{scene.gateway.web}/messages/{number}")
    expect(page.locator(".recipient")).to_contain_text("Failed")
    expect(page.locator(".answer")).to_contain_text("address is not valid")
    page.get_by_role("button", name="Send again: anna@customer.example").click()
    expect(page.get_by_text("1 recipient: will be sent again.")).to_be_visible()
    expect(page.locator(".recipient")).to_contain_text("Handed over")  # without reloading
    expect(page.locator(".timeline")).to_contain_text(f"Sent again by {ADMIN}")
    assert scene.arrived(subject) == ["anna@customer.example"]


def test_all_that_match_are_dealt_with_step_by_step(scene: Scene, page: Page) -> None:
    page.goto(f"{scene.gateway.web}/messages?state=failed&text=nordlicht")
    failed = page.locator("#list tbody tr").count()
    assert failed
    page.get_by_role("link", name="Ignore …").click()
    page.get_by_role("button", name="Ignore").click()
    expect(page.locator("#progress")).to_contain_text(re.compile(rf"{failed} recipients?: dealt with"))
    page.get_by_role("link", name="Back to the search").last.click()
    expect(page.get_by_text("No mail matches")).to_be_visible()


def test_work_for_all_can_be_stopped_between_two_steps(scene: Scene, page: Page) -> None:
    with scene.store() as store:
        make = Maker(lambda: datetime.now(timezone.utc), store.node())
        store.put([make.message(f"{number}@stop.example", state=State.FAILED, application="stop") for number in range(3 * STEP)])
    page.goto(f"{scene.gateway.web}/messages/all?action=ignore&application=stop")
    steps = list[Route]()

    def first_only(route: Route) -> None:
        steps.append(route)
        if len(steps) == 1:
            route.continue_()

    page.route("**/messages/all", first_only)
    page.get_by_role("button", name="Ignore").click()
    expect(page.locator("#progress")).to_contain_text(f"{STEP} so far")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#progress")).to_contain_text(f"Stopped after {STEP}")
    page.unroute_all(behavior="ignoreErrors")
    with scene.store() as store:
        left = Query(states=frozenset({State.FAILED}), application="stop")
        assert len(store.find(left, limit=5 * STEP)[0]) == 2 * STEP
        store.act(left, Action.IGNORE, by="the test", limit=5 * STEP)


def test_an_export_shows_how_far_it_is_can_be_stopped_and_is_saved(scene: Scene, page: Page) -> None:
    page.goto(f"{scene.gateway.web}/messages?text=alpenhof")
    page.route("**/step", lambda _: None)
    page.get_by_role("button", name="Export as CSV").click()
    expect(page.locator("#progress")).to_contain_text("0 lines so far")
    assert violations(page) == []
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#progress")).to_contain_text("Stopped after 0 lines")
    page.unroute_all(behavior="ignoreErrors")
    page.get_by_role("link", name="Back to the search").click()
    page.get_by_role("button", name="Export as CSV").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the table").click()
    assert download.value.suggested_filename.startswith("mail-2")
    assert b"@alpenhof.example" in download.value.path().read_bytes()
    page.get_by_role("link", name="all of yours").click()
    assert violations(page) == []
    page.get_by_role("button", name=re.compile("^Remove")).first.click()
    page.get_by_role("button", name=re.compile("^Remove")).first.click()
    expect(page.get_by_role("heading", name="No export")).to_be_visible()


def test_a_held_mailbox_comes_first_and_goes_on_by_a_click(scene: Scene, page: Page) -> None:
    with scene.store() as store:
        lane = next(each.name for each in store.lanes() if each.name.startswith("graph:"))
        store.hold_lane(lane, "the password was changed; connect the account again")
    page.goto(scene.gateway.web)
    expect(page.get_by_role("heading", name="Some mail waits for you")).to_be_visible()
    expect(page.get_by_text("The password was changed")).to_be_visible()
    page.get_by_role("button", name="Let it go on").click()
    expect(page.get_by_role("heading", name="Mail is leaving")).to_be_visible()
    with scene.store() as store:
        assert not [each for each in store.lanes() if each.held]


def test_the_overview_keeps_up_without_reloading(scene: Scene, page: Page) -> None:
    page.goto(scene.gateway.web)
    expect(page.get_by_role("heading", name="Mail is leaving")).to_be_visible()
    page.evaluate("window.same = true")
    with scene.store() as store:
        lane = next(each.name for each in store.lanes() if each.name.startswith("graph:"))
        store.hold_lane(lane, "a reason that has just come up")
    try:
        expect(page.get_by_text("A reason that has just come up")).to_be_visible()
        assert page.evaluate("window.same")
    finally:
        with scene.store() as store:
            store.free_lane(lane)


def test_scripts_in_subjects_names_addresses_and_mails_do_not_run(scene: Scene, page: Page) -> None:
    message = EmailMessage()
    message["From"], message["To"] = f"Mary <{MARY}>", '"<script>hacked=1</script>" <anna@customer.example>'
    message["Subject"] = subject = f"{unique('Evil')} {SCRIPT}"
    with socket.create_server(("127.0.0.1", 0)) as evil:
        evil.setblocking(False)
        message.set_content(EVIL.replace("EVIL", f"127.0.0.1:{evil.getsockname()[1]}"), subtype="html")
        _look_at_evil(scene, page, message, subject)
        with pytest.raises(BlockingIOError):
            evil.accept()  # nobody has come


def _look_at_evil(scene: Scene, page: Page, message: EmailMessage, subject: str) -> None:
    message.add_attachment(b"x", maintype="text", subtype="html", filename="<img src=x onerror=hacked=1>.html")
    recipients = ('"<img/src=x/onerror=hacked=1>"@customer.example', "anna@customer.example")
    number = scene.submit(message.as_bytes().replace(b"\n", b"\r\n"), *recipients)
    for path in (f"/messages?text={number[:3]}", "/messages", "/messages?text=%3Cscript%3Ehacked=1%3C/script%3E", f"/messages/{number}"):
        page.goto(f"{scene.gateway.web}{path}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(subject)
    frame = page.frame_locator(".mail-frame")
    expect(frame.get_by_text("The text that remains")).to_be_visible()
    expect(page.get_by_text("They are not loaded")).to_be_visible()
    frame.locator("a", has_text="click me").click()
    frame.locator("a", has_text="and me").click()
    page.get_by_role("button", name="Source").click()
    expect(page.get_by_role("region", name="The source of the mail")).to_contain_text("text/html")
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.url.startswith(f"{scene.gateway.web}/messages/")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", ["wide", "phone"])
def test_every_page_is_accessible_and_fits(scene: Scene, page: Page, colours: str, width: str) -> None:
    with scene.store() as store:
        failed = store.how_many(State.FAILED, limit=1)
    assert failed
    page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
    if width == "phone":
        page.set_viewport_size(PHONE)
    number = scene.submit(invoice("anna@customer.example", unique("Accessible")))
    paths = (
        "/",
        "/messages",
        "/messages?text=nobody-has-this",
        f"/messages/{number}",
        "/messages/all?action=retry",
        "/nothing-here",
        "/me",
    )
    for path in paths:
        page.goto(f"{scene.gateway.web}{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        if path.endswith(number):
            expect(page.locator(".mail-frame")).to_be_visible()
        assert page.evaluate("document.documentElement.dataset.bsTheme") == colours
        assert violations(page) == [], path
        assert sideways(page) <= 0, path


def test_every_area_and_every_form_is_accessible_and_fits(scene: Scene, page: Page) -> None:
    """Wide and light, then on a phone in the dark."""
    wrong = dict[str, list[str]]()
    for path in (*sorted({area.path for area in AREAS} - {"/", "/messages"}), *FORMS):
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.set_viewport_size(WIDE)
        page.goto(f"{scene.gateway.web}{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.evaluate("for (const each of document.querySelectorAll('main details')) each.open = true")
        found = violations(page)
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        page.set_viewport_size(PHONE)
        found += violations(page) + (["it is wider than a phone"] if sideways(page) > 0 else [])
        wrong |= {path: found} if found else {}
    assert wrong == {}


def test_the_colours_that_a_person_chose_stay(scene: Scene, page: Page) -> None:
    page.goto(scene.gateway.web)
    page.get_by_title("Dark").click()
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    page.goto(f"{scene.gateway.web}/messages")
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    page.get_by_title("As the system").click()
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "light"


def test_a_keyboard_is_enough(scene: Scene, page: Page) -> None:
    page.goto(f"{scene.gateway.web}/messages")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.set_viewport_size(PHONE)
    menu = page.get_by_role("button", name="Menu")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Main").get_by_role("link", name="Overview")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    expect(page.get_by_role("navigation", name="Main")).to_be_hidden()


@pytest.mark.parametrize("path", ["/", "/messages", "/messages?state=sent", "/users"])
def test_the_first_load_takes_less_than_150_kilobytes_over_the_wire(scene: Scene, page: Page, path: str) -> None:
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes = list[float]()
    wire.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(f"{scene.gateway.web}{path}", wait_until="networkidle")
    assert len(sizes) >= 5
    assert sum(sizes) < 150_000, sizes
