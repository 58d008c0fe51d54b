"""The page Doctor."""

from __future__ import annotations

from dataclasses import replace

import httpx2

from mailroom.doctor.aggregate import read
from mailroom.objects import AliasDomain, Role
from tests.unit.console.desks import doctor_of
from tests.unit.console.site import PAUL, Site, post, token
from tests.unit.doctor.reports import report, row
from tests.unit.doctor.test_desk import GOOD
from tests.unit.doctor.test_mail import HEAD


def test_a_domain_is_looked_at_and_its_records_can_be_copied(site: Site) -> None:
    site.app.state.house = _with(site, {**GOOD, "TXT example.com": "v=spf1 +all <b>"})
    browser = site.signed_in()
    assert "No alias domain yet" in browser.get("/doctor").text
    site.store.apply([AliasDomain(name="example.com")], [], by="test")
    assert "not looked at yet" in browser.get("/doctor").text
    page = post(browser, "/doctor/look", "/doctor", domain="example.com")
    assert page.status_code == 200
    assert "lets every server of the world send" in page.text
    assert 'data-copy-from="#add-' in page.text
    assert "<b>" not in page.text
    assert "1 harmful" in browser.get("/doctor").text or "harmful" in browser.get("/doctor").text
    assert "lets every server of the world send" in browser.get("/doctor/of/example.com").text


def test_what_is_no_domain_is_said_beside_the_box(site: Site) -> None:
    browser = site.signed_in()
    page = post(browser, "/doctor/look", "/doctor", domain="nonsense")
    assert (page.status_code, "is no domain" in page.text) == (422, True)
    assert browser.get("/doctor/of/unknown.test").status_code == 404


def test_a_viewer_sees_the_last_looks_and_starts_none(site: Site) -> None:
    site.person(PAUL, Role.VIEWER)
    browser = site.signed_in(PAUL)
    page = browser.get("/doctor")
    assert page.status_code == 200
    assert browser.post("/doctor/look", data={"csrf": token(page), "domain": "example.com"}).status_code == 403


def test_who_sends_is_shown_by_source_with_a_proposal(site: Site) -> None:
    site.store.apply([AliasDomain(name="example.com")], [], by="test")
    browser = site.signed_in()
    assert "add-doctor" in browser.get("/doctor/senders/example.com").text
    assert browser.get("/doctor/senders/other.test").status_code == 404
    made = read(report(row("192.0.2.1", 7), row("198.51.100.66", 5, dkim="fail", spf="fail")))
    site.store.diagnoses.add(replace(made, begins=site.clock(), ends=site.clock()))
    page = browser.get("/doctor/senders/example.com").text
    assert "7 of 12 mails pass" in page
    assert "198.51.100.66" in page
    assert "After 14 days" in page
    assert "Who sends" in browser.get("/doctor").text


def test_a_mail_is_uploaded_and_taken_apart(site: Site) -> None:
    browser = site.signed_in()
    page = browser.get("/doctor")

    def upload(raw: bytes) -> httpx2.Response:
        file = {"file": ("mail.eml", raw, "message/rfc822")}
        sent: httpx2.Response = browser.post("/doctor/message", data={"csrf": token(page)}, files=file)
        return sent

    shown = upload(HEAD.replace("Order 7", "Order <b>7</b>").encode())
    assert (shown.status_code, "7 of 10" in shown.text, "<b>7" in shown.text) == (200, True, False), shown.text
    assert "out.example.com → mx.receiver.test" in shown.text
    assert "SpamAssassin is not for tests" in shown.text
    assert "be read as a mail" in upload(b"hello").text
    assert "Choose the file" in upload(b"").text
    assert browser.get("/doctor/mail/unknown").status_code == 404


def _with(site: Site, records: dict[str, object]) -> object:
    return replace(site.app.state.house, doctor=doctor_of(site.store, site.clock, records))  # type: ignore[arg-type]


def test_an_error_text_is_explained_and_an_unknown_one_says_so(site: Site) -> None:
    site.person(PAUL, Role.VIEWER)
    assert "/doctor/explain" not in site.signed_in(PAUL).get("/doctor").text
    browser = site.signed_in()
    page = post(browser, "/doctor/explain", "/doctor", text="550 5.7.60 SMTP; <b>Client does not have permissions")
    assert (page.status_code, "may not send as the sender" in page.text, "Source: " in page.text) == (200, True, True)
    assert "<b>Client" not in page.text
    assert "This text is unknown" in post(browser, "/doctor/explain", "/doctor", text="a text of no kind").text
    assert post(browser, "/doctor/explain", "/doctor", text=" ").status_code == 422


def test_an_odoo_is_looked_at_mended_after_a_preview_and_as_before(site: Site) -> None:
    browser = site.signed_in()
    assert 'href="/doctor/odoo/erp"' in browser.get("/doctor").text
    shown = browser.get("/doctor/odoo/erp").text
    assert "Email Queue Manager) is switched off" in shown
    assert "active: no -&gt; yes" in shown
    assert "<b>" not in shown
    done = post(browser, "/doctor/odoo/mend", "/doctor/odoo/erp", name="erp", code="odoo-queue-off")
    assert (done.status_code, "The job is on, says user:mary@example.com" in done.text) == (200, True)
    assert "is switched off" not in done.text
    assert "The job is as before" in post(browser, "/doctor/odoo/undo", "/doctor/odoo/erp", name="erp").text
    assert post(browser, "/doctor/odoo/undo", "/doctor/odoo/erp", name="erp").status_code == 422
    gone = browser.get("/doctor/odoo/other")
    assert (gone.status_code, "no destination &#39;other&#39;" in gone.text) == (422, True)


def test_a_question_is_asked_and_answered_on_one_page(site: Site) -> None:
    browser = site.signed_in()
    assert 'href="/doctor/ask"' in browser.get("/doctor").text
    form = browser.get("/doctor/ask", params={"question": "queued", "address": "<b>"}).text
    assert '<option value="queued" selected>' in form
    assert "<b>" not in form
    none = post(browser, "/doctor/ask", question="duplicates", message="", address="")
    assert (none.status_code, "Nothing was found; this was looked at" in none.text) == (200, True)
    cause = post(browser, "/doctor/ask", question="not-sent", message="", address="")
    assert "No outgoing server takes mail" in cause.text
    assert 'href="/servers"' in cause.text
    fields = {"csrf": token(browser.get("/doctor/ask")), "question": "spam", "message": "", "address": ""}
    letter = b"From: mary@contoso.example\r\nSubject: x\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n\r\nHello\r\n"
    apart = browser.post("/doctor/ask", data=fields, files={"file": ("spam.eml", letter)})
    assert (apart.status_code, 'About <span class="anywhere">the mail that was given</span>' in apart.text) == (200, True)
    assert "the mail as it arrived" in apart.text
    wrong = post(browser, "/doctor/ask", question="not-sent", message="nonsense", address="")
    assert (wrong.status_code, "no mail &#39;nonsense&#39;" in wrong.text) == (422, True)
