"""A support bundle is made, looked at and saved."""

from __future__ import annotations

import zipfile

from playwright.sync_api import Page, expect

from mailroom.ports import Query
from mailroom_core.model import show_id
from tests.browser.chromium import violations
from tests.browser.scene import Scene
from tests.browser.test_conversations import fits


def test_what_was_shown_is_what_is_saved_without_addresses(scene: Scene, page: Page) -> None:
    with scene.store() as store:
        found, _ = store.find(Query(application="erp"), limit=1)
    number, recipient = show_id(found[0].message.id), found[0].delivery.recipient
    page.goto(f"{scene.gateway.web}/doctor")
    page.get_by_role("link", name="Support bundle").click()
    fits(page, page.url)
    page.get_by_label("Mails in question").fill(number)
    page.get_by_role("button", name="Make and show it").click()
    page.get_by_text(f"mails/{number}/story.json").click()
    expect(page.get_by_label(f"mails/{number}/story.json")).to_contain_text("@domain-")
    assert violations(page) == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Save").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert f"mailroom-support/mails/{number}/mail.eml" in texts
    assert not any(word in text for text in texts.values() for word in (recipient, "mary@contoso.example", "Mary Jones"))
