"""`POST /v1/messages`: what is handed in leaves, as it was meant, once."""

from __future__ import annotations

import base64
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from tests.api.conftest import ANNA, MARY, Api, eventually, problem

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
MIME = {"Content-Type": "message/rfc822"}
TO_ANNA = {**MIME, "X-Envelope-From": MARY, "X-Envelope-To": ANNA}


def parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_mail_as_json_leaves_with_all_its_parts(api: Api) -> None:
    number = api.send(
        sender={"email": MARY, "name": "Märy, Contoso"},
        to=["Anna Ä <anna@customer.example>", {"email": "bob@partner.example"}],
        cc=["carl@customer.example"],
        bcc=["hidden@customer.example"],
        reply_to=["sales@contoso.example"],
        subject="Angebot für März",
        text="Grüße\n.\nFrom here\n",
        html='<p>Grüße <img src="cid:logo"></p>',
        inline=[{"cid": "logo", "content": base64.b64encode(PIXEL).decode()}],
        attachments=[
            {"filename": "Rechnung Ä.pdf", "content": base64.b64encode(b"%PDF" * 999).decode(), "content_type": "application/pdf"}
        ],
        headers={"X-Order": "Nr. 7 – eilig", "References": "<" + "a" * 100 + "@erp> <b@erp>"},
    )
    raw = api.arrived(number)
    assert b"hidden@" not in raw
    mail = parsed(raw)
    assert (mail["From"].addresses[0].display_name, mail["From"].addresses[0].addr_spec) == ("Märy, Contoso", MARY)
    assert [str(each) for each in mail["To"].addresses] == ["Anna Ä <anna@customer.example>", "bob@partner.example"]
    assert (mail["Subject"], mail["X-Order"], mail["Reply-To"]) == ("Angebot für März", "Nr. 7 – eilig", "sales@contoso.example")
    assert mail["References"].split() == ["<" + "a" * 100 + "@erp>", "<b@erp>"]
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == "Grüße\n.\nFrom here\n"
    assert "cid:logo" in html.get_content()
    (attachment,) = mail.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content()) == ("Rechnung Ä.pdf", b"%PDF" * 999)
    (image,) = [part for part in mail.walk() if part["Content-ID"] == "<logo>"]
    assert image.get_content() == PIXEL
    assert {each["recipient"] for each in api["reader"].get(f"/messages/{number}").json()["deliveries"]} == {
        "anna@customer.example",
        "bob@partner.example",
        "carl@customer.example",
        "hidden@customer.example",
    }


def test_html_alone_and_an_empty_text_are_mails(api: Api) -> None:
    assert parsed(api.arrived(api.send(text=None, html="<p>x</p>"))).get_content_type() == "text/html"
    assert parsed(api.arrived(api.send(text=""))).get_content().strip() == ""


def test_mime_leaves_as_it_came_with_every_line_end_made_whole(api: Api) -> None:
    raw = b"From: Mary <mary@contoso.example>\nSubject: raw\r\n\r\none\rtwo\nthree"
    answer = api["erp"].post("/messages", content=raw, headers=TO_ANNA)
    assert answer.status_code == 202, answer.text
    arrived = api.arrived(answer.json()["id"])
    assert arrived.endswith(b"From: Mary <mary@contoso.example>\r\nSubject: raw\r\n\r\none\r\ntwo\r\nthree\r\n")
    assert b" (Mailroom) with HTTP id" in arrived
    assert b"\r\nMessage-ID: <" in arrived


@pytest.mark.parametrize("size", [256 * 1024 - 100, 256 * 1024 + 1, 9_000_000])
def test_large_mime_is_streamed_and_arrives_whole(api: Api, size: int) -> None:
    line = b"x" * 70 + b"\n"
    body = line * (size // len(line))
    head = b"From: mary@contoso.example\nSubject: large\n\n"

    def pieces() -> list[bytes]:
        whole = head + body
        return [whole[at : at + 65_521] for at in range(0, len(whole), 65_521)]

    answer = api["erp"].post("/messages", content=iter(pieces()), headers=TO_ANNA)
    assert answer.status_code == 202, answer.text
    assert api.arrived(answer.json()["id"]).endswith((head + body).replace(b"\n", b"\r\n"))
    assert not list((api.gateway.data / "spool").iterdir())


def test_the_envelope_decides_and_not_the_head(api: Api) -> None:
    raw = b"From: mary@contoso.example\r\nTo: everybody@customer.example\r\nBcc: x@customer.example\r\n\r\nx\r\n"
    answer = api["erp"].post("/messages", params={"sender": "", "recipient": [ANNA, "bob@partner.example"]}, content=raw, headers=MIME)
    story = api["reader"].get(f"/messages/{answer.json()['id']}").json()
    assert story["message"]["sender"] is None
    assert [each["recipient"] for each in story["deliveries"]] == [ANNA, "bob@partner.example"]


def test_mime_without_an_envelope_is_refused(api: Api) -> None:
    raw = b"From: mary@contoso.example\r\nTo: anna@customer.example\r\n\r\nx\r\n"
    assert "X-Envelope-From" in problem(api["erp"].post("/messages", content=raw, headers=MIME), 422)
    assert "X-Envelope-To" in problem(api["erp"].post("/messages", content=raw, headers={**MIME, "X-Envelope-From": MARY}), 422)


def test_a_token_sends_only_as_its_application_may(api: Api) -> None:
    assert "may not send as" in problem(api["shop"].post("/messages", json={"from": MARY, "to": [ANNA], "text": "x"}), 403)
    raw = b"From: mary@contoso.example\r\n\r\nx\r\n"
    headers = {**TO_ANNA, "X-Envelope-From": "me@shop.example"}
    assert "may not send as" in problem(api["shop"].post("/messages", content=raw, headers=headers), 403)


def test_the_same_key_is_the_same_mail(api: Api) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    mail = {"from": MARY, "to": [ANNA], "subject": "once", "text": "x"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api["erp"].post("/messages", json=mail, headers=key), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = api["shop"].post("/messages", json={**mail, "from": "me@shop.example"}, headers=key)
    assert other.status_code == 202
    assert other.json()["id"] != answers[0].json()["id"]


def test_the_same_key_with_another_mail_is_a_conflict(api: Api) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    mail = {"from": MARY, "to": [ANNA], "text": "x"}
    number = api["erp"].post("/messages", json=mail, headers=key).json()["id"]
    assert number in problem(api["erp"].post("/messages", json={**mail, "text": "y"}, headers=key), 409)
    assert number in problem(api["erp"].post("/messages", content=b"Subject: x\r\n\r\n", headers={**TO_ANNA, **key}), 409)


def test_a_mail_waits_until_its_time(api: Api) -> None:
    at = datetime.now(UTC) + timedelta(hours=3)
    number = api.send(send_at=at.isoformat())
    story = api["reader"].get(f"/messages/{number}").json()
    (delivery,) = story["deliveries"]
    assert delivery["state"] == "queued"
    assert datetime.fromisoformat(delivery["next"]) == at
    assert datetime.fromisoformat(delivery["expires_at"]) == at + timedelta(days=5)
    assert api["erp"].post(f"/messages/{number}/send-now").json() == {"changed": 1, "done": True}
    assert api.arrived(number)


def test_kind_is_kept(api: Api) -> None:
    number = api.send(kind="bulk")
    assert api["reader"].get(f"/messages/{number}").json()["message"]["kind"] == "bulk"
    number = api.send(headers={"List-Unsubscribe": "<mailto:off@contoso.example>"})
    assert api["reader"].get(f"/messages/{number}").json()["message"]["kind"] == "bulk"


def test_of_a_batch_each_mail_has_its_own_answer(api: Api) -> None:
    mails = [{"from": MARY, "to": [ANNA], "text": str(number)} for number in range(5)]
    mails[2]["from"] = "me@shop.example"
    answer = api["erp"].post("/messages/batch", json={"messages": mails})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [bool(each["id"]) for each in results] == [True, True, False, True, True]
    assert results[2]["problem"]["status"] == 403
    assert all(api.arrived(each["id"]) for each in results if each["id"])


def test_what_is_accepted_survives_kill_9(api: Api) -> None:
    number = api.send(send_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat(), subject="survivor")
    api.gateway.kill()
    api.gateway.start()
    api.forget_clients()
    assert eventually(lambda: api["reader"].get(f"/messages/{number}").status_code == 200)
