"""One company and one browser for all tests of a file: what one of them leaves behind meets no other file."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.chromium import CHROMIUM, chromium
from tests.browser.scene import SMARTHOST, Scene

MX = {"MAILROOM_MX_ENABLED": "true", "MAILROOM_MX_HOST": "127.0.0.1", "MAILROOM_MX_RESOLVER": "127.0.0.1:9"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("scene"), environment=MX | {"MAILROOM_MX_PORT": str(free_port())})
    made.gateway.connect(made.emulator, "office", "mary@contoso.example", "--no-server")
    made.apply('[server."office"]\nfrom_filter = ["contoso.example"]\ngraph = { account = "office" }\n' + SMARTHOST)
    made.add_application("erp", "contoso.example", "news.contoso.example")
    made.yesterday()
    made.gateway.start()
    yield made.open_doors()
    made.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with chromium(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture
def page(scene: Scene, browser: BrowserContext) -> Iterator[Page]:
    """A page of somebody who is signed in. Nothing may come from anybody else, and no script may break."""
    scene.calm()
    browser.clear_cookies()
    browser.add_cookies([{"name": "mailroom-session", "value": scene.session_cookie, "url": scene.gateway.web}])
    made = browser.new_page()
    foreign, broken = list[str](), list[str]()
    made.on("response", lambda answer: None if answer.url.startswith((scene.gateway.web, "data:")) else foreign.append(answer.url))
    made.on("pageerror", lambda problem: broken.append(str(problem)))
    yield made
    made.close()
    assert foreign == []
    assert broken == []
