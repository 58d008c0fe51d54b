"""Following a mailbox: delta, subscriptions, batches, replies."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.emulator.client import IMMUTABLE, Graph, Tenant, code_of, mime, recipients, until

MARY = "mary@contoso.example"
DELTA = "/mailFolders/inbox/messages/delta"


def arrive(tenant: Tenant, subject: str) -> str:
    raw = mime(sender="a@outside.example", to=MARY, subject=subject, message_id=f"<{subject}@o.example>")
    return str(tenant.control("POST", f"/accounts/{MARY}/deliver", content=raw)["id"])


def follow(mary: Graph, link: str) -> httpx2.Response:
    return mary.tenant.http.get(link, headers={"Authorization": f"Bearer {mary.token}"})


def everything(mary: Graph, first: httpx2.Response) -> tuple[list[dict[str, Any]], str]:
    """All items of a round, and the delta link at its end."""
    page, items = first.json(), []
    while True:
        items += page["value"]
        if "@odata.deltaLink" in page:
            return items, page["@odata.deltaLink"]
        page = follow(mary, page["@odata.nextLink"]).json()


def test_delta_gives_everything_once_and_then_what_changed(tenant: Tenant) -> None:
    mary = tenant.user()
    ids = [arrive(tenant, str(n)) for n in range(5)]
    first = mary("GET", DELTA, params={"$select": "subject,isRead"}, headers={"Prefer": "odata.maxpagesize=2"})
    items, link = everything(mary, first)
    assert [i["subject"] for i in items] == ["4", "3", "2", "1", "0"]
    assert everything(mary, follow(mary, link))[0] == []
    mary("PATCH", f"/messages/{ids[0]}", json={"isRead": True})
    mary("DELETE", f"/messages/{ids[1]}")
    mary("POST", f"/messages/{ids[2]}/move", json={"destinationId": "archive"})
    new = arrive(tenant, "new")
    changed, later = everything(mary, follow(mary, link))
    by_id = {i["id"]: i for i in changed}
    assert by_id[ids[0]]["isRead"] is True
    assert by_id[ids[1]]["@removed"] == {"reason": "deleted"}
    assert by_id[ids[2]]["@removed"] == {"reason": "changed"}
    assert by_id[new]["subject"] == "new"
    assert set(by_id[new]) == {"@odata.etag", "id", "subject", "isRead"}
    assert everything(mary, follow(mary, later))[0] == []


def test_a_mail_that_arrives_during_the_first_round_is_not_missed(tenant: Tenant) -> None:
    mary = tenant.user()
    for number in range(15):
        arrive(tenant, str(number))
    first = mary("GET", DELTA)
    arrive(tenant, "late")
    items, link = everything(mary, first)
    more, _ = everything(mary, follow(mary, link))
    assert [i["subject"] for i in items + more].count("late") == 1
    assert len(items + more) == 16


def test_delta_filters_by_time_only(tenant: Tenant) -> None:
    mary = tenant.user()
    arrive(tenant, "old")
    tenant.control("POST", "/clock", {"advance": 1800})
    since = tenant.control("GET", "/clock")["now"][:19] + "Z"
    arrive(tenant, "new")
    items, _ = everything(mary, mary("GET", DELTA, params={"$filter": f"receivedDateTime ge {since}"}))
    assert [i["subject"] for i in items] == ["new"]
    assert mary("GET", DELTA, params={"$filter": "isRead eq false"}).status_code == 400
    gt = {"$filter": f"receivedDateTime gt {since}"}
    assert mary("GET", DELTA, params=gt).status_code == 400
    tenant.switch(delta_gt=True)
    assert mary("GET", DELTA, params=gt).status_code == 200


def test_a_forgotten_delta_token_is_gone(tenant: Tenant) -> None:
    mary = tenant.user()
    _, link = everything(mary, mary("GET", DELTA))
    tenant.control("POST", f"/accounts/{MARY}/forget-delta")
    answer = follow(mary, link)
    assert (answer.status_code, code_of(answer)) == (410, "SyncStateNotFound")
    assert "token" not in answer.headers["location"]
    assert follow(mary, answer.headers["location"]).status_code == 200


@dataclass
class Endpoint:
    """A webhook: what it answers to the handshake can be set."""

    url: str = ""
    echo: bool = True
    status: int = 202
    got: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    state = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = parse_qs(urlsplit(self.path).query).get("validationToken")
            if token:
                self._answer(200, token[0] if state.echo else "OK")
                return
            state.got.extend(json.loads(body)["value"])
            self._answer(state.status, "")

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/notify"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def soon(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat()


def subscribe(graph: Graph, endpoint: Endpoint, **changes: Any) -> httpx2.Response:
    body = {
        "changeType": "created",
        "notificationUrl": endpoint.url,
        "lifecycleNotificationUrl": endpoint.url,
        "resource": "/me/mailFolders('inbox')/messages",
        "expirationDateTime": soon(hours=2),
        "clientState": "secret",
    } | changes
    headers = {"Authorization": f"Bearer {graph.token}", **IMMUTABLE}
    return graph.tenant.http.post(f"{graph.tenant.url}/v1.0/subscriptions", json=body, headers=headers)


def test_a_new_mail_is_announced(tenant: Tenant, endpoint: Endpoint) -> None:
    mary = tenant.user()
    made = subscribe(mary, endpoint)
    assert made.status_code == 201, made.text
    default_id = arrive(tenant, "hello")
    until(lambda: len(endpoint.got) == 1)
    (note,) = endpoint.got
    assert (note["subscriptionId"], note["clientState"], note["changeType"]) == (made.json()["id"], "secret", "created")
    found = mary("GET", f"/messages/{note['resourceData']['id']}")
    assert found.json()["id"] == default_id
    assert note["resourceData"]["id"] != default_id  # the subscription asked for immutable ids
    mary.draft()
    mary("PATCH", f"/messages/{default_id}", json={"isRead": True})
    arrive(tenant, "second")
    until(lambda: len(endpoint.got) == 2)


def test_a_handshake_that_does_not_echo_the_token_fails(tenant: Tenant, endpoint: Endpoint) -> None:
    endpoint.echo = False
    answer = subscribe(tenant.user(), endpoint)
    assert (answer.status_code, code_of(answer)) == (400, "ValidationError")
    assert tenant.control("GET", "/subscriptions")["subscriptions"] == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"expirationDateTime": soon(days=8)}, 400),
        ({"changeType": "renamed"}, 400),
        ({"clientState": "x" * 129}, 400),
        ({"notificationUrl": "http://gateway.example/"}, 400),
        ({"resource": "/users/sales@contoso.example/mailFolders('inbox')/messages"}, 403),
        ({"resource": "/me/calendar/events"}, 400),
        ({"resource": "/me/mailFolders('nowhere')/messages"}, 404),
    ],
)
def test_what_can_not_be_subscribed_to(tenant: Tenant, endpoint: Endpoint, changes: dict[str, Any], status: int) -> None:
    assert subscribe(tenant.user(), endpoint, **changes).status_code == status


def test_a_subscription_is_renewed_expires_and_is_deleted(tenant: Tenant, endpoint: Endpoint) -> None:
    mary = tenant.user()
    made = subscribe(mary, endpoint, expirationDateTime=soon(minutes=1)).json()
    assert datetime.fromisoformat(made["expirationDateTime"]) > datetime.now(UTC) + timedelta(minutes=40)
    url = f"{tenant.url}/v1.0/subscriptions/{made['id']}"
    headers = {"Authorization": f"Bearer {mary.token}"}
    renewed = tenant.http.patch(url, json={"expirationDateTime": soon(days=6)}, headers=headers)
    assert renewed.json()["expirationDateTime"] > made["expirationDateTime"]
    assert tenant.http.post(f"{url}/reauthorize", headers=headers).status_code == 204
    assert tenant.http.delete(url, headers=headers).status_code == 204
    assert tenant.http.get(url, headers=headers).status_code == 404


def test_an_application_subscribes_to_any_mailbox(tenant: Tenant, endpoint: Endpoint) -> None:
    resource = f"users/{MARY}/mailFolders/inbox/messages"
    assert subscribe(tenant.app(), endpoint, resource=resource, changeType="created,updated").status_code == 201
    message = arrive(tenant, "hello")
    tenant.user()("PATCH", f"/messages/{message}", json={"isRead": True})
    until(lambda: sorted(n["changeType"] for n in endpoint.got) == ["created", "updated"])


def test_notifications_are_retried_lost_and_repeated(tenant: Tenant, endpoint: Endpoint) -> None:
    subscribe(tenant.user(), endpoint)
    endpoint.status = 500
    arrive(tenant, "first")
    until(lambda: tenant.control("GET", "/subscriptions")["failed"] == 1)
    endpoint.status = 202
    tenant.control("POST", "/clock", {"advance": 11})
    until(lambda: tenant.control("GET", "/subscriptions")["delivered"] == 1)
    tenant.switch(notifications="lost")
    arrive(tenant, "second")
    tenant.switch(notifications="repeated")
    arrive(tenant, "third")
    until(lambda: len(endpoint.got) == 4)


def test_lifecycle_events_reach_the_owner(tenant: Tenant, endpoint: Endpoint) -> None:
    made = subscribe(tenant.user(), endpoint).json()
    for event in ("reauthorizationRequired", "missed", "subscriptionRemoved"):
        tenant.control("POST", f"/subscriptions/{made['id']}/lifecycle", {"event": event})
    until(lambda: len(endpoint.got) == 3)
    assert {n["lifecycleEvent"] for n in endpoint.got} == {"reauthorizationRequired", "missed", "subscriptionRemoved"}
    assert tenant.control("GET", "/subscriptions")["subscriptions"] == []


def batch(graph: Graph, *requests: dict[str, Any]) -> dict[str, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {graph.token}"}
    answer = graph.tenant.http.post(f"{graph.tenant.url}/v1.0/$batch", json={"requests": requests}, headers=headers)
    assert answer.status_code == 200, answer.text
    return {r["id"]: r for r in answer.json()["responses"]}


def test_a_batch_answers_each_request(tenant: Tenant) -> None:
    mary = tenant.user()
    ids = [arrive(tenant, str(n)) for n in range(2)]
    kind = {"Content-Type": "application/json"}
    patch = {"method": "PATCH", "headers": kind, "body": {"isRead": True}}
    answers = batch(
        mary,
        {"id": "1", "url": f"/me/messages/{ids[0]}", **patch},
        {"id": "2", "url": "/me/messages/nothing", **patch},
        {"id": "3", "url": f"/me/messages/{ids[1]}", **patch, "dependsOn": ["2"]},
        {"id": "4", "url": "/me/mailFolders/inbox?$select=id", "method": "GET", "dependsOn": ["1"]},
    )
    assert {i: a["status"] for i, a in answers.items()} == {"1": 200, "2": 404, "3": 424, "4": 200}
    assert answers["4"]["body"]["unreadItemCount"] == 1


def test_a_throttled_part_of_a_batch_has_its_own_retry_after(tenant: Tenant) -> None:
    mary = tenant.user()
    tenant.fault({"kind": "answer", "status": 429, "retry_after": 1.5}, match={"operation": "getFolder"}, skip=1)
    request = {"url": "/me/mailFolders/inbox", "method": "GET"}
    answers = batch(mary, {"id": "1", **request}, {"id": "2", **request})
    assert sorted(a["status"] for a in answers.values()) == [200, 429]
    refused = next(a for a in answers.values() if a["status"] == 429)
    assert refused["headers"]["Retry-After"] == "1.5"


def test_a_batch_has_at_most_20_requests(tenant: Tenant) -> None:
    mary = tenant.user()
    body = {"requests": [{"id": str(n), "method": "GET", "url": "/me"} for n in range(21)]}
    headers = {"Authorization": f"Bearer {mary.token}"}
    assert tenant.http.post(f"{tenant.url}/v1.0/$batch", json=body, headers=headers).status_code == 400


def test_a_reply_goes_to_the_author_and_stays_in_the_thread(tenant: Tenant) -> None:
    mary = tenant.user()
    original = arrive(tenant, "question")
    draft = mary("POST", f"/messages/{original}/createReply", json={})
    assert draft.status_code == 201
    assert draft.json()["toRecipients"] == [{"emailAddress": {"name": "a@outside.example", "address": "a@outside.example"}}]
    assert draft.json()["conversationId"] == mary("GET", f"/messages/{original}").json()["conversationId"]
    assert mary("POST", f"/messages/{original}/reply", json={"comment": "yes"}).status_code == 202
    (copy,) = tenant.outside("a@outside.example")
    raw = tenant.raw(copy)
    assert b"In-Reply-To: <question@o.example>" in raw
    assert b"Subject: RE: question" in raw
    both = {"comment": "x", "message": {"body": {"contentType": "Text", "content": "y"}}}
    assert mary("POST", f"/messages/{original}/reply", json=both).status_code == 400


def test_reply_all_includes_the_others(tenant: Tenant) -> None:
    mary = tenant.user()
    raw = mime(sender="a@outside.example", to=f"{MARY}, b@outside.example", headers=("Cc: c@outside.example",))
    original = tenant.control("POST", f"/accounts/{MARY}/deliver", content=raw)["id"]
    mary("POST", f"/messages/{original}/replyAll", json={"message": {"bccRecipients": recipients("d@outside.example")}})
    assert {m["to"][0] for m in tenant.outside()} == set("abcd")


def test_ids_can_be_translated(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft()
    body = {"inputIds": [draft["id"]], "sourceIdType": "restId", "targetIdType": "restImmutableEntryId"}
    (row,) = mary("POST", "/translateExchangeIds", json=body).json()["value"]
    assert row["targetId"] == mary("GET", f"/messages/{draft['id']}", headers=IMMUTABLE).json()["id"]
