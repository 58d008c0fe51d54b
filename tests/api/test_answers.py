"""Answers leave from a conversation as mail, and those who follow get a copy of everything."""

from __future__ import annotations

import uuid
from email import message_from_bytes
from email.message import Message
from typing import Any

from mailroom_client import Mailroom
from mailroom_client import answer as answer_call
from tests.api.conftest import ANNA, MARY, Api, eventually, problem
from tests.api.test_inbound import SALES, conversation, hand_over, mail

HELP, TOM = "help@desk.example", "tom@contoso.example"


def copies(api: Api, subject: str) -> list[Message]:
    """What the followers got, oldest first."""
    found = api["reader"].get("/messages", params={"application": "followers", "text": subject}).json()["items"]
    return [message_from_bytes(api.arrived(each["message"]["id"])) for each in reversed(found)]


def followed(api: Api, subject: str) -> list[str]:
    """Who got copies, one name for each."""
    found = api["reader"].get("/messages", params={"application": "followers", "text": subject}).json()["items"]
    return sorted(each["delivery"]["recipient"] for each in found)


def entries(api: Api, subject: str, count: int) -> list[dict[str, Any]]:
    """What stands in the conversation, once it is so much."""
    found: list[dict[str, Any]] = eventually(lambda: each if len(each := conversation(api, subject)["entries"]) >= count else [])
    assert len(found) == count
    return found


def test_an_answer_leaves_as_mail_stands_in_the_conversation_and_is_found_by_the_customers_next_one(api: Api) -> None:
    subject = uuid.uuid4().hex
    hand_over(api, mail(subject, more="References: <before@c.example>\r\nReply-To: Anna at home <anna@home.example>\r\n"))
    found = conversation(api, subject)
    path = f"/conversations/{found['id']}/answers"
    answered = api["talk"].post(path, json={"text": "Yes, we do.", "html": "<p>Yes, we do.</p>"})
    assert answered.status_code == 202, answered.text
    sent = message_from_bytes(api.arrived(answered.json()["id"]))
    first = found["entries"][0]["message_id"]
    assert (sent["From"], sent["To"], sent["Subject"]) == (SALES, '"Anna at home" <anna@home.example>', f"Re: {subject}")
    assert (sent["In-Reply-To"], sent["References"].split()) == (first, ["<before@c.example>", first])
    assert [part.get_content_type() for part in sent.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    _, out = entries(api, subject, 2)
    assert (out["kind"], out["author"], out["text"], out["message"]) == ("mail out", SALES, "Yes, we do.", answered.json()["id"])
    taken = hand_over(api, mail("Another subject", more=f"In-Reply-To: {sent['Message-ID']}\r\n", text="Twelve, please")).json()
    assert taken["verdict"] == "reply"
    assert entries(api, subject, 3)[2]["text"].strip() == "Twelve, please"


def test_one_answers_as_an_address_of_ours_and_once_for_each_key(api: Api) -> None:
    subject, key = uuid.uuid4().hex, uuid.uuid4().hex
    hand_over(api, mail(subject))
    number = conversation(api, subject)["id"]
    refused = problem(api["talk"].post(f"/conversations/{number}/answers", json={"text": "x", "from": "ceo@bank.example"}), 422)
    assert SALES in refused
    with Mailroom(api.gateway.web, api.tokens["talk"]) as mailroom:
        ids = {mailroom.do(answer_call(number, "Yes", sender=SALES, idempotency_key=key)) for _ in range(2)}
    assert len(ids) == 1
    other = api["talk"].post(f"/conversations/{number}/answers", json={"text": "No", "from": SALES}, headers={"Idempotency-Key": key})
    assert ids.pop() in problem(other, 409)
    assert len(entries(api, subject, 2)) == 2
    problem(api["talk"].post("/conversations/0000000000000/answers", json={"text": "x"}), 404)


def test_followers_get_a_copy_of_every_mail_but_their_own_and_none_of_them_comes_back(api: Api) -> None:
    subject = uuid.uuid4().hex
    hand_over(api, mail(subject, more="Disposition-Notification-To: anna@customer.example\r\n"), HELP)
    copy = eventually(lambda: copies(api, subject))[0]
    assert (copy["From"], copy["Reply-To"]) == ('"Anna" <notifications@desk.example>', HELP)
    assert copy["Message-ID"] == conversation(api, subject)["entries"][0]["message_id"]
    assert copy["Auto-Submitted"] == "auto-generated"
    assert copy["Delivered-To"] is None
    assert copy["Disposition-Notification-To"] is None
    assert followed(api, subject) == [MARY, TOM]
    assert hand_over(api, copy.as_bytes(), HELP).json()["verdict"] == "loop"

    number = conversation(api, subject)["id"]
    api["talk"].post(f"/conversations/{number}/answers", json={"text": "Yes, we do."})
    assert eventually(lambda: followed(api, subject) == [MARY, MARY, TOM, TOM])
    theirs = mail(f"Re: {subject}", more=f"In-Reply-To: {copy['Message-ID']}\r\n", text="I know her").replace(ANNA.encode(), TOM.encode())
    assert hand_over(api, theirs, HELP, sender=TOM).json()["verdict"] == "reply"
    assert [each["author"] for each in entries(api, subject, 3)] == [ANNA, HELP, TOM]
    assert eventually(lambda: followed(api, subject) == [MARY, MARY, MARY, TOM, TOM]), "Tom gets no copy of his own"
    answered = api["talk"].post(f"/conversations/{number}/answers", json={"text": "Both of you"}).json()["id"]
    assert message_from_bytes(api.arrived(answered))["To"] == f'"Anna" <{ANNA}>'


def test_a_large_mail_is_copied_whole(api: Api) -> None:
    subject = uuid.uuid4().hex
    hand_over(api, mail(subject, text="blue\r\n" * 60_000), HELP)
    copy = eventually(lambda: copies(api, subject))[0]
    assert copy.as_bytes().count(b"blue") == 60_000
