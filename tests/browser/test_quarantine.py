"""What has no place waits for a person, who puts it right."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from mailroom_core.model import Reply, State
from tests.browser.scene import Scene
from tests.browser.test_conversations import fits
from tests.contract.store.makers import Maker
from tests.walk.world import mail, unique

LATER = """
[destination.lost-and-found]
inbox = {}

[alias."late@contoso.example"]
destination = "lost-and-found"
"""


def lost(scene: Scene, to: str) -> str:
    """Its subject; no alias has wanted it."""
    subject, maker = unique("Lost"), Maker(lambda: datetime.now(UTC), node=99)
    raw = mail(subject, sender="clara@customer.example", to=to)
    made = maker.message(to, raw=raw, lane="destination:", state=State.HELD, sender="clara@customer.example", subject=subject)
    (delivery,) = made.deliveries
    with scene.store() as store:
        store.put([replace(made, source="http:elsewhere", deliveries=(replace(delivery, server="", reply=Reply(0, "no alias wants it")),))])
    return subject


def test_what_waits_is_looked_at_tried_again_and_deleted(scene: Scene, page: Page) -> None:
    web = scene.gateway.web
    placed, unplaced = lost(scene, "late@contoso.example"), lost(scene, "never@contoso.example")
    scene.apply(LATER)
    page.goto(web)
    page.locator(".notice").filter(has_text="in quarantine").get_by_role("link", name="See and decide").click()
    expect(page.get_by_role("link", name=placed, exact=True)).to_be_visible()
    expect(page.get_by_text("no alias wants it")).to_have_count(2)
    fits(page, f"{web}/quarantine")

    page.get_by_role("link", name=unplaced, exact=True).click()
    page.get_by_role("button", name="Source", exact=True).click()
    expect(page.get_by_role("region", name="The source of the mail")).to_contain_text("never@contoso.example")

    page.goto(f"{web}/quarantine?text=Lost")
    page.locator(".for-all").get_by_role("link", name="Try again").click()
    fits(page, page.url)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#progress")).to_contain_text("2 recipients: will be judged anew")
    page.get_by_role("link", name="Back to the search").last.click()
    expect(page.get_by_text("no alias, no reply, no fallback")).to_be_visible(timeout=60_000)  # the list is live
    expect(page.get_by_role("link", name=placed, exact=True)).to_have_count(0)

    page.get_by_role("link", name=f"Delete: {unplaced}").click()
    fits(page, page.url)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The mail is deleted.")).to_be_visible()
    expect(page.get_by_role("heading", name="Nothing is in quarantine")).to_be_visible()
    page.goto(f"{web}/conversations?destination=lost-and-found")
    expect(page.get_by_role("link", name=placed)).to_be_visible(timeout=60_000)
