"""Debian's Chromium, driven by Playwright: never a browser that a test downloads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, ViewportSize, sync_playwright

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text("utf-8")
WIDE: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}
WAIT = 20_000
"""Milliseconds that a page has for what it is expected to do."""


@contextmanager
def chromium(profile: Path, **options: Any) -> Iterator[BrowserContext]:
    """A browser with a profile of its own."""
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            headless=True,
            args=ARGUMENTS,
            **{"viewport": WIDE, "locale": "en-GB", "timezone_id": "Europe/Berlin", "color_scheme": "light", **options},
        )
        context.set_default_timeout(WAIT)
        try:
            yield context
        finally:
            context.close()


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page as it stands."""
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate("axe.run(document, {iframes: false})")
    return [f"{each['id']}: {each['help']} ({node['html'][:160]})" for each in found["violations"] for node in each["nodes"]]


def sideways(page: Page) -> int:
    """How many pixels of a page lie outside of the window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width
