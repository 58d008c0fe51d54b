"""What an administrator does in the browser: the server's form, the connect button, the sign-in page, and back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from demo.processes import Emulator
from tests.browser.chromium import CHROMIUM, chromium
from tests.odoo.machine import Odoo
from tests.odoo.people import MAILBOX

PATIENCE = 60_000
"""Milliseconds; the first page makes Odoo build its assets."""


@pytest.fixture(scope="module")
def page(odoo: Odoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; run: make system")
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        browser.set_default_timeout(PATIENCE)
        page = browser.new_page()
        page.goto(f"{odoo.url}/web/login")
        page.fill("input[name=login]", "admin")
        page.fill("input[name=password]", "admin")
        page.click("button[type=submit]")
        page.wait_for_url(re.compile("/odoo"))
        yield page


def picture(page: Page, name: str) -> None:
    """Into the folder that ODOO_PICTURES names; docs/odoo.md shows them."""
    if folder := os.environ.get("ODOO_PICTURES"):
        page.screenshot(path=Path(folder) / f"odoo-{name}.png")


def test_the_connect_button_leads_to_microsoft_and_back(odoo: Odoo, emulator: Emulator, page: Page) -> None:
    fields = {"name": "Notifications", "smtp_authentication": "microsoft_graph", "smtp_user": MAILBOX, "smtp_encryption": "none"}
    server = odoo.call("ir.mail_server", "create", fields)
    page.goto(f"{odoo.url}/odoo/ir.mail_server/{server}")
    connect = page.get_by_role("button", name="Connect to Microsoft")
    expect(connect).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_label("SMTP Server")).to_have_count(0)
    connect.click()
    page.wait_for_url(re.compile(re.escape(emulator.url)))
    page.get_by_text(MAILBOX).first.click()
    page.get_by_role("link", name="Accept").click()
    page.wait_for_url(re.compile(f"{re.escape(odoo.url)}/odoo/ir.mail_server/{server}"))
    expect(page.get_by_text("Token valid")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_label("FROM Filtering")).to_have_value(MAILBOX)
    picture(page, "connected")
    page.get_by_role("button", name="Test Connection").click()
    expect(page.get_by_text("may send, read and write")).to_be_visible(timeout=PATIENCE)


def test_the_settings_show_the_redirect_address_and_no_secret(odoo: Odoo, page: Page) -> None:
    page.goto(f"{odoo.url}/odoo/settings")
    block = page.locator("#microsoft-graph-setting")
    block.scroll_into_view_if_needed(timeout=PATIENCE)
    expect(block).to_contain_text("/microsoft_graph_mail/callback")
    assert "odoo-secret" not in page.content()
    picture(page, "settings")
