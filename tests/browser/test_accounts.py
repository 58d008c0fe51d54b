"""An account is connected, tested and disconnected by a person with a browser; the emulator shows its own pages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT
from tests.browser.chromium import violations
from tests.browser.scene import Scene
from tests.walk.world import TOM


@pytest.fixture
def person(scene: Scene, browser: BrowserContext) -> Iterator[Page]:
    """Somebody who is signed in, and goes to Microsoft and back."""
    scene.calm()
    callback = f"{scene.gateway.web}/signin/callback"
    scene.emulator.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", json={"redirect_uris": [callback]})
    browser.clear_cookies()
    browser.add_cookies([{"name": "mailroom-session", "value": scene.session_cookie, "url": scene.gateway.web}])
    made = browser.new_page()
    yield made
    made.close()


def test_a_mailbox_is_connected_at_microsoft_tested_and_disconnected(scene: Scene, person: Page) -> None:
    person.goto(f"{scene.gateway.web}/accounts")
    person.get_by_role("link", name="Connect Microsoft 365").click()
    expect(person.get_by_label("Redirect URI", exact=True)).to_have_value(f"{scene.gateway.web}/signin/callback")
    entered = {"Name": "sales", "Mailbox": TOM, "Application (client) ID": CONFIDENTIAL_CLIENT, "Directory (tenant) ID": TENANT}
    for label, value in entered.items():
        person.get_by_label(label, exact=True).fill(value)
    person.get_by_label("Client secret", exact=True).fill(CONFIDENTIAL_SECRET)
    person.get_by_text("For an emulator").click()
    person.get_by_label("Address of the login").fill(scene.emulator.url)
    person.get_by_label("Address of Graph").fill(scene.emulator.url)
    person.get_by_role("button", name="Connect").click()
    assert violations(person) == []
    person.get_by_role("link", name="Continue at Microsoft").click()
    expect(person).to_have_url(re.compile(re.escape(scene.emulator.url)))
    person.get_by_role("link", name=re.compile(TOM)).click()
    person.get_by_role("link", name="Accept").click()
    expect(person.get_by_role("heading", name="sales is connected")).to_be_visible()
    assert violations(person) == []
    person.get_by_role("link", name="To the accounts, and test it").click()
    panel = person.get_by_role("region", name="sales")
    expect(panel).to_contain_text("Token valid until")
    panel.get_by_label(re.compile("Send a test")).fill("anna@customer.example")
    panel.get_by_role("button", name="Test").click()
    expect(person.locator("#steps li")).to_have_count(4)
    expect(person.locator("#steps li strong")).to_have_text(["token", "rights", "draft", "send"])
    assert violations(person) == []
    assert scene.arrived("A test of Mailroom") == ["anna@customer.example"]
    person.get_by_role("link", name="Back to the accounts").click()
    panel.get_by_text("Disconnect", exact=False).first.click()
    panel.get_by_role("button", name="Disconnect it").click()
    expect(person.get_by_role("status").first).to_contain_text("sales is disconnected")
    expect(panel).to_contain_text("not connected")


def test_an_app_proves_itself_by_a_certificate_whose_key_never_leaves(scene: Scene, person: Page) -> None:
    person.goto(f"{scene.gateway.web}/accounts/connect/microsoft")
    entered = {"Name": "robot", "Mailbox": TOM, "Application (client) ID": CONFIDENTIAL_CLIENT, "Directory (tenant) ID": TENANT}
    for label, value in entered.items():
        person.get_by_label(label, exact=True).fill(value)
    person.get_by_label(re.compile("^App-only")).check()
    person.get_by_label(re.compile("^A certificate that Mailroom makes")).check()
    expect(person.get_by_label("Client secret", exact=True)).to_be_hidden()
    person.get_by_role("button", name="Make a key and a certificate").click()
    expect(person.get_by_role("link", name="Download the certificate")).to_be_visible()
    assert violations(person) == []
    with person.expect_download() as download:
        person.get_by_role("link", name="Download the certificate").click()
    scene.emulator.ask("POST", f"/apps/{CONFIDENTIAL_CLIENT}/certificates", content=download.value.path().read_bytes())
    person.get_by_text("For an emulator").click()
    person.get_by_label("Address of the login").fill(scene.emulator.url)
    person.get_by_label("Address of Graph").fill(scene.emulator.url)
    person.get_by_role("button", name="Connect", exact=True).click()
    expect(person.get_by_role("heading", name="robot is connected")).to_be_visible()
    _comes_back_with_a_secret(scene, person)


def _comes_back_with_a_secret(scene: Scene, person: Page) -> None:
    person.goto(f"{scene.gateway.web}/accounts/of/robot")
    expect(person.get_by_role("region", name="As it is")).to_contain_text("Thumbprint")
    person.locator("summary", has_text="Disconnect").click()
    person.get_by_role("button", name="Disconnect it").click()
    person.get_by_role("link", name="Connect again robot").click()
    assert violations(person) == []
    person.get_by_label("A client secret", exact=True).check()
    person.get_by_label("Client secret", exact=True).fill(CONFIDENTIAL_SECRET)
    person.get_by_role("button", name="Connect it again").click()
    expect(person.get_by_role("heading", name="robot is connected")).to_be_visible()
