"""Mail that comes in over HTTP, and the conversations that it stands in."""

from __future__ import annotations

import uuid
from typing import Any

import httpx2

from mailroom_client import Mailroom, change, conversations, note
from mailroom_client import conversation as one
from mailroom_client import hand_over as hand_over_call
from tests.api.conftest import ANNA, Api, eventually, problem

SALES, REPAIRS = "sales@desk.example", "repairs@desk.example"


def mail(subject: str, *, to: str = SALES, more: str = "", text: str = "Do you have blue ones?") -> bytes:
    return (
        f"From: Anna <{ANNA}>\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{uuid.uuid4()}@c.example>\r\n{more}\r\n{text}\r\n".encode()
    )


def hand_over(api: Api, raw: bytes, *recipients: str, token: str = "inbound", key: str = "", sender: str = ANNA) -> httpx2.Response:
    headers = {"Content-Type": "message/rfc822", **({"Idempotency-Key": key} if key else {})}
    return api[token].post("/inbound", params={"sender": sender, "recipient": recipients or (SALES,)}, content=raw, headers=headers)


def conversation(api: Api, subject: str, token: str = "talk") -> dict[str, Any]:
    """The conversation of this subject, once it is there."""

    def asked() -> list[dict[str, Any]]:
        return [each for each in api[token].get("/conversations").json()["items"] if each["subject"] == subject]

    (found,) = eventually(asked)
    whole: dict[str, Any] = api[token].get(f"/conversations/{found['id']}").json()
    return whole


def test_a_mail_goes_where_its_envelope_says_whatever_its_head_says(api: Api) -> None:
    subject = uuid.uuid4().hex
    answer = hand_over(api, mail(subject, to=SALES), REPAIRS)
    assert answer.status_code == 202, answer.text
    taken = answer.json()
    assert (taken["verdict"], taken["destinations"], taken["duplicate"]) == ("alias", ["repairs"], False)
    found = conversation(api, subject)
    assert (found["destination"], found["customer"], found["stage"]) == ("repairs", ANNA, "open")
    (entry,) = found["entries"]
    assert (entry["kind"], entry["text"].strip(), entry["url"]) == ("mail in", "Do you have blue ones?", f"/v1/messages/{taken['id']}")
    raw = api["reader"].get(f"/messages/{taken['id']}/raw").content
    assert raw.startswith(f"Return-Path: <{ANNA}>\r\nDelivered-To: {REPAIRS}\r\nFrom: ".encode())


def test_the_same_key_is_the_same_mail_and_another_mail_under_it_is_refused(api: Api) -> None:
    raw, key = mail(uuid.uuid4().hex), uuid.uuid4().hex
    first, second = hand_over(api, raw, key=key).json(), hand_over(api, raw, key=key).json()
    assert (second["id"], second["duplicate"], second["verdict"], second["destinations"]) == (first["id"], True, "alias", ["desk"])
    assert first["id"] in problem(hand_over(api, mail("other"), key=key), 409)


def test_what_has_no_place_waits_in_quarantine_with_its_envelope_and_is_judged_by_it_again(api: Api) -> None:
    subject, address = uuid.uuid4().hex, f"{uuid.uuid4().hex}@desk.example"
    taken = hand_over(api, mail(subject, to=SALES), address).json()
    assert (taken["verdict"], taken["destinations"]) == ("quarantined", [])
    put = api["objects"].put(f"/aliases/{address}", json={"destination": "repairs"})
    assert put.status_code < 300, put.text
    assert eventually(lambda: api["actor"].post(f"/messages/{taken['id']}/retry").status_code == 200)
    assert eventually(
        lambda: [
            each
            for each in api["talk"].get("/conversations", params={"destination": "repairs"}).json()["items"]
            if each["subject"] == subject
        ]
    )


def test_an_alias_is_an_address_in_further_domains_and_says_who_takes_care_of_what_it_opens(api: Api) -> None:
    local = uuid.uuid4().hex
    address, other = f"{local}@desk.example", f"{local}@elsewhere.example"
    table = {"destination": "desk", "domains": ["elsewhere.example"], "automatic": True, "defaults": {"assignee": "tom"}}
    put = api["objects"].put(f"/aliases/{address}", json=table)
    assert (put.status_code, put.json()["domains"], put.json()["defaults"]) == (200, ["elsewhere.example"], {"assignee": "tom"})
    headers, subject = {"Content-Type": "message/rfc822"}, uuid.uuid4().hex
    raw = mail(subject, to=other, more="List-Id: <buyers.c.example>\r\n")
    (route,) = eventually(lambda: api["objects"].post("/route/explain", content=raw, headers=headers).json()["routes"])
    assert (route["alias"], route["defaults"]) == (address, {"assignee": "tom"})
    assert hand_over(api, raw, other).json()["verdict"] == "alias"
    assert conversation(api, subject)["assignee"] == "tom"
    api["objects"].put(f"/aliases/{address}", json={**table, "defaults": {"assignee": "mary"}})
    answer = mail(f"Re: {subject}", to=address, more=f"In-Reply-To: {_message_id(raw)}\r\n")
    assert hand_over(api, answer, address).json()["verdict"] == "reply"
    assert eventually(lambda: len(conversation(api, subject)["entries"]) == 2)
    assert conversation(api, subject)["assignee"] == "tom", "who has it keeps it"
    refused = api["objects"].put(f"/aliases/{address}", json={**table, "defaults": {"team_id": 3}})
    assert "knows assignee alone" in problem(refused, 422)
    assert "can't be said" in problem(api["objects"].put(f"/aliases/{address}", json={**table, "defaults": {"assignee": None}}), 422)


def _message_id(raw: bytes) -> str:
    return raw.partition(b"Message-ID: ")[2].partition(b"\r\n")[0].decode()


def test_a_large_mail_is_taken_and_a_null_sender_is_answered_by_nobody(api: Api) -> None:
    subject = uuid.uuid4().hex
    assert hand_over(api, mail(subject, text="blue\r\n" * 100_000)).status_code == 202
    assert len(conversation(api, subject)["entries"][0]["text"]) == 100_000
    said = hand_over(api, mail(uuid.uuid4().hex), "catchall@desk.example", sender="").json()
    assert (said["verdict"], said["destinations"]) == ("quarantined", [])


def test_what_is_no_mail_or_has_no_envelope_is_refused(api: Api) -> None:
    assert "envelope recipients" in problem(
        api["inbound"].post("/inbound?sender=", content=b"x", headers={"Content-Type": "message/rfc822"}), 422
    )
    assert "message/rfc822" in problem(api["inbound"].post(f"/inbound?sender=&recipient={SALES}", json={}), 415)
    assert "empty" in problem(hand_over(api, b""), 422)
    assert "inbound:write" in problem(hand_over(api, mail("x"), token="erp"), 403)


def test_what_would_become_of_a_mail_is_explained(api: Api) -> None:
    headers = {"Content-Type": "message/rfc822"}
    found = api["objects"].post("/route/explain", content=mail("x"), headers=headers).json()
    assert (found["verdict"], [each["destination"] for each in found["routes"]]) == ("alias", ["desk"])
    assert [step["rule"] for step in found["steps"] if step["decided"]] == ["aliases"]
    other = api["objects"].post("/route/explain", params={"recipient": REPAIRS}, content=mail("x"), headers=headers).json()
    assert [each["destination"] for each in other["routes"]] == ["repairs"]
    assert "no incoming server" in problem(api["objects"].post("/route/explain?incoming=x", content=mail("x"), headers=headers), 422)
    assert "no address" in problem(api["objects"].post("/route/explain?recipient=x", content=mail("x"), headers=headers), 422)


def test_a_conversation_is_given_to_somebody_noted_on_and_closed(api: Api) -> None:
    subject = uuid.uuid4().hex
    hand_over(api, mail(subject))
    path = f"/conversations/{conversation(api, subject)['id']}"
    assert api["talk"].post(f"{path}/notes", json={"text": "Ask the warehouse"}).status_code == 201
    changed = api["talk"].patch(path, json={"assignee": "tom", "stage": "closed"}).json()
    assert (changed["assignee"], changed["stage"]) == ("tom", "closed")
    assert [(each["kind"], each["author"], each["text"]) for each in changed["entries"]][1:] == [("note", "talk", "Ask the warehouse")]
    assert subject not in [each["subject"] for each in api["talk"].get("/conversations", params={"stage": "open"}).json()["items"]]
    assert "is empty" in problem(api["talk"].post(f"{path}/notes", json={"text": " "}), 422)
    assert "lists those" in problem(api["talk"].get("/conversations/0000000000000"), 404)


def test_pages_go_on_where_the_last_one_ended(api: Api) -> None:
    subjects = {uuid.uuid4().hex for _ in range(3)}
    for subject in subjects:
        hand_over(api, mail(subject))
        conversation(api, subject)
    seen, cursor = set(), ""
    while True:
        page = api["talk"].get("/conversations", params={"limit": 2, "cursor": cursor}).json()
        seen |= {each["subject"] for each in page["items"]}
        if not (cursor := page["next"]):
            break
    assert subjects <= seen


def test_a_token_of_an_application_sees_what_answers_its_mail_and_nothing_else(api: Api) -> None:
    mine, others = uuid.uuid4().hex, uuid.uuid4().hex
    taken = hand_over(api, mail(mine)).json()
    hand_over(api, mail(others, to=REPAIRS), REPAIRS)
    conversation(api, mine)
    other = conversation(api, others)
    api.add_token("of-erp", "conversations:read", "messages:read", "messages:act", application="erp")
    api.add_token("of-shop", "conversations:read", application="shop")
    eventually(lambda: api["of-shop"].get("/conversations").status_code == 200)
    subjects = {each["subject"] for each in api["of-erp"].get("/conversations").json()["items"]}
    assert mine in subjects
    assert others not in subjects
    problem(api["of-erp"].get(f"/conversations/{other['id']}"), 404)
    assert api["of-shop"].get("/conversations").json()["items"] == []
    assert api["of-erp"].get("/conversations", params={"destination": "repairs"}).json()["items"] == []
    assert api["of-erp"].get(f"/messages/{taken['id']}").status_code == 200
    problem(api["of-erp"].post(f"/messages/{taken['id']}/retry"), 404)
    assert "conversations:read" in problem(api["reader"].get("/conversations"), 403)


def test_the_typed_client_hands_over_finds_notes_and_closes(api: Api) -> None:
    subject = uuid.uuid4().hex
    with Mailroom(api.gateway.web, api.tokens["inbound"]) as mailroom:
        taken = mailroom.do(hand_over_call(mail(subject), sender=ANNA, recipients=[SALES]))
    assert (taken.verdict, taken.destinations) == ("alias", ("desk",))
    number = conversation(api, subject)["id"]
    with Mailroom(api.gateway.web, api.tokens["talk"]) as mailroom:
        page = mailroom.do(conversations(destination="desk", stage="open", limit=500))
        assert subject in [each.subject for each in page.items]
        mailroom.do(note(number, "Ask the warehouse"))
        whole = mailroom.do(change(number, stage="closed", assignee="tom"))
        assert whole == mailroom.do(one(number))
    assert (whole.stage, whole.assignee, whole.opened_at.tzinfo is not None) == ("closed", "tom", True)
    assert [each.kind for each in whole.entries] == ["mail in", "note"]
    assert whole.entries[0].message == taken.id
