"""Searching, following and steering mail."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import ANNA, MARY, Api, eventually, problem

LATER = {"send_at": (datetime.now(UTC) + timedelta(hours=5)).isoformat()}


def word() -> str:
    return f"w{uuid.uuid4().hex[:14]}"


def found(api: Api, token: str = "reader", **query: Any) -> list[str]:
    """Recipients, newest first."""
    answer = api[token].get("/messages", params=query)
    assert answer.status_code == 200, answer.text
    return [each["delivery"]["recipient"] for each in answer.json()["items"]]


def test_mail_is_found_by_a_part_of_recipient_sender_or_subject(api: Api) -> None:
    this = word()
    api.send(to=[f"{this}@customer.example"], sender=f"{this}.x@contoso.example", subject=f"Your order {this.upper()} 7", **LATER)
    for part in (this, f"{this}@cust", f"{this}.x@cont", f"order {this}"):
        assert found(api, text=part) == [f"{this}@customer.example"]
    assert found(api, text=f"{this}%") == []


def test_each_criterion_narrows_the_search(api: Api) -> None:
    this = word()
    api.send(to=["a@x.example"], subject=this, tags=[this, "invoice"], headers={"Message-ID": f"<{this}@erp>"}, **LATER)
    before = datetime.now(UTC)
    api.send(token="shop", sender="me@shop.example", to=["b@x.example"], subject=this, **LATER)
    assert found(api, text=this) == ["b@x.example", "a@x.example"]
    assert found(api, text=this, application="shop") == ["b@x.example"]
    assert found(api, tag=this) == found(api, message_id=f"{this}@erp") == found(api, message_id=f"<{this}@erp>") == ["a@x.example"]
    assert found(api, text=this, until=before.isoformat()) == ["a@x.example"]
    assert found(api, text=this, since=before.isoformat()) == ["b@x.example"]
    assert found(api, text=this, state=["queued", "held"]) == ["b@x.example", "a@x.example"]
    assert found(api, text=this, state="sent") == []
    assert found(api, text=this, lane="sink:sink", limit=1) == ["b@x.example"]
    assert found(api, text=this, account="office") == []


def test_pages_hang_together_by_their_cursor(api: Api) -> None:
    this = word()
    api.send(to=[f"r{number}@x.example" for number in range(5)], subject=this, **LATER)
    seen, cursor = [], ""
    while True:
        page = api["reader"].get("/messages", params={"text": this, "limit": 2, "cursor": cursor}).json()
        seen += [each["delivery"]["recipient"] for each in page["items"]]
        if not (cursor := page["next"]):
            break
    assert seen == [f"r{number}@x.example" for number in reversed(range(5))]


def test_a_mail_has_one_story_from_acceptance_to_the_answer(api: Api) -> None:
    number = api.send()
    api.arrived(number)
    story = eventually(lambda: s if (s := api["erp"].get(f"/messages/{number}").json())["deliveries"][0]["state"] == "sent" else None)
    assert story is not None
    assert story["events"][0]["name"] == "accepted"
    assert story["attempts"][0]["resolution"] == "done"
    assert story["deliveries"][0]["reply"]


@pytest.mark.parametrize("size", [10, 700_000])
def test_the_bytes_of_a_mail_come_back_as_they_are_kept(api: Api, size: int) -> None:
    number = api.send(text="0123456789abcdef" * (size // 16))
    answer = api["erp"].get(f"/messages/{number}/raw")
    assert answer.headers["content-type"] == "message/rfc822"
    assert answer.headers["content-disposition"] == f'attachment; filename="{number}.eml"'
    assert answer.content == api.arrived(number)


def test_actions_change_what_they_may_and_say_so(api: Api) -> None:
    number = api.send(to=[ANNA, "bob@x.example"], **LATER)
    path = f"/messages/{number}"
    deliveries = {each["recipient"]: each["id"] for each in api["actor"].get(path).json()["deliveries"]}
    assert api["actor"].post(f"{path}/deliveries/{deliveries[ANNA]}/cancel").json()["changed"] == 1
    assert api["actor"].post(f"{path}/hold").json()["changed"] == 1
    assert api["actor"].post(f"{path}/ignore").json()["changed"] == 1
    states = {each["recipient"]: each["state"] for each in api["actor"].get(path).json()["deliveries"]}
    assert states == {ANNA: "cancelled", "bob@x.example": "ignored"}
    assert "not possible" in problem(api["actor"].post(f"{path}/cancel"), 409)
    assert "not possible" in problem(api["actor"].post(f"{path}/retry"), 409)
    assert api["actor"].post(f"{path}/deliveries/{deliveries[ANNA]}/retry").json()["changed"] == 1
    assert api.arrived(number)
    assert any("token actor" in event["text"] for event in api["actor"].get(path).json()["events"])


def test_one_order_acts_on_all_that_match(api: Api) -> None:
    this = word()
    for _ in range(3):
        api.send(subject=this, **LATER)
    api.send(token="shop", sender="me@shop.example", subject=this, **LATER)
    order = {"action": "cancel", "query": {"text": this}}
    assert api["erp"].post("/actions", json=order).json() == {"changed": 3, "done": True}
    assert found(api, text=this, state="queued") == [ANNA]
    assert api["actor"].post("/actions", json=order).json() == {"changed": 1, "done": True}
    assert "all mail" in problem(api["actor"].post("/actions", json={"action": "retry"}), 422)


def test_waiting_mail_goes_by_another_server(api: Api) -> None:
    this = word()
    number = api.send(subject=this, **LATER)
    wish = {"server": "nowhere", "query": {"text": this}}
    assert "no outgoing server 'nowhere'" in problem(api["actor"].post("/moves", json=wish), 422)
    assert "all mail" in problem(api["actor"].post("/moves", json={"server": "desk"}), 422)
    problem(api["reader"].post("/moves", json=wish), 403)
    assert api["actor"].post("/moves", json=wish | {"server": "desk"}).json() == {"changed": 0, "done": True}, "its FROM filter"
    assert api["objects"].put("/servers/spare", json={"from_filter": [MARY], "sink": {}}).is_success
    assert eventually(lambda: api["actor"].post("/moves", json=wish | {"server": "spare"}).json()["changed"] == 1)
    (delivery,) = api["actor"].get(f"/messages/{number}").json()["deliveries"]
    assert (delivery["server"], delivery["state"]) == ("spare", "queued")
    assert eventually(lambda: api["actor"].post(f"/messages/{number}/send-now").json()["changed"] == 1)
    assert eventually(lambda: found(api, text=this, state="sent"))
    assert api["objects"].delete("/servers/spare").is_success


def test_an_application_sees_its_own_mail_alone(api: Api) -> None:
    this = word()
    number = api.send(subject=this, **LATER)
    assert found(api, "shop", text=this) == found(api, "shop", text=this, application="erp") == []
    for path in (f"/messages/{number}", f"/messages/{number}/raw"):
        problem(api["shop"].get(path), 404)
    problem(api["shop"].post(f"/messages/{number}/cancel"), 404)
    assert api["shop"].post("/actions", json={"action": "cancel", "query": {"text": this}}).json()["changed"] == 0
    assert found(api, "erp", text=this, state="queued") == [ANNA]


@pytest.mark.parametrize("number", ["0" * 13, "z" * 13, "short", "ü" * 13, "0" * 40])
def test_unknown_ids_are_not_found(api: Api, number: str) -> None:
    problem(api["actor"].get(f"/messages/{number}"), 404)
    problem(api["actor"].get(f"/messages/{number}/raw"), 404)
    problem(api["actor"].post(f"/messages/{number}/retry"), 404)
    known = api.send(**LATER)
    problem(api["actor"].post(f"/messages/{known}/deliveries/{number}/retry"), 404)


def test_mail_from_elsewhere_is_found_too(api: Api) -> None:
    this = word()
    api.gateway.run("send", "--from", MARY, "--to", ANNA, "--subject", this, "--no-wait")
    assert found(api, text=this, application="command line") == [ANNA]
