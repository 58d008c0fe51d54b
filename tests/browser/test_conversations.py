"""A customer answers, and an operator works on the conversation until it is closed."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.chromium import PHONE, sideways, violations
from tests.browser.scene import ADMIN, Scene, invoice
from tests.walk.world import unique

CUSTOMER = "clara@customer.example"
"""Nobody else's in this tenant, so that no other test has had her suppressed."""
INBOX = """
[destination.desk]
inbox = {}

[incoming.mary]
graph = { account = "office" }
destination = "desk"
"""


def test_an_answer_is_read_noted_assigned_and_closed(scene: Scene, page: Page) -> None:
    page.goto(f"{scene.gateway.web}/conversations")
    expect(page.get_by_role("heading", name="No conversation yet")).to_be_visible()
    assert violations(page) == []

    scene.apply(INBOX)
    subject = unique("Broken")
    number = scene.submit(invoice(CUSTOMER, subject), CUSTOMER)
    assert number
    scene.wait_until_sent(subject)
    scene.emulator.reply(CUSTOMER, subject, "It <b>broke</b>, what now?")
    scene.gateway.run("incoming", "fetch", "mary")
    page.get_by_role("link", name=subject).click(timeout=60_000)  # the list is live

    expect(page.get_by_role("heading", level=1)).to_contain_text(subject)
    expect(page.get_by_text("It <b>broke</b>, what now?")).to_be_visible()
    page.get_by_label("Note", exact=True).fill("Called her")
    page.get_by_role("button", name="Add note").click()
    expect(page.locator("#thread").get_by_text("Called her")).to_be_visible()
    page.get_by_label("Assigned to").select_option(ADMIN)
    page.get_by_role("button", name="Assign").click()
    expect(page.get_by_label("Assigned to")).to_have_value(ADMIN)
    _answered(scene, page, subject)
    fits(page, page.url)
    fits(page, f"{scene.gateway.web}/conversations")

    page.get_by_role("link", name=subject).click()
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.get_by_role("button", name="Open again")).to_be_visible()
    page.goto(f"{scene.gateway.web}/conversations")
    expect(page.get_by_role("heading", name="No open conversation")).to_be_visible()
    page.get_by_role("link", name="Show closed ones").click()
    page.get_by_role("link", name=subject).click()
    page.get_by_role("link", name="The mail itself").last.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(subject)


def _answered(scene: Scene, page: Page, subject: str) -> None:
    """With a file, and the customer has it; then the mail itself, in the thread."""
    page.get_by_label("Text").fill("We send you a new one.")
    page.get_by_label("Files").set_input_files({"name": "label.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 label"})
    page.get_by_role("button", name="Send", exact=True).click()
    thread = page.locator("#thread")
    expect(thread.get_by_text("We send you a new one.")).to_be_visible()
    expect(thread.get_by_text("Handed over", exact=True).last).to_be_visible(timeout=60_000)  # the thread is live
    assert "label.pdf" in scene.copies(f"Re: {subject}")[0].decode()
    thread.get_by_text("Show the mail").last.click()
    expect(thread.get_by_role("link", name="label.pdf")).to_be_visible()


def fits(page: Page, url: str) -> None:
    """Accessible in both colours, on a wide screen and on a phone."""
    usual = page.viewport_size
    assert usual is not None
    for colours in ("dark", "light"):
        page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
        for size in (usual, PHONE):
            page.set_viewport_size(size)
            page.goto(url)
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert violations(page) == [], url
            assert sideways(page) <= 0, url
    page.set_viewport_size(usual)
