"""The cut-over over the API."""

from __future__ import annotations

from tests.api.conftest import Api, eventually, problem

REPORT = "Sender address,TLS 1.2,Messages sent,Authentication protocol\nold@shop.example,100,12,Basic\nnew@shop.example,100,5,OAuth\n"


def test_a_report_is_shown_taken_and_taken_back(api: Api) -> None:
    client = api["objects"]
    shown = client.post("/cutover/preview", json={"report": REPORT}).json()
    assert [(each["address"], each["step"], each["application"]) for each in shown["proposals"]] == [
        ("old@shop.example", "new", "old"),
        ("new@shop.example", "modern", "new"),
    ]
    assert client.get("/cutover").json()["total"] == 0
    state = client.post("/cutover", json={"report": REPORT}).json()
    assert (state["done"], state["total"], state["addresses"][0]["made"]) == (0, 1, True)
    made = client.post("/cutover/password", json={"address": "old@shop.example"}).json()
    assert made["user"] == "old"
    assert len(made["password"]) >= 20
    assert made["password"] not in client.get("/applications/old").text
    told = client.get("/audit", params={"kind": "cutover"}).json()["items"]
    assert [(each["by"], each["what"], each["name"]) for each in told] == [("token:objects", "add", "old@shop.example")]
    undone = client.post("/cutover/undo", json={"addresses": ["old@shop.example", "x@shop.example"]}).json()
    assert undone == {"removed": ["old@shop.example"], "kept": {"x@shop.example": "it is not on the list"}}
    assert client.get("/applications/old").status_code == 404


def test_mail_over_http_counts_as_well(api: Api) -> None:
    client = api["objects"]
    client.post("/cutover", json={"report": "Sender address\ntill@contoso.example\n", "addresses": ["till@contoso.example"]})
    api.add_token("till", "messages:send", application="till")
    assert eventually(lambda: api["till"].get("/messages").status_code != 401), "the gateway knows the token"
    number = api.send("till", sender="till@contoso.example")
    (till,) = eventually(lambda: [each for each in client.get("/cutover").json()["addresses"] if each["message"]])
    assert (till["address"], till["message"]) == ("till@contoso.example", number)
    assert client.post("/cutover/undo", json={}).json() == {
        "removed": [],
        "kept": {"till@contoso.example": "its mail comes through Mailroom"},
    }


def test_mistakes_are_said_and_rights_are_needed(api: Api) -> None:
    client = api["objects"]
    assert "no column with the addresses" in problem(client.post("/cutover/preview", json={"report": "a,b\n1,2\n"}), 422)
    assert "does not name" in problem(client.post("/cutover", json={"report": REPORT, "addresses": ["other@shop.example"]}), 422)
    assert "is not on the list" in problem(client.post("/cutover/password", json={"address": "other@shop.example"}), 409)
    for path in ("", "/preview", "/password", "/undo"):
        assert api["reader"].post(f"/cutover{path}", json={"report": REPORT, "address": "a@b.example"}).status_code in (403, 422)
    assert "objects:read" in problem(api["reader"].get("/cutover"), 403)
