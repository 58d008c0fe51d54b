"""From Microsoft's report to the first mail of a device, by SMTP."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.chromium import violations
from tests.browser.scene import Scene, plain
from tests.browser.test_conversations import fits
from tests.walk.world import ANNA, MARY, eventually, submit, unique

REPORT = (
    "Sender address;Domain;TLS 1.0;TLS 1.1;TLS 1.2;Messages sent\nmary@contoso.example;contoso.example;0;0;100;1204\n"
    "door@contoso.example;contoso.example;100;0;0;3\n"
)


def test_a_device_moves_here_and_is_ticked_off_with_its_first_mail(scene: Scene, page: Page) -> None:
    web = scene.gateway.web
    page.goto(f"{web}/cutover")
    expect(page.get_by_text("Nobody is on the list yet")).to_be_visible()
    fits(page, page.url)
    page.get_by_label('Report "SMTP AUTH clients"').set_input_files(
        {"name": "report.csv", "mimeType": "text/csv", "buffer": REPORT.encode("utf-16")}
    )
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("New application door")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Put them on the list").click()
    expect(page.get_by_text("0 of 2 done")).to_be_visible()
    fits(page, page.url)

    fits(page, f"{web}/cutover/of/door@contoso.example")
    expect(page.get_by_role("heading", name="It speaks old TLS")).to_be_visible()
    page.goto(f"{web}/cutover/of/mary@contoso.example")
    page.get_by_role("button", name="Make a password").click()
    scene.passwords["mary"] = page.get_by_label("Password", exact=True).input_value()
    assert violations(page) == []
    subject = unique("First page of the scanner")

    with scene.session("mary") as smtp:
        submit(smtp, plain(subject, ANNA, "Scanned.\n"), MARY, [ANNA])
    scene.wait_until_sent(subject)
    page.goto(f"{web}/cutover")
    expect(page.get_by_text("1 of 2 done")).to_be_visible()
    page.locator("#content").get_by_role("link", name="mary@contoso.example").click()
    page.get_by_role("link", name="See it").click()
    expect(page.get_by_role("heading", name=subject)).to_be_visible()

    page.goto(f"{web}/cutover")
    page.locator("summary", has_text="Undo door@contoso.example").click()
    page.get_by_role("button", name="Undo it").click()
    expect(page.get_by_text("1 of 1 done")).to_be_visible()
    with scene.store() as store:
        assert eventually(lambda: "door" not in store.directory().applications)
