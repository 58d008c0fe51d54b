"""The doctor: this installation while one watches, as whom we may send, a domain, a mail, who sends in our name, and an Odoo."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import PHONE, sideways, violations
from tests.browser.conftest import free_port
from tests.browser.scene import SMARTHOST, Scene
from tests.dns.world import healthy, microsoft, txt
from tests.dns_server import dns_server
from tests.unit.doctor.reports import report, row
from tests.unit.gateway.test_cli_odoo import served
from tests.unit.odoo.odoo_records import KEY, Records
from tests.unit.odoo.test_survey import healthy as well
from tests.walk.world import MARY, TOM

OBJECTS = """
[server."office"]
from_filter = ["contoso.example"]
graph = { account = "office" }
[alias_domain."contoso.example"]
[destination."erp"]
odoo = { url = "%s", database = "shop", user = "admin" }
"""
SETTLED = """() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn))).then(() => Promise.allSettled(
    document.getAnimations().filter(each => each.effect.getComputedTiming().iterations !== Infinity).map(each => each.finished)))"""
"""Colours that change are on their way for a moment; this waits until they have arrived."""
LONG = 60_000.0
"""Milliseconds for a look at everything, on a machine that is busy."""
BANNER = b"""Received: from out.fabrikam.example by mx.contoso.example with ESMTPS id 1; Fri, 20 Nov 2026 10:00:02 +0000
Authentication-Results: mx.contoso.example; spf=softfail smtp.mailfrom=open.test; dkim=none
From: bo@open.test
To: mary@contoso.example
Subject: Order 7
Date: Fri, 20 Nov 2026 10:00:00 +0000
Message-ID: <7@open.test>
Content-Type: text/html

<p>Hello</p>
"""


@pytest.fixture(scope="module")
def odoo() -> Records:
    """One whose queue was switched off."""
    made = well()
    made.tables["ir.cron"][11]["active"] = False
    made.tables["res.users"] = {2: {"login": "admin"}}
    return made


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, odoo: Records) -> Iterator[Scene]:
    """The company of the other files, with a name server and an Odoo."""
    folder = tmp_path_factory.mktemp("scene")
    records = "\n".join([*microsoft(), *healthy(), txt("open.test", "v=spf1 +all"), "open.test. MX 10 mx.healthy.test."])
    with dns_server(tmp_path_factory.mktemp("dns"), records) as names, served(odoo) as url:
        (folder / "gateway").mkdir()
        config = f'[web]\nport = 0\n[[listener]]\nport = {free_port()}\n[doctor]\nresolver = ["{names.address}"]\nevery = "0s"\n'
        (folder / "gateway" / "mailroom.toml").write_text(config)
        made = Scene(folder)
        try:
            made.gateway.connect(made.emulator, "office", MARY, "--no-server")
            made.apply(OBJECTS % url + SMARTHOST)
            made.gateway.run("destination", "key", "erp", stdin=f"{KEY}\n")
            made.add_application("erp", "contoso.example", "news.contoso.example")
            made.gateway.start()
            yield made.open_doors()
        finally:
            made.stop()


def begin(scene: Scene, page: Page) -> None:
    page.goto(f"{scene.gateway.web}/doctor")
    expect(page.get_by_role("heading", name="Doctor", level=1)).to_be_visible()


def test_the_installation_is_looked_at_while_one_watches(scene: Scene, page: Page) -> None:
    begin(scene, page)
    _fits(page)
    page.get_by_role("region", name="This installation").get_by_role("button", name="Look now").click()
    expect(page.locator("#steps li").filter(has_text="account office")).to_contain_text("good", timeout=LONG)
    expect(page.get_by_role("heading", name="127.0.0.1:9 can't be reached")).to_be_visible(timeout=LONG)
    expect(page.get_by_role("heading", name="What ends when")).to_be_visible(timeout=LONG)
    _fits(page)
    page.get_by_role("link", name="Everything that is known of each object").click()
    row = page.get_by_role("row").filter(has_text="account office").first
    expect(row).to_contain_text("Mail.ReadWrite")
    expect(page.get_by_role("table").filter(has_text="What to do")).to_contain_text("sign-in")
    _fits(page)
    page.get_by_role("region", name="127.0.0.1:9 can't be reached").get_by_role("link", name="Change it").click()
    expect(page).to_have_url(re.compile("/servers/of/newsletter"))
    begin(scene, page)
    expect(page.get_by_role("region", name="This installation")).to_contain_text("1 harmful")


def test_as_whom_we_may_send(scene: Scene, page: Page) -> None:
    begin(scene, page)
    page.get_by_label("May I send as").fill(MARY)
    page.get_by_label("May I send as").press("Enter")
    expect(page.get_by_role("heading", name="yes It is the mailbox's own address")).to_be_visible(timeout=LONG)
    _fits(page)
    page.get_by_label("May I send as").fill(TOM)
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("Add-RecipientPermission").first).to_be_visible(timeout=LONG)
    _fits(page)


def test_a_domain_is_looked_at_and_its_records_are_there_to_copy(scene: Scene, page: Page) -> None:
    begin(scene, page)
    page.get_by_label("Domain", exact=True).fill("open.test")
    page.get_by_role("button", name="Look", exact=True).click()
    expect(page.get_by_role("heading", name="lets every server of the world send")).to_be_visible(timeout=LONG)
    expect(page.get_by_role("button", name="Copy").first).to_be_visible()
    _fits(page)
    page.get_by_role("link", name="Another domain").click()
    page.get_by_label("Domain", exact=True).fill("healthy.test")
    page.get_by_role("button", name="Look", exact=True).click()
    expect(page.get_by_role("heading", name="is wrong")).to_be_visible(timeout=LONG)


def test_a_mail_is_taken_apart_and_it_says_what_would_make_it_better(scene: Scene, page: Page) -> None:
    begin(scene, page)
    page.get_by_label("A mail that was received").set_input_files({"name": "order.eml", "mimeType": "message/rfc822", "buffer": BANNER})
    page.get_by_role("button", name="Take it apart").click()
    expect(page.get_by_role("heading", name="Order 7", level=1)).to_be_visible(timeout=LONG)
    expect(page.get_by_text(re.compile("mending it is worth")).first).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="out.fabrikam.example")).to_contain_text("ESMTPS")
    _fits(page)


def test_who_sends_in_the_name_of_a_domain_is_a_chart_and_a_table(scene: Scene, page: Page) -> None:
    yesterday = int(time.time()) - 86400
    rows = row("192.0.2.1", 140, domain="contoso.example"), row("198.51.100.7", 5, dkim="fail", spf="fail", domain="contoso.example")
    file = scene.folder / "report.xml"
    file.write_bytes(report(*rows, domain="contoso.example", begins=yesterday))
    scene.gateway.run("doctor", "report", str(file))
    begin(scene, page)
    page.get_by_role("link", name="Who sends as contoso.example").click()
    expect(page.get_by_role("row").filter(has_text="198.51.100.7")).to_contain_text("5")
    expect(page.locator(".chart canvas")).to_be_visible()
    _fits(page)


def test_an_odoo_is_looked_at_mended_and_gets_back_what_it_had(scene: Scene, page: Page, odoo: Records) -> None:
    begin(scene, page)
    page.get_by_role("link", name="Look at erp").click()
    expect(page.get_by_role("heading", name="Mend it: Odoo's job that sends mail")).to_be_visible(timeout=LONG)
    expect(page.get_by_text("active: no -> yes")).to_be_visible()
    _fits(page)
    page.get_by_role("button", name=re.compile("^Do this in Odoo")).click()
    expect(page.get_by_text("This was done")).to_be_visible(timeout=LONG)
    expect(page.get_by_role("heading", name="Nothing was found that is wrong")).to_be_visible()
    assert odoo.tables["ir.cron"][11]["active"] is True
    _fits(page)
    page.get_by_role("button", name="Bring back what was before").click()
    expect(page.get_by_role("heading", name="Mend it: Odoo's job that sends mail")).to_be_visible(timeout=LONG)
    assert odoo.tables["ir.cron"][11]["active"] is False


def test_a_question_and_an_error_text(scene: Scene, page: Page) -> None:
    begin(scene, page)
    page.get_by_role("link", name="Ask", exact=True).click()
    page.get_by_label("What is wrong?").select_option("not-sent")
    page.get_by_label("An address").fill("letter@news.contoso.example")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="harmful 127.0.0.1:9 can't be reached")).to_be_visible(timeout=LONG)
    _fits(page)
    begin(scene, page)
    page.get_by_label("An error text").fill("535 5.7.139 Authentication unsuccessful, basic authentication is disabled")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("What it means.").first).to_be_visible(timeout=LONG)
    _fits(page)


def _fits(page: Page) -> None:
    """Accessible in both colours, on a wide screen and on a phone."""
    usual = page.viewport_size
    for colours in ("dark", "light"):
        page.emulate_media(color_scheme="dark" if colours == "dark" else "light")
        page.evaluate(SETTLED)
        assert violations(page) == [], (page.url, colours)
    page.set_viewport_size(PHONE)
    assert sideways(page) <= 0, page.url
    if usual is not None:
        page.set_viewport_size(usual)
