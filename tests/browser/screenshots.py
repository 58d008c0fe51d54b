"""Takes the pictures of the README into `docs/`: `make screenshots`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, ViewportSize

from tests.browser.chromium import CHROMIUM, chromium
from tests.browser.scene import SMARTHOST, Scene, invoice, plain
from tests.walk.world import eventually

DOCS = Path(__file__).resolve().parents[2] / "docs"
SIZE: ViewportSize = {"width": 1200, "height": 570}
MOST = 300_000
"""Bytes of all pictures together."""
OFFICE = """
[server."office"]
from_filter = ["contoso.example"]
graph = { account = "office" }
"""


def main() -> None:
    if CHROMIUM is None:
        sys.exit("chromium is not installed; run: make system")
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        try:
            _prepare(scene)
            with chromium(Path(folder) / "profile", viewport=SIZE) as browser:
                browser.add_cookies([{"name": "mailroom-session", "value": scene.session_cookie, "url": scene.gateway.web}])
                _take(scene, browser.new_page())
        finally:
            scene.stop()
    size = sum(picture.stat().st_size for picture in DOCS.glob("console-*.png"))
    if size > MOST:
        sys.exit(f"the pictures take {size} bytes, and may take {MOST}")
    print(f"docs/console-*.png: {size} bytes")


def _prepare(scene: Scene) -> None:
    scene.gateway.connect(scene.emulator, "office", "mary@contoso.example", "--no-server")
    scene.apply(OFFICE + SMARTHOST)
    scene.add_application("erp", "contoso.example", "news.contoso.example")
    scene.yesterday(60)
    scene.gateway.start()
    scene.open_doors()


def _take(scene: Scene, page: Page) -> None:
    to = "anna.berg@nordlicht.example"
    number = scene.submit(invoice(to), to)
    scene.wait_until_sent("INV/2026/0815")
    page.goto(f"{scene.gateway.web}/messages/{number}")
    page.frame_locator(".mail-frame").get_by_text("1,250.00 EUR").wait_for()
    page.screenshot(path=DOCS / "console-message.png")

    _keep_busy(scene)
    page.goto(scene.gateway.web)
    page.get_by_text("done at").first.wait_for()
    page.locator("#chart canvas").wait_for()
    page.set_viewport_size({**SIZE, "height": 910})
    page.screenshot(path=DOCS / "console-overview.png")

    page.set_viewport_size({**SIZE, "height": 380})
    page.emulate_media(color_scheme="dark")
    page.goto(f"{scene.gateway.web}/messages?text=nordlicht")
    page.screenshot(path=DOCS / "console-messages-dark.png")


def _keep_busy(scene: Scene) -> None:
    """Slow answers, so that something waits while the picture is taken."""
    scene.emulator.fault(match={"operation": "createDraft"}, action={"kind": "delay", "seconds": 2.5}, times=1000)
    with scene.session() as smtp:
        for reference in range(36):
            to = f"customer{reference}@alpenhof.example"
            smtp.sendmail("mary@contoso.example", [to], plain(f"Order confirmation SO{5200 + reference:05}", to, "Thank you.\n"))
    sent = eventually(lambda: len(scene.arrived("Order confirmation")) >= 3)
    assert sent


if __name__ == "__main__":
    main()
