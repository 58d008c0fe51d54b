"""Where mail comes in, as an administrator sees it: the MX listener, and mailboxes by IMAP and POP3 at a real Dovecot."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import violations
from tests.browser.scene import Scene
from tests.browser.test_conversations import fits
from tests.contract.transports.certificates import Authority
from tests.dovecot import PASSWORD, Dovecot, needed
from tests.walk.world import ANNA, mail, unique

INFO, ORDERS = "info@contoso.example", "orders@contoso.example"
LONG = 60_000.0


@pytest.fixture(scope="module")
def dovecot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    needed()
    with Dovecot(Authority.make(tmp_path_factory.mktemp("authority"))) as running:
        yield running


def fill(page: Page, **values: object) -> None:
    """The fields of a form, by their names."""
    for name, value in values.items():
        page.locator(f"#f-{name}").fill(str(value))


def own_ca(scene: Scene, kind: str, dovecot: Dovecot, mailbox: str) -> None:
    """The same server with a certificate of a CA of its own: that file is chosen on the machine."""
    run, port = scene.gateway.run, str(dovecot.ports["imaps" if kind == "imap" else "pop3s"])
    run("incoming", "remove", kind)
    place = ("--host", "127.0.0.1", "--port", port, "--ca-file", str(dovecot.authority.file))
    run("incoming", f"add-{kind}", kind, *place, "--user", mailbox, stdin="wrong\n")


def test_the_mx_listener_is_shown_and_tested(scene: Scene, page: Page) -> None:
    page.goto(f"{scene.gateway.web}/incoming")
    panel = page.locator(".panel", has_text="MX listener")
    expect(panel).to_contain_text("Other servers bring mail for your addresses to 127.0.0.1")
    fits(page, f"{scene.gateway.web}/incoming")
    panel.get_by_role("button", name="Test").click()
    expect(page.get_by_role("heading", name="Test of mx")).to_be_visible()
    expect(page.locator("#steps")).to_contain_text(re.compile(r"listener.*answers", re.DOTALL))
    expect(page.get_by_role("link", name="Back to the incoming servers")).to_be_visible(timeout=LONG)
    assert violations(page) == []


@pytest.mark.parametrize(("kind", "words", "mailbox"), [("imap", "IMAP", INFO), ("pop", "POP3", ORDERS)])
def test_a_mailbox_is_added_tested_looked_at_and_removed(
    scene: Scene, page: Page, dovecot: Dovecot, kind: str, words: str, mailbox: str
) -> None:
    web, port = scene.gateway.web, dovecot.ports["imaps" if kind == "imap" else "pop3s"]
    page.goto(f"{web}/incoming")
    page.get_by_role("link", name=words, exact=True).first.click()
    expect(page.get_by_text("will be taken").first).to_be_visible()
    fits(page, page.url)
    fill(page, name=kind, host="127.0.0.1", port="many", user=mailbox, password="wrong")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#port-error")).to_contain_text("is no number")
    assert violations(page) == []
    fill(page, port=port, password="wrong")
    page.get_by_role("button", name="Add").click()
    row = page.get_by_role("row", name=f"{kind} ")
    expect(row).to_contain_text(f"{words}, 127.0.0.1")

    row.get_by_role("button", name="Test").click()
    steps = page.locator("#steps")
    expect(steps.locator("li").last).to_contain_text("certificate", timeout=LONG)
    own_ca(scene, kind, dovecot, mailbox)

    page.goto(f"{web}/incoming")
    row.get_by_role("button", name="Test").click()
    expect(steps.locator("li").last).to_contain_text(re.compile("password", re.IGNORECASE), timeout=LONG)
    page.goto(f"{web}/incoming/of/{kind}")
    expect(page.locator("#f-ca_file")).to_have_value(str(dovecot.authority.file))
    expect(page.locator("#f-password")).to_have_value("")
    fill(page, password=PASSWORD)
    page.get_by_role("button", name="Save").click()
    row.get_by_role("button", name="Test").click()
    expect(steps).to_contain_text(re.compile(r"\d+ mails?"), timeout=LONG)
    assert violations(page) == []

    dovecot.deliver(mailbox, mail(unique("By page"), sender=ANNA, to=mailbox))
    page.goto(f"{web}/incoming")
    row.get_by_role("button", name="Look now").click()
    for _ in range(60):
        page.goto(f"{web}/incoming")
        if row.get_by_text("Ready").count():
            break
        page.wait_for_timeout(500)
    expect(row).to_contain_text("Ready")
    fits(page, f"{web}/incoming")
    fits(page, f"{web}/incoming/of/{kind}")
    page.goto(f"{web}/incoming")
    row.locator("summary", has_text="Remove").click()
    row.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("row", name=f"{kind} ")).to_have_count(0)
