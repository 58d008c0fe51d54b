"""An administrator adds a webhook and sees what becomes of it."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.chromium import PHONE, sideways, violations
from tests.browser.scene import Scene, invoice
from tests.walk.world import eventually, unique

URL = "https://nobody.invalid/hook"


def test_a_webhook_is_added_tried_out_looked_into_and_removed(scene: Scene, page: Page) -> None:
    page.goto(f"{scene.gateway.web}/webhooks")
    expect(page.get_by_role("heading", name="No webhook yet")).to_be_visible()
    assert violations(page) == []
    page.get_by_label("Name", exact=True).fill("shop")
    page.get_by_label("Address (URL)").fill(URL)
    page.get_by_role("button", name="Add and show its secret").click()
    expect(page.get_by_label("Secret")).to_have_value(re.compile("^whsec_"))
    assert violations(page) == []
    page.get_by_role("link", name="I have it").click()
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_text("It did not take the test")).to_be_visible()
    expect(page.get_by_text("not known to the name server")).to_be_visible()

    scene.submit(invoice("anna@customer.example", unique("Told")))
    assert eventually(lambda: any(row["tries"] for row in scene.gateway.ask("webhook", "log", "shop")))
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
        for path in ("/webhooks", "/webhooks/of/shop"):
            _fits(page, f"{scene.gateway.web}{path}")
    page.locator("table a.mono").first.click()
    expect(page.get_by_role("heading", name="Each try")).to_be_visible()
    _fits(page, page.url)
    page.get_by_role("button", name="Tell it again").click()
    expect(page.get_by_role("heading", name="Each try")).to_be_visible()

    page.goto(f"{scene.gateway.web}/webhooks/of/shop")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="No webhook yet")).to_be_visible()


def _fits(page: Page, url: str) -> None:
    """Accessible, on a wide screen and on a phone."""
    usual = page.viewport_size
    for size in (usual, PHONE):
        if size is not None:
            page.set_viewport_size(size)
        page.goto(url)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert violations(page) == [], url
        assert sideways(page) <= 0, url
    if usual is not None:
        page.set_viewport_size(usual)
