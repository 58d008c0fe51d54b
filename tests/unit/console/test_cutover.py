"""The page Cut-over, without a script."""

from __future__ import annotations

from html import unescape

from mailroom.objects import Role
from tests.unit.console.conftest import CSRF, Pages

REPORT = b"Sender address,TLS 1.0,TLS 1.2,Messages sent\nscanner@contoso.example,100,0,1204\n<b>@contoso.example,0,100,5\nnobody,0,0,1\n"


def preview(pages: Pages, raw: bytes = REPORT, status: int = 200) -> str:
    answer = pages.client.post("/cutover/preview", files={"file": ("report.csv", raw)})
    assert answer.status_code == status, answer.text
    return unescape(answer.text)


def listed(pages: Pages) -> None:
    shown = preview(pages)
    report = shown.partition('name="report" value="')[2].partition('">')[0]
    answer = pages.client.post("/cutover/add", data={"report": report, "address": ["scanner@contoso.example"]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/cutover")


def test_the_empty_page_says_where_the_report_is(pages: Pages) -> None:
    shown = pages.get("/cutover")
    assert "Nobody is on the list yet" in shown
    assert "admin.exchange.microsoft.com" in shown
    assert "end of December 2026" in shown


def test_a_report_is_shown_before_anything_is_made(pages: Pages) -> None:
    shown = preview(pages)
    assert "New application scanner" in shown
    assert "1,204" in shown
    assert "2 lines without an address were left out" in shown
    assert pages.store.directory().applications == {}
    assert "<b>@" in shown
    assert "<b>@" not in pages.client.post("/cutover/preview", files={"file": ("report.csv", REPORT)}).text


def test_what_is_no_report_is_said_beside_the_box(pages: Pages) -> None:
    assert "no column with the addresses" in preview(pages, b"a,b\n1,2\n", 422)
    assert "the file is empty" in preview(pages, b"", 422)
    answer = pages.client.post("/cutover/add", data={"report": "nonsense", "address": ["a@b.example"]})
    assert answer.status_code == 422


def test_an_address_waits_with_its_settings_until_its_first_mail(pages: Pages) -> None:
    listed(pages)
    assert "0 of 1 done" in pages.get("/cutover")
    shown = pages.get("/cutover/of/scanner@contoso.example")
    assert "Password: PASSWORD" in shown
    assert "It speaks old TLS" in shown
    made = pages.client.post("/cutover/password", data={"name": "scanner@contoso.example"}).text
    assert "Password: PASSWORD" not in made
    assert "It is shown this once" in made
    pages.clock.go_on(seconds=1)
    mail = pages.make.message("a@b.example", application="scanner")
    pages.store.put([mail])
    pages.clock.go_on(seconds=1)
    done = pages.get("/cutover")
    assert "1 of 1 done" in done
    assert "There is a date" not in done
    assert "/messages/" in pages.get("/cutover/of/scanner@contoso.example")
    kept = pages.client.post("/cutover/undo", data={"name": "scanner@contoso.example"})
    assert kept.status_code == 409
    assert "its mail comes through Mailroom" in kept.text


def test_what_never_sent_is_undone_alone_and_together(pages: Pages) -> None:
    listed(pages)
    assert "1 address is off the list" in pages.client.post("/cutover/undo", data={"name": "scanner@contoso.example"}).text
    listed(pages)
    assert "1 address is off the list" in pages.client.post("/cutover/undo", data={"name": ""}).text
    assert pages.store.directory().applications == {}
    pages.get("/cutover/of/scanner@contoso.example", 404)
    gone = pages.client.post("/cutover/password", data={"name": "scanner@contoso.example"})
    assert gone.status_code == 404


def test_an_application_that_was_removed_is_said(pages: Pages) -> None:
    listed(pages)
    pages.store.apply([], [("application", "scanner")], by="test")
    assert "was removed" in pages.get("/cutover/of/scanner@contoso.example")


def test_only_administrators_see_it(pages: Pages) -> None:
    pages.role = Role.OPERATOR
    pages.get("/cutover", 403)
    assert pages.client.post("/cutover/undo", data={"name": ""}, headers={"X-CSRF-Token": CSRF}).status_code == 403
