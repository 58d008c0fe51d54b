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
from tests.odoo.machine import CLIENT, SECRET, Odoo, Refused
from tests.odoo.people import MAILBOX

PATIENCE = 60_000
ASSETS = 240_000
"""Milliseconds; the first page makes Odoo build its assets, which takes minutes on a busy machine."""


@pytest.fixture(scope="module")
def page(odoo: Odoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; run: make system")
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        browser.set_default_timeout(PATIENCE)
        page = browser.new_page()
        sign_in(page, odoo, "admin")
        yield page


def sign_in(page: Page, odoo: Odoo, name: str) -> None:
    """As this person, and nobody else any more; the password is the name."""
    page.context.clear_cookies()
    page.goto(f"{odoo.url}/web/login")
    page.fill("input[name=login]", name)
    page.fill("input[name=password]", name)
    page.click("button[type=submit]")
    page.wait_for_url(re.compile("/odoo"), timeout=ASSETS)


def sign_in_at_microsoft(page: Page, odoo: Odoo, emulator: Emulator, person: str) -> None:
    """Choose this person on Microsoft's page, and agree where it asks; until the browser is back."""
    page.wait_for_url(re.compile(re.escape(emulator.url)))
    page.get_by_role("link", name=person).click()
    accept = page.get_by_role("link", name="Accept")
    expect(accept.or_(page.locator("body.o_web_client, .alert-warning")).first).to_be_visible(timeout=PATIENCE)
    if page.url.startswith(emulator.url):
        accept.click()
    page.wait_for_url(re.compile(re.escape(odoo.url)))


def picture(page: Page, name: str, height: int = 0) -> None:
    """Into the folder that ODOO_PICTURES names; docs/odoo.md shows them. `height` is that of a page which is longer than the window."""
    if folder := os.environ.get("ODOO_PICTURES"):
        usual = page.viewport_size
        if height:
            page.set_viewport_size({"width": 1100, "height": height})
        page.screenshot(path=Path(folder) / f"odoo-{name}.png")
        if usual:
            page.set_viewport_size(usual)


def test_the_connect_button_leads_to_microsoft_and_back(odoo: Odoo, emulator: Emulator, page: Page) -> None:
    fields = {"name": "Notifications", "smtp_authentication": "microsoft_graph", "smtp_user": MAILBOX, "smtp_encryption": "none"}
    server = odoo.call("ir.mail_server", "create", fields)
    page.goto(f"{odoo.url}/odoo/ir.mail_server/{server}")
    connect = page.get_by_role("button", name="Connect to Microsoft")
    expect(connect).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_label("SMTP Server")).to_have_count(0)
    connect.click()
    sign_in_at_microsoft(page, odoo, emulator, MAILBOX)
    page.wait_for_url(re.compile(f"{re.escape(odoo.url)}/odoo/ir.mail_server/{server}"))
    expect(page.get_by_text("Token valid")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_label("FROM Filtering")).to_have_value(MAILBOX)
    picture(page, "connected")
    page.get_by_role("button", name="Test Connection").click()
    expect(page.get_by_text("may send, read and write")).to_be_visible(timeout=PATIENCE)


def test_disconnecting_asks_first_and_forgets_the_sign_in(odoo: Odoo, emulator: Emulator, page: Page) -> None:
    server = odoo.read("ir.mail_server", [["smtp_user", "=", MAILBOX]], "id")[0]["id"]
    page.goto(f"{odoo.url}/odoo/ir.mail_server/{server}")
    page.get_by_role("button", name="Disconnect").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nothing is sent or fetched with this account", timeout=PATIENCE)
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Token valid")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Disconnect").click()
    dialog.get_by_role("button", name="Ok").click()
    connect = page.get_by_role("button", name="Connect to Microsoft")
    expect(connect).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Token valid")).to_have_count(0)
    kept = odoo.sql("SELECT state, access_token, refresh_token, addresses FROM microsoft_graph_account WHERE name = %s", MAILBOX)
    assert kept == [("new", None, None, None)]
    page.get_by_role("button", name="Test Connection").click()
    expect(page.get_by_role("dialog")).to_contain_text("is not connected", timeout=PATIENCE)
    page.get_by_role("dialog").get_by_role("button", name="Close").first.click()
    connect.click()
    sign_in_at_microsoft(page, odoo, emulator, MAILBOX)
    expect(page.get_by_text("Token valid")).to_be_visible(timeout=PATIENCE)


def test_an_incoming_server_is_made_connected_and_fetched_with_in_its_form(odoo: Odoo, emulator: Emulator, page: Page) -> None:
    head = "From: Max <max@customer.example>\r\nTo: info@contoso.example\r\nSubject: By hand\r\nMessage-ID: <hand@customer.example>\r\n"
    emulator.deliver("info@contoso.example", f"{head}\r\nHow much?\r\n".encode())
    page.goto(f"{odoo.url}/odoo/fetchmail.server/new")
    page.get_by_role("textbox", name="Name", exact=True).fill("Sales")
    page.get_by_label("Microsoft Graph", exact=True).check()
    expect(page.get_by_label("Server Name")).to_have_count(0)
    page.get_by_role("textbox", name="Username").fill("info@contoso.example")
    folder, move_to = page.get_by_role("textbox", name="Folder"), page.get_by_role("textbox", name="Move to")
    expect(folder).to_have_value("Inbox")
    expect(move_to).to_have_count(0)
    page.locator("div[name=microsoft_graph_after] input").click()
    page.locator(".o_select_menu_item", has_text="Move to a folder").click()
    expect(move_to).to_have_value("Archive", timeout=PATIENCE)
    folder.fill("Inbox/Nowhere")
    page.get_by_role("button", name="Connect to Microsoft").click()
    sign_in_at_microsoft(page, odoo, emulator, "mary@contoso.example")
    expect(page.get_by_text("Token valid")).to_be_visible(timeout=PATIENCE)

    confirm, fetch = page.get_by_role("button", name="Test & Confirm"), page.get_by_role("button", name="Fetch Now")
    confirm.click()
    expect(page.get_by_role("dialog")).to_contain_text("There is no folder “Inbox/Nowhere”", timeout=PATIENCE)
    page.get_by_role("dialog").get_by_role("button", name="Close").first.click()
    folder.fill("Inbox")
    confirm.click()
    expect(fetch).to_be_visible(timeout=PATIENCE)
    picture(page, "incoming")

    def moved() -> bool:
        fetch.click()
        return any(mail["subject"] == "By hand" for mail in emulator.folder("info@contoso.example", "archive"))

    odoo.eventually(moved, "it was fetched and moved")
    assert len(odoo.read("crm.lead", [["name", "=", "By hand"]], "id")) == 1
    page.reload()
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_role("dialog").get_by_role("button", name="Ok").click()
    expect(page.get_by_role("button", name="Connect to Microsoft")).to_be_visible(timeout=PATIENCE)


def test_the_accounts_page_says_who_is_connected_for_what_and_who_must_connect_again(odoo: Odoo, emulator: Emulator, page: Page) -> None:
    page.goto(f"{odoo.url}/odoo/settings")
    page.get_by_role("button", name="Microsoft Accounts").click()
    row = page.get_by_role("row").filter(has_text=MAILBOX)
    expect(row).to_contain_text("Connected", timeout=PATIENCE)
    emulator.ask("POST", f"/accounts/{MAILBOX}/revoke", json={"access_tokens": True})
    server = odoo.read("ir.mail_server", [["smtp_user", "=", MAILBOX]], "id")[0]["id"]
    with pytest.raises(Refused, match="Connect the account again"):
        odoo.call("ir.mail_server", "test_smtp_connection", [server])
    page.reload()
    expect(row).to_contain_text("Connect again", timeout=PATIENCE)
    picture(page, "accounts")
    row.get_by_text(MAILBOX).first.click()
    expect(page.get_by_role("alert").first).to_contain_text("Connect the account again", timeout=PATIENCE)
    page.get_by_role("cell", name="Notifications").first.click()
    page.goto(f"{odoo.url}/odoo/ir.mail_server/{server}")
    page.get_by_role("button", name="Connect to Microsoft").click()
    sign_in_at_microsoft(page, odoo, emulator, MAILBOX)
    expect(page.get_by_text("Token valid")).to_be_visible(timeout=PATIENCE)


def test_what_was_set_aside_is_seen_at_the_server_and_processed_by_a_button(odoo: Odoo, emulator: Emulator, page: Page) -> None:
    server = odoo.incoming("info@contoso.example", "mary@contoso.example")
    odoo.sql("ALTER TABLE crm_lead ADD CONSTRAINT no_odd_ones CHECK (name != 'Odd one')")
    head = "From: odd@customer.example\r\nTo: info@contoso.example\r\nSubject: Odd one\r\nMessage-ID: <odd@customer.example>\r\n"
    emulator.deliver("info@contoso.example", f"{head}\r\nHello\r\n".encode())
    odoo.fetch(server, lambda: odoo.read("microsoft.graph.incoming", [["state", "=", "aside"]], "id"), "it is set aside")
    odoo.sql("ALTER TABLE crm_lead DROP CONSTRAINT no_odd_ones")
    page.goto(f"{odoo.url}/odoo/fetchmail.server/{server}")
    seen = page.get_by_role("button", name="Could not be processed")
    expect(seen).to_be_visible(timeout=PATIENCE)
    picture(page, "incoming")
    seen.click()
    expect(page.get_by_text("no_odd_ones").first).to_be_visible(timeout=PATIENCE)
    picture(page, "aside")
    page.get_by_role("button", name="Process again").first.click()
    expect(page.get_by_text("Nothing is set aside")).to_be_visible(timeout=PATIENCE)
    assert len(odoo.read("crm.lead", [["name", "=", "Odd one"]], "id")) == 1


def test_the_settings_show_the_redirect_address_and_no_secret(odoo: Odoo, page: Page) -> None:
    page.goto(f"{odoo.url}/odoo/settings")
    block = page.locator("#microsoft-graph-setting")
    block.scroll_into_view_if_needed(timeout=PATIENCE)
    expect(block).to_contain_text("/microsoft_graph_mail/callback")
    assert "odoo-secret" not in page.content()
    picture(page, "settings")


def test_the_page_leads_through_the_registration_and_tests_each_step(odoo: Odoo, emulator: Emulator, page: Page) -> None:
    emulator.ask("PATCH", f"/apps/{CLIENT}", json={"redirect_uris": ["https://odoo.example/elsewhere"]})
    page.goto(f"{odoo.url}/odoo/settings")
    page.get_by_role("button", name="Set up step by step").click()
    expect(page.get_by_role("heading", name="Registration at Microsoft")).to_be_visible(timeout=PATIENCE)

    page.get_by_label("Application (client) ID").fill("00000000-0000-0000-0000-00000000dead")
    page.get_by_role("button", name="Test the registration").click()
    expect(page.get_by_text("The organisation does not know the app")).to_be_visible(timeout=PATIENCE)
    page.get_by_label("Application (client) ID").fill(CLIENT)
    page.get_by_role("button", name="Test the registration").click()
    expect(page.get_by_text("Microsoft knows the app in this tenant")).to_be_visible(timeout=PATIENCE)

    page.get_by_role("button", name="Test the redirect address").click()
    expect(page.get_by_text("The redirect address is not registered")).to_be_visible(timeout=PATIENCE)
    address = page.locator("div[name=redirect_uri]").inner_text().split()[0]
    emulator.ask("PATCH", f"/apps/{CLIENT}", json={"redirect_uris": [address]})
    page.get_by_role("button", name="Test the redirect address").click()
    expect(page.get_by_text("Microsoft sends people back to this address")).to_be_visible(timeout=PATIENCE)

    page.get_by_label("Client secret").fill("not-the-value")
    page.get_by_role("button", name="Test the secret").click()
    expect(page.get_by_text("The client secret is wrong")).to_be_visible(timeout=PATIENCE)
    page.get_by_label("Client secret").fill(SECRET)
    page.get_by_role("button", name="Test the secret").click()
    expect(page.get_by_text("The secret is accepted")).to_be_visible(timeout=PATIENCE)

    page.locator("div[name=mailbox] input").fill("mary@contoso.example")
    page.get_by_role("button", name="Sign in and test").click()
    sign_in_at_microsoft(page, odoo, emulator, "mary@contoso.example")
    page.wait_for_url(re.compile(f"{re.escape(odoo.url)}/odoo/microsoft.graph.registration/"))
    expect(page.get_by_text("Signed in as mary@contoso.example")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Test the mailbox").click()
    expect(page.get_by_text("May read: Inbox")).to_be_visible(timeout=PATIENCE)
    content = page.content()
    assert SECRET not in content
    assert "not-the-value" not in content
    assert SECRET not in odoo.log.read_text()
    picture(page, "registration", height=1900)

    page.get_by_role("button", name="Send from this mailbox").click()
    expect(page.get_by_text("Token valid")).to_be_visible(timeout=PATIENCE)


def test_an_ordinary_user_connects_their_own_mailbox_and_nobody_else_s(odoo: Odoo, emulator: Emulator, page: Page) -> None:
    groups = [[4, odoo.ref("base.group_user")]]
    mary = {"name": "Mary Major", "login": "mary", "password": "mary", "email": "mary@contoso.example", "group_ids": groups}
    user = odoo.call("res.users", "create", mary)
    sign_in(page, odoo, "mary")
    page.goto(f"{odoo.url}/odoo/my-preferences/{user}")
    kind = page.locator("div[name=outgoing_mail_server_type] select")

    def choose_and_sign_in(person: str) -> None:
        kind.select_option("microsoft_graph")
        sign_in_at_microsoft(page, odoo, emulator, person)

    choose_and_sign_in("tom@contoso.example")
    expect(page.get_by_text("this server is for mary@contoso.example")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name="Go back").click()
    expect(kind).to_have_value("default", timeout=PATIENCE)

    choose_and_sign_in("mary@contoso.example")
    expect(page.get_by_text("Emails sent via Microsoft Graph")).to_be_attached(timeout=PATIENCE)
    page.locator("button.o_mail_server_configurator_selection_test_connection").click()
    expect(page.get_by_text("Connection Test Successful")).to_be_visible(timeout=PATIENCE)

    kind.select_option("default")
    expect(page.get_by_text("Switching back to the default server")).to_be_visible(timeout=PATIENCE)
    assert odoo.read("ir.mail_server", [["owner_user_id", "=", user]], "id", archived=True) == []
