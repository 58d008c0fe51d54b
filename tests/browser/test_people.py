"""People in a real browser: the first start, second factors, roles."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyotp
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from demo.processes import Gateway
from tests.browser.chromium import PHONE, WIDE, sideways, violations

MARY, PAUL, PASSWORD = "mary@contoso.example", "paul@contoso.example", "four horses in a kitchen"

COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")


class Console:
    """A gateway of its own, which nobody has set up yet, and a browser before it."""

    def __init__(self, gateway: Gateway, page: Page) -> None:
        self.gateway = gateway
        self.page = page

    def go(self, path: str) -> None:
        self.page.goto(self.gateway.web + path)

    def set_up(self) -> None:
        self.page.goto((self.gateway.data / "setup-link").read_text().strip())
        self.page.get_by_label("E-mail address").fill(MARY)
        self.choose(PASSWORD)
        self.page.get_by_role("button", name="Begin").click()
        expect(self.page).to_have_url(self.gateway.web + "/")

    def choose(self, password: str) -> None:
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_label("The same again").fill(password)

    def sign_in(self, name: str = MARY) -> None:
        self.page.get_by_label("E-mail address").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in", exact=True).click()

    def sign_out(self) -> None:
        self.page.locator(".side").get_by_role("button", name="Sign out").click()
        expect(self.page.get_by_role("heading", name="Sign in")).to_be_visible()

    def invite(self, name: str, role: str) -> str:
        """The link for somebody."""
        self.go("/users")
        self.page.get_by_label("E-mail address").fill(name)
        self.page.get_by_label("Role").first.select_option(role)
        self.page.get_by_role("button", name="Make a link").click()
        return self.page.locator("#link").inner_text()

    def looks_right(self) -> None:
        """Wide and narrow, light and dark."""
        for window in (WIDE, PHONE):
            self.page.set_viewport_size({"width": window["width"], "height": window["height"]})
            assert sideways(self.page) == 0, (self.page.url, window)
            for colours in COLOURS:
                self.page.emulate_media(color_scheme=colours, reduced_motion="reduce")  # nothing is half way between two colours
                assert violations(self.page) == [], (self.page.url, colours)
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": WIDE["width"], "height": WIDE["height"]})


@pytest.fixture
def console(tmp_path: Path, browser: BrowserContext) -> Iterator[Console]:
    gateway = Gateway(tmp_path / "gateway")
    gateway.start()
    browser.clear_cookies()
    page = browser.new_page()
    yield Console(gateway, page)
    page.close()
    gateway.stop()


def test_the_first_start_leads_from_an_empty_house_to_a_second_person(console: Console) -> None:
    page = console.page
    console.go("/")
    expect(page.get_by_text("Nobody can sign in yet")).to_be_visible()
    console.looks_right()
    page.goto((console.gateway.data / "setup-link").read_text().strip())
    console.looks_right()
    console.set_up()
    expect(page.get_by_role("link", name=MARY)).to_be_visible()
    link = console.invite(PAUL, "viewer")
    console.looks_right()
    console.go("/users")
    page.locator("summary", has_text=f"Change {PAUL}").click()
    expect(page.get_by_role("button", name="Let in no more")).to_be_visible()
    expect(page.get_by_role("button", name="Remove for good")).to_be_hidden()
    page.locator("summary", has_text=f"Remove {PAUL}").click()
    expect(page.get_by_role("button", name="Remove for good")).to_be_visible()
    console.looks_right()
    console.sign_out()
    page.goto(link)
    expect(page.get_by_text(f"For {PAUL}, viewer")).to_be_visible()
    console.looks_right()
    console.choose("short but long enough")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("link", name=PAUL)).to_be_visible()
    page.goto(link)
    expect(page.get_by_role("heading", name="This link is no longer good")).to_be_visible()
    console.looks_right()


def test_a_second_factor_from_the_picture_to_the_recovery_code(console: Console) -> None:
    page = console.page
    console.set_up()
    console.go("/me")
    console.looks_right()
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_role("img", name="QR code with the key below")).to_be_visible()
    console.looks_right()
    totp = pyotp.TOTP(page.locator("#secret").inner_text())
    page.get_by_label("Code", exact=True).fill(totp.now())
    page.get_by_role("button", name="Turn on").click()
    codes = page.locator("#codes").inner_text().split()
    assert len(codes) == 10
    console.looks_right()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 recovery codes are left")).to_be_visible()
    console.sign_out()
    console.go("/users")
    console.sign_in()
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    console.looks_right()
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("This code is wrong")
    page.get_by_label("Code").fill(totp.at(time.time() + 30))  # each code is good once; a clock may be ahead
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(re.compile("/users$"))
    console.sign_out()
    console.sign_in()
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Continue").click()
    console.go("/me")
    expect(page.get_by_text("9 recovery codes are left")).to_be_visible()


def test_a_viewer_sees_no_way_to_people_and_finds_none(console: Console) -> None:
    page = console.page
    console.set_up()
    expect(page.get_by_role("navigation").get_by_role("link", name="Users")).to_be_visible()
    link = console.invite(PAUL, "viewer")
    console.sign_out()
    page.goto(link)
    console.choose(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_role("link", name="Users")).to_have_count(0)
    console.go("/users")
    expect(page.get_by_text("This needs the role admin; you are signed in as viewer")).to_be_visible()
    console.looks_right()
    console.gateway.run("user", "role", PAUL, "admin")
    console.go("/users")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    console.sign_in(PAUL)
    expect(page.get_by_role("heading", name="Users")).to_be_visible()


def test_a_wrong_password_is_said_so_and_the_keyboard_is_enough(console: Console) -> None:
    page = console.page
    console.set_up()
    console.sign_out()
    page.keyboard.type(MARY)
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("don't fit together")
    console.looks_right()
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(console.gateway.web + "/")
