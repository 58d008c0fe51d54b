"""Finding mail, its story, and acting on it."""

from __future__ import annotations

import re
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from starlette.datastructures import QueryParams

from mailroom.console import messages
from mailroom.console.search_form import search_of
from mailroom.objects import Role
from mailroom.ports import Event, NewMessage
from mailroom_core.model import LaneName, Reply, State, show_id
from tests.contract.store.makers import claim_one, states_of
from tests.unit.console.conftest import Pages

SCRIPT = "<script>alert(1)</script>"
PICTURE = b"\x89PNG\r\n\x1a\nsmall"


def put(pages: Pages, *recipients: str, **options: object) -> NewMessage:
    made = pages.make.message(*recipients, **options)  # type: ignore[arg-type]  # as the maker has them
    pages.store.put([made])
    return made


def path(message: NewMessage) -> str:
    return f"/messages/{show_id(message.id)}"


def letter() -> bytes:
    """HTML with a picture of its own, one from elsewhere, links, and a file with a bad name."""
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "Letter", "sales@example.com"
    mail.set_content("Plain words\n")
    html = (
        '<style>@import url(http://evil.example/a.css); p{color:red;background:url(http://evil.example/b)}</style><p style="background:'
        'url(http://evil.example/c)">Rich words</p><img src="cid:own"><img src="http://evil.example/pixel"><a href="http://evil.example">x</a>'
        "<script>alert(1)</script><form action=/x><input name=q></form>"
    )
    mail.add_alternative(html, subtype="html")
    mail.get_payload()[1].add_related(PICTURE, "image", "png", cid="<own>")  # type: ignore[union-attr,index]  # it is multipart
    mail.add_attachment(b"a,b\n", maintype="text", subtype="csv", filename='../"ev\r\nil;ü.csv'.replace("\r\n", ""))
    return mail.as_bytes().replace(b"\n", b"\r\n")


# ---- the list


def test_every_list_says_what_to_do_when_it_is_empty(pages: Pages) -> None:
    empty = pages.get("/messages")
    assert "mailroom send" in empty
    assert "For all that match" not in empty
    assert "Export as CSV" not in empty
    assert "No mail yet" in pages.get("/messages?text=x")
    put(pages)
    assert "Try a shorter part" in pages.get("/messages?text=nobody")
    assert "For all that match" in pages.get("/messages")
    assert "This is the end" in pages.get("/messages?after=1")


def test_filters_stand_in_the_address_bar_and_in_the_form(pages: Pages) -> None:
    put(pages, "anna@example.org", application="odoo")
    put(pages, "bob@example.org", state=State.FAILED)
    text = pages.get("/messages?text=BOB&state=failed")
    assert "bob@example.org" in text
    assert "anna@example.org" not in text
    assert 'value="BOB"' in text
    assert '<option value="failed" selected>' in text
    assert "anna@example.org" in pages.get("/messages?application=odoo&text=anna")


@pytest.mark.parametrize(
    "bad", ["state=nothing", "since=yesterday", "until=2026-13-01", "zone=x&since=2026-01-01", "after=x", "after=" + "9" * 30]
)
def test_an_address_that_makes_no_sense_is_no_error(pages: Pages, bad: str) -> None:
    put(pages)
    pages.get(f"/messages?{bad}")
    pages.get(f"/messages/list?{bad}")


def test_times_are_meant_in_the_zone_of_the_browser() -> None:
    found = search_of(QueryParams("since=2026-11-21T10:00&zone=-60"))
    assert found.query.since is not None
    assert found.query.since.isoformat() == "2026-11-21T09:00:00+00:00"
    assert search_of(QueryParams(found.address())).query == found.query
    assert search_of(QueryParams("since=0001-01-01&zone=900")).query.since is not None
    assert search_of(QueryParams("since=2026-11-21&zone=99999")).mistakes


def test_older_mail_is_a_page_away(pages: Pages) -> None:
    pages.store.put([pages.make.message(f"r{number}@example.org") for number in range(messages.PAGE + 1)])
    first = pages.get("/messages")
    assert "r0@example.org" not in first
    older = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert "r0@example.org" in pages.get(older)


def test_the_list_is_sent_again_only_when_it_has_changed(pages: Pages) -> None:
    put(pages)
    seen = pages.get("/messages").split('data-version="')[1].split('"')[0]
    assert pages.client.get(f"/messages/list?seen={seen}").status_code == 204
    put(pages)
    assert pages.client.get(f"/messages/list?seen={seen}").status_code == 200


def test_nothing_that_others_wrote_is_markup(pages: Pages) -> None:
    mail = put(
        pages,
        f"{SCRIPT}@example.org",
        subject=SCRIPT,
        sender=SCRIPT,
        header_message_id=f"<{SCRIPT}>",
        raw=f"Subject: {SCRIPT}\r\n\r\n{SCRIPT}".encode(),
    )
    for each in (
        "/messages",
        f"/messages?text={SCRIPT}&tag={SCRIPT}&lane={SCRIPT}",
        path(mail),
        f"{path(mail)}/mail?view=source",
        "/messages/all?action=cancel",
    ):
        assert SCRIPT not in pages.get(each), each


# ---- one mail


def test_the_story_is_told_in_order_with_the_answer_a_click_away(pages: Pages) -> None:
    mail = put(pages)
    lane = claim_one(pages.store)
    pages.clock.go_on(seconds=1)
    attempts = pages.make.begun(pages.store, lane, pages.store.due(lane, limit=1))
    pages.clock.go_on(seconds=2)
    pages.store.settle([pages.make.settled(each, State.SENT) for each in attempts])
    text = pages.get(path(mail))
    places = [text.index(words) for words in ("<h3>Accepted", "<h3>Try 1", "It took 2.0 seconds", "<h3>Handed over")]
    assert places == sorted(places)
    assert "no proof that it has arrived" in text
    assert "became sent" in text


def test_an_answer_is_told_in_words_and_its_codes_are_a_click_away(pages: Pages) -> None:
    mail = put(pages)
    reply = Reply(550, "No such user here", "5.1.1", "RecipientNotFound")
    facts = {"code": "550", "enhanced": "5.1.1", "name": "RecipientNotFound", "reply": reply.text}
    lane = claim_one(pages.store)
    attempt = pages.make.begun(pages.store, lane, pages.store.due(lane, limit=1))[0]
    settled = pages.make.settled(attempt, State.FAILED, reply=reply)
    event = Event(at=pages.clock(), name="failed", text=f"Refused for good: {reply}", delivery_id=attempt.delivery_ids[0], data=facts)
    pages.store.settle([replace(settled, deliveries=(replace(settled.deliveries[0], event=event),))])
    text = pages.get(path(mail))
    assert '<p class="answer anywhere">No such user here</p>' in text
    assert '<p class="anywhere">Refused for good</p>' in text, "the answer stands beside the recipient already"
    assert "Refused for good: 550 5.1.1 RecipientNotFound No such user here</dd>" in text
    assert "There is no such mailbox." in text, "what it means stands beside it"
    assert text.count("What to do:") == 1


def test_an_id_that_is_none_is_not_there(pages: Pages) -> None:
    for wrong in ("nothing", "0000000000000", "zzzzzzzzzzzzz", "%00", "..%2f"):
        pages.get(f"/messages/{wrong}", 404)


def test_people_act_on_one_recipient_or_on_all(pages: Pages) -> None:
    mail = put(pages, "a@example.org", "b@example.org", state=State.FAILED)
    first = show_id(mail.deliveries[0].id)
    answer = pages.client.post(f"{path(mail)}/act", data={"action": "ignore", "delivery": first})
    assert answer.headers["location"] == f"{path(mail)}?did=ignore&n=1"
    assert "1 recipient: dealt with" in pages.get(answer.headers["location"])
    assert states_of(pages.store, mail) == [State.IGNORED, State.FAILED]
    assert pages.client.post(f"{path(mail)}/act", data={"action": "retry"}).status_code == 303
    assert states_of(pages.store, mail) == [State.IGNORED, State.QUEUED]
    assert pages.nudges
    assert pages.client.post(f"{path(mail)}/act", data={"action": "retry"}).status_code == 409
    assert pages.client.post(f"{path(mail)}/act", data={"action": "destroy"}).status_code == 404


def test_a_recipient_of_another_mail_is_not_touched(pages: Pages) -> None:
    mine, other = put(pages, state=State.FAILED), put(pages, state=State.FAILED)
    answer = pages.client.post(f"{path(mine)}/act", data={"action": "retry", "delivery": show_id(other.deliveries[0].id)})
    assert answer.status_code == 404
    assert states_of(pages.store, other) == [State.FAILED]


def test_viewers_see_everything_and_change_nothing(pages: Pages) -> None:
    mail = put(pages, state=State.FAILED)
    pages.role = Role.VIEWER
    assert "/act" not in pages.get(path(mail))
    assert "/messages/all" not in pages.get("/messages")
    pages.get("/messages/all?action=retry", 403)
    assert pages.client.post("/messages/all", data={"action": "retry"}).status_code == 403
    assert pages.client.post(f"{path(mail)}/act", data={"action": "retry"}).status_code == 403
    assert states_of(pages.store, mail) == [State.FAILED]


def test_work_for_all_goes_on_until_nothing_is_left(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "STEP", 2)
    pages.store.put([pages.make.message(f"r{number}@example.org", state=State.FAILED) for number in range(3)])
    put(pages, "other@example.com", state=State.FAILED)
    pages.clock.go_on(seconds=1)
    assert "r2@example.org" in pages.get("/messages/all?action=retry&text=example.org")
    form = {"action": "retry", "query": "text=example.org"}
    first = pages.client.post("/messages/all", data=form).text
    assert "<strong>2</strong> so far" in first
    began = first.split('name="began" value="')[1].split('"')[0]
    last = pages.client.post("/messages/all", data={**form, "began": began, "done": "2"}).text
    assert "<strong>3 recipients</strong>: will be sent again" in last
    assert pages.store.how_many(State.FAILED, limit=9) == 1
    assert "There is nothing that this can be done to" in pages.get("/messages/all?action=retry&text=r1%40")
    pages.get("/messages/all?action=destroy", 404)
    assert pages.client.post("/messages/all", data={"action": "retry", "query": "since=never"}).status_code == 422


# ---- the mail itself


def test_a_mail_is_shown_without_what_it_wants_to_load_or_run(pages: Pages) -> None:
    mail = put(pages, raw=letter())
    answer = pages.client.get(f"{path(mail)}/html")
    assert "Rich words" in answer.text
    assert "evil.example" not in answer.text
    assert "<script" not in answer.text
    assert "<form" not in answer.text
    assert "data:image/png;base64," in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "sandbox;" in policy
    part = pages.get(f"{path(mail)}/mail")
    assert 'sandbox src="' in part
    assert "They are not loaded" in part
    assert "Plain words" in pages.get(f"{path(mail)}/mail?view=text")
    assert "multipart/mixed" in pages.get(f"{path(mail)}/mail?view=source")


def test_attachments_are_saved_and_never_shown(pages: Pages) -> None:
    mail = put(pages, raw=letter())
    shown = pages.get(f"{path(mail)}/mail")
    link = re.findall(r'href="([^"]+/attachments/[0-9]+)"', shown)[-1]
    answer = pages.client.get(link)
    assert answer.content.replace(b"\r\n", b"\n") == b"a,b\n"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert "/" not in answer.headers["content-disposition"]
    pages.get(f"{path(mail)}/attachments/0", 404)
    pages.get(f"{path(mail)}/attachments/x", 422)


def test_the_bytes_are_a_file_as_they_came(pages: Pages, tmp_path: Path) -> None:
    raw = letter()
    small = put(pages, raw=raw)
    assert pages.client.get(f"{path(small)}/raw").content == raw
    spooled = tmp_path / "spooled"
    spooled.write_bytes(raw)
    pages.blobs.keep("large", spooled)
    large = put(pages, raw=None, blob="large")
    assert pages.client.get(f"{path(large)}/raw").content == raw
    assert "Rich words" in pages.get(f"{path(large)}/html")


def test_a_mail_whose_bytes_are_gone_still_has_its_story(pages: Pages) -> None:
    mail = put(pages, state=State.FAILED)
    pages.clock.go_on(days=30)
    pages.store.forget(raw_before=pages.clock(), rows_before=pages.clock.now.replace(year=2000), limit=10)
    assert "Failed" in pages.get(path(mail))
    assert "The mail itself is gone" in pages.get(f"{path(mail)}/mail")
    for each in ("raw", "html"):
        pages.get(f"{path(mail)}/{each}", 410)


@pytest.mark.parametrize("raw", [b"", b"\x00\xff\xfe", b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n" * 10_001])
def test_a_broken_mail_is_shown_as_far_as_it_goes(pages: Pages, raw: bytes) -> None:
    mail = put(pages, raw=raw)
    pages.get(f"{path(mail)}/mail")
    pages.get(f"{path(mail)}/mail?view=source")
    assert pages.client.get(f"{path(mail)}/html").status_code in (200, 422)


def test_mail_that_came_in_is_told_in_its_own_words(pages: Pages) -> None:
    made = replace(pages.make.message("sales@contoso.example", subject="A question"), source="mary")
    delivery = replace(made.deliveries[0], state=State.HELD, lane=LaneName("destination:"), server="")
    message = replace(made, deliveries=(delivery,))
    pages.store.put([message])
    listed = pages.get("/messages")
    assert "In quarantine" in listed
    assert "came in by mary" in listed
    assert "No rule or destination wanted it" in pages.get(path(message))
