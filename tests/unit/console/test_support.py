"""The page Support bundle."""

from __future__ import annotations

import io
import zipfile
from html import unescape

from mailroom.console.support import KEPT, PATIENCE
from mailroom.objects import Role
from tests.unit.console.conftest import Pages


def shown(pages: Pages, **fields: str) -> str:
    answer = pages.client.post("/support/preview", data=fields)
    assert answer.status_code == 200, answer.text
    return answer.text


def path_of(page: str) -> str:
    return "/support/of/" + page.partition('href="/support/of/')[2].partition('"')[0]


def test_what_is_saved_is_what_was_shown(pages: Pages) -> None:
    assert "/support" in pages.get("/doctor")
    assert "0612345678901" in pages.get("/support?mail=0612345678901")
    page = shown(pages)
    assert "mary@contoso.example" in page, "the legend is for those who make it"
    assert "&lt;b&gt;(secret)&lt;/b&gt;" in page
    answer = pages.client.get(path_of(page))
    assert (answer.headers["content-type"], "attachment" in answer.headers["content-disposition"]) == ("application/zip", True)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        text = archive.read("mailroom-support/settings.json").decode()
    assert text in unescape(page)
    assert "(secret) of address-1@domain-1.invalid" in text.replace("<b>", "").replace("</b>", "")


def test_ids_may_stand_in_lines_and_mistakes_are_said_beside_them(pages: Pages) -> None:
    answer = pages.client.post("/support/preview", data={"mails": "unknown\nother", "content": "on"})
    assert answer.status_code == 422
    assert "there is no mail" in answer.text
    assert "unknown\nother" in answer.text
    assert "contoso.example" in shown(pages, keep_names="on")


def test_a_bundle_is_kept_for_a_while_and_for_whom_it_was_made(pages: Pages) -> None:
    first = path_of(shown(pages))
    for _ in range(KEPT):
        last = path_of(shown(pages))
    pages.get(first, 404)
    assert pages.client.get(last).status_code == 200
    pages.clock.go_on(seconds=PATIENCE.total_seconds() + 1)
    pages.get(last, 404)
    pages.role = Role.OPERATOR
    pages.get("/support", 403)
    pages.get(last, 403)
    assert "/support" not in pages.get("/doctor")
