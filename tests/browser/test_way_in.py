"""An administrator gives mail that comes in a place, and asks what would happen to it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.chromium import violations
from tests.browser.scene import Scene
from tests.browser.test_conversations import fits


def test_a_destination_and_an_alias_are_added_and_a_mail_is_explained(scene: Scene, page: Page) -> None:
    web = scene.gateway.web
    page.goto(f"{web}/destinations")
    page.get_by_role("link", name="The built-in inbox").first.click()
    page.get_by_label("Name").fill("workshop")
    page.get_by_label("Followers").fill("tom@contoso.example")
    assert violations(page) == []
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("followed by tom@contoso.example")).to_be_visible()

    page.get_by_role("link", name="An Odoo").first.click()
    fits(page, page.url)
    for label, value in (("Name", "erp"), ("Address", "http://127.0.0.1:9"), ("Database", "prod"), ("User", "admin"), ("API key", "a key")):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Add").click()
    page.get_by_role("row", name="erp").get_by_role("button", name="Test").click()
    expect(page.locator("#steps")).to_contain_text("nothing answers at http://127.0.0.1:9")
    assert violations(page) == []

    page.goto(f"{web}/destinations/of/erp")
    page.get_by_role("link", name="Set up this Odoo").click()
    expect(page.get_by_role("alert")).to_be_visible()  # nothing answers there, or there is no alias domain
    fits(page, page.url)

    page.goto(f"{web}/aliases/new")
    page.get_by_label("Address").fill("repairs@contoso.example")
    page.get_by_label("Destination").select_option("workshop")
    fits_here = page.url
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("link", name="repairs@contoso.example")).to_be_visible()
    for path in (fits_here, f"{web}/aliases", f"{web}/destinations"):
        fits(page, path)

    page.goto(f"{web}/routing")
    page.get_by_label("From", exact=True).fill("anna@customer.example")
    page.get_by_label("To", exact=True).fill("repairs@contoso.example")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("#decision")).to_contain_text("To workshop through repairs@contoso.example")
    assert violations(page) == []
    fits(page, f"{web}/routing")
