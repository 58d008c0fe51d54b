"""Somebody at a browser: what the sign-in of a library needs on its other side."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2

MARY = "mary@contoso.example"  # may send as sales@ and info@contoso.example, and read there
TOM = "tom@contoso.example"  # may send on behalf of sales@contoso.example

_LINK = re.compile(r'<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>', re.DOTALL)
_ACTION = re.compile(r'<form method="post" action="([^"]+)">')
_FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@dataclass
class Person:
    """Reads pages and clicks links, and nothing else: no script, and no knowledge of the emulator's shortcuts."""

    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=30))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def sign_in(self, url: str, who: str, decision: str = "Accept") -> str:
        """Pick an account and answer the question for consent; the address that one is sent back to."""
        return str(self._last_page(url, who, decision).headers["location"])

    def sign_in_by_form(self, url: str, who: str) -> dict[str, str]:
        """The same where the answer is a form that is posted back (`response_mode=form_post`); its fields."""
        return {name: unescape(value) for name, value in _FIELD.findall(self._last_page(url, who, "Accept").text)}

    def sign_in_for_a_device(self, url: str, user_code: str, who: str) -> None:
        """Enter the code that a device shows, and sign in there."""
        page = self._click(url, self.http.get(url, params={"user_code": user_code}), who)
        assert "You have signed in" in page.text, page.text

    def sign_in_and_arrive(self, url: str, who: str) -> None:
        """Sign in to a program that waits for the answer on a port of its own; msal wants it as a form."""
        page = self._last_page(url, who, "Accept")
        target = _ACTION.findall(page.text)
        fields = {name: unescape(value) for name, value in _FIELD.findall(page.text)}
        assert self.http.post(unescape(target[0]), data=fields).status_code == 200

    def _last_page(self, url: str, who: str, decision: str) -> httpx2.Response:
        page = self._click(url, self.http.get(url), who)
        return self._click(url, page, decision) if _LINK.search(page.text) else page

    def _click(self, url: str, page: httpx2.Response, words: str) -> httpx2.Response:
        links = {re.sub(r"<[^>]+>", " ", label): unescape(target) for target, label in _LINK.findall(page.text)}
        found = [target for label, target in links.items() if words in label]
        assert len(found) == 1, f"{words!r} is not one of {sorted(links)} on the page {page.text}"
        return self.http.get(urljoin(url, found[0]))


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
