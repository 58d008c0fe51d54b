"""Reading: lists and their filters, MIME, attachments, folders, moving."""

from typing import Any

import pytest

from tests.emulator.client import IMMUTABLE, Graph, Tenant, code_of, mime

MARY = "mary@contoso.example"
INBOX = "/mailFolders/inbox/messages"
KEY = "String {66f5a359-4659-4830-9070-00047ec6ac6e} Name Marker"


def arrive(tenant: Tenant, number: int, **mail: Any) -> str:
    """A mail from outside, a minute after the previous one."""
    tenant.control("POST", "/clock", {"advance": 60})
    raw = mime(sender="a@outside.example", to=MARY, subject=f"Mail {number}", message_id=f"<{number}@o.example>", **mail)
    return str(tenant.control("POST", f"/accounts/{MARY}/deliver", content=raw)["id"])


def subjects(graph: Graph, path: str = INBOX, **query: str) -> list[str]:
    answer = graph("GET", path, params={f"${k}": v for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    return [m["subject"] for m in answer.json()["value"]]


def test_pages_are_newest_first_and_linked(tenant: Tenant) -> None:
    mary = tenant.user()
    for number in range(23):
        arrive(tenant, number)
    seen: list[str] = []
    page = mary("GET", INBOX, params={"$select": "subject", "$count": "true"}).json()
    assert page["@odata.count"] == 23
    assert len(page["value"]) == 10
    assert set(page["value"][0]) == {"@odata.etag", "id", "subject"}
    seen += [m["subject"] for m in page["value"]]
    while "@odata.nextLink" in page:
        headers = {"Authorization": f"Bearer {mary.token}"}
        page = tenant.http.get(page["@odata.nextLink"], headers=headers).json()
        seen += [m["subject"] for m in page["value"]]
    assert seen == [f"Mail {n}" for n in reversed(range(23))]
    assert code_of(mary("GET", INBOX, params={"$top": "1001"})) == "ErrorInvalidUrlQuery"


def test_filters(tenant: Tenant) -> None:
    mary = tenant.user()
    ids = [arrive(tenant, n) for n in range(4)]
    mary("PATCH", f"/messages/{ids[1]}", json={"isRead": True})
    times = [mary("GET", f"/messages/{i}").json()["receivedDateTime"] for i in ids]
    assert subjects(mary, filter="isRead eq false") == ["Mail 3", "Mail 2", "Mail 0"]
    assert subjects(mary, filter=f"receivedDateTime ge {times[2]}") == ["Mail 3", "Mail 2"]
    assert subjects(mary, filter=f"receivedDateTime gt {times[2]}") == ["Mail 3"]
    assert subjects(mary, filter=f"receivedDateTime lt {times[1]} and isRead eq false") == ["Mail 0"]
    assert subjects(mary, filter="internetMessageId eq '<2@o.example>'") == ["Mail 2"]
    assert subjects(mary, filter="subject eq 'mail 2' or (subject eq 'Mail 3' and not isRead eq true)") == ["Mail 3", "Mail 2"]
    assert subjects(mary, filter="startswith(subject,'Mail') and from/emailAddress/address eq 'A@outside.example'")
    assert subjects(mary, filter="contains(subject,'nothing')") == []
    conversation = mary("GET", f"/messages/{ids[0]}").json()["conversationId"]
    assert subjects(mary, filter=f"conversationId eq '{conversation}'") == ["Mail 0"]


@pytest.mark.parametrize("text", ["isRead", "isRead eq", "wrong eq 1", "subject eq Mail", "(isRead eq true", "isRead eq true)", "§"])
def test_what_is_not_a_filter_is_a_400(tenant: Tenant, text: str) -> None:
    answer = tenant.user()("GET", INBOX, params={"$filter": text})
    assert answer.status_code == 400


def test_sorting_by_what_is_not_filtered_first_is_inefficient(tenant: Tenant) -> None:
    mary = tenant.user()
    for number in range(3):
        arrive(tenant, number)
    bad = mary("GET", INBOX, params={"$filter": "isRead eq false", "$orderby": "receivedDateTime asc"})
    assert (bad.status_code, code_of(bad)) == (400, "InefficientFilter")
    good = "receivedDateTime ge 2000-01-01T00:00:00Z and isRead eq false"
    assert subjects(mary, filter=good, orderby="receivedDateTime asc") == ["Mail 0", "Mail 1", "Mail 2"]
    assert subjects(mary, orderby="subject desc") == ["Mail 2", "Mail 1", "Mail 0"]


def test_a_draft_is_found_by_its_marker_and_shows_it_when_asked(tenant: Tenant) -> None:
    mary = tenant.user()
    mary.draft(subject="other")
    mary.draft(subject="mine", singleValueExtendedProperties=[{"id": KEY, "value": "m1"}])
    wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{KEY}' and ep/value eq 'm1')"
    assert subjects(mary, "/mailFolders/drafts/messages", filter=wanted) == ["mine"]
    query = {"$filter": wanted, "$expand": f"singleValueExtendedProperties($filter=id eq '{KEY}')"}
    (found,) = mary("GET", "/messages", params=query).json()["value"]
    assert found["singleValueExtendedProperties"] == [{"id": KEY, "value": "m1"}]
    mary("POST", f"/messages/{found['id']}/send")
    assert subjects(mary, "/mailFolders/sentitems/messages", filter=wanted) == ["mine"]
    assert subjects(mary, "/mailFolders/drafts/messages", filter=wanted) == []


def test_reply_headers_are_seen_as_extended_properties(tenant: Tenant) -> None:
    mary = tenant.user()
    message = arrive(tenant, 1, headers=("In-Reply-To: <parent@o.example>",))
    expand = "singleValueExtendedProperties($filter=id eq 'String 0x1042' or id eq 'String 0x007D')"
    body = mary("GET", f"/messages/{message}", params={"$expand": expand}).json()
    values = {p["id"]: p["value"] for p in body["singleValueExtendedProperties"]}
    assert values["String 0x1042"] == "<parent@o.example>"
    assert "Subject: Mail 1" in values["String 0x007D"]


def test_internet_headers_come_only_when_selected_and_not_for_sent_items(tenant: Tenant) -> None:
    mary = tenant.user()
    message = arrive(tenant, 1)
    assert "internetMessageHeaders" not in mary("GET", f"/messages/{message}").json()
    selected = mary("GET", f"/messages/{message}?$select=internetMessageHeaders").json()
    assert {"name": "Subject", "value": "Mail 1"} in selected["internetMessageHeaders"]
    draft = mary.draft(mime(), headers=IMMUTABLE)
    mary("POST", f"/messages/{draft['id']}/send")
    assert mary("GET", f"/messages/{draft['id']}?$select=internetMessageHeaders").json()["internetMessageHeaders"] is None


def test_an_answer_joins_the_conversation(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft(mime())
    mary("POST", f"/messages/{draft['id']}/send")
    answer = arrive(tenant, 1, headers=("References: <zero@x> <one@odoo.example>",))
    assert mary("GET", f"/messages/{answer}").json()["conversationId"] == draft["conversationId"]


def test_mime_comes_back_as_it_was(tenant: Tenant) -> None:
    raw = mime(sender="a@outside.example", to=MARY)
    message = tenant.control("POST", f"/accounts/{MARY}/deliver", content=raw)["id"]
    answer = tenant.user()("GET", f"/messages/{message}/$value")
    assert answer.content == raw
    assert answer.headers["content-type"].startswith("text/plain")


def test_mime_parts_are_listed_as_attachments(tenant: Tenant) -> None:
    parts = (
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>hi</p>\r\n'
        "--b\r\nContent-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nfile\r\n"
        "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext\r\n--b--\r\n"
    )
    raw = mime(to=MARY).partition(b"\r\n\r\n")[0] + b"\r\n" + parts.encode()
    message = tenant.control("POST", f"/accounts/{MARY}/deliver", content=raw)["id"]
    mary = tenant.user()
    body = mary("GET", f"/messages/{message}").json()
    assert (body["hasAttachments"], body["body"]) == (True, {"contentType": "html", "content": "<p>hi</p>"})
    plain = mary("GET", f"/messages/{message}", headers={"Prefer": 'outlook.body-content-type="text"'}).json()
    assert plain["body"] == {"contentType": "text", "content": "hi"}
    listed = mary("GET", f"/messages/{message}/attachments").json()["value"]
    assert [a["@odata.type"] for a in listed] == ["#microsoft.graph.fileAttachment", "#microsoft.graph.itemAttachment"]
    assert mary("GET", f"/messages/{message}/attachments/{listed[0]['id']}").json()["contentBytes"] == "ZmlsZQ=="
    assert b"Subject: inner" in mary("GET", f"/messages/{message}/attachments/{listed[1]['id']}/$value").content


def test_a_damaged_item_spoils_its_page_and_its_mime(tenant: Tenant) -> None:
    mary = tenant.user()
    bad = arrive(tenant, 1)
    arrive(tenant, 2)
    tenant.control("POST", f"/accounts/{MARY}/damage/{bad}")
    assert (mary("GET", INBOX).status_code, mary("GET", f"/messages/{bad}/$value").status_code) == (500, 400)
    assert subjects(mary, top="1") == ["Mail 2"]


def test_moving_changes_the_default_id_only(tenant: Tenant) -> None:
    mary = tenant.user()
    message = arrive(tenant, 1)
    stable = mary("GET", f"/messages/{message}", headers=IMMUTABLE).json()["id"]
    moved = mary("POST", f"/messages/{message}/move", json={"destinationId": "archive"})
    assert moved.status_code == 201
    assert moved.json()["id"] not in (message, stable)
    assert mary("GET", f"/messages/{message}").status_code == 404
    assert mary("GET", f"/messages/{stable}", headers=IMMUTABLE).json()["id"] == stable
    assert code_of(mary("POST", f"/messages/{stable}/move", json={"destinationId": "nowhere"})) == "ErrorItemNotFound"


def test_deleting_is_moving_to_deleted_items_then_out_of_sight_then_away(tenant: Tenant) -> None:
    mary = tenant.user()
    message = arrive(tenant, 1)
    assert mary("DELETE", f"/messages/{message}").status_code == 204
    (trashed,) = tenant.folder(MARY, "deleteditems")
    assert mary("DELETE", f"/messages/{trashed['id']}").status_code == 204
    assert tenant.folder(MARY, "deleteditems") == []
    (hidden,) = tenant.folder(MARY, "recoverableitemsdeletions")
    assert mary("DELETE", f"/messages/{hidden['id']}").status_code == 204
    assert tenant.folder(MARY, "deleteditems") == tenant.folder(MARY, "recoverableitemsdeletions") == []
    assert mary("GET", f"/messages/{hidden['id']}").status_code == 404


def test_folders_have_names_counts_and_children(tenant: Tenant) -> None:
    mary = tenant.user()
    arrive(tenant, 1)
    inbox = mary("GET", "/mailFolders/Inbox").json()
    assert (inbox["displayName"], inbox["totalItemCount"], inbox["unreadItemCount"]) == ("Inbox", 1, 1)
    made = mary("POST", "/mailFolders/inbox/childFolders", json={"displayName": "Odoo"}).json()
    assert made["parentFolderId"] == inbox["id"]
    children = mary("GET", "/mailFolders('inbox')/childFolders").json()["value"]
    assert [f["displayName"] for f in children] == ["Odoo"]
    names = [f["displayName"] for f in mary("GET", "/mailFolders?$top=50").json()["value"]]
    assert "Sent Items" in names
    assert "Deletions" not in names
    assert mary("GET", "/mailFolders/nowhere").status_code == 404


def test_tokens_are_checked(tenant: Tenant) -> None:
    mary = tenant.user()
    assert mary("GET", "").json()["userPrincipalName"] == MARY
    for token in ("a.b.c", "garbage", mary.token[:-8] + "AAAAAAAA"):
        answer = Graph(tenant, token, "/me")("GET", "")
        assert (answer.status_code, code_of(answer)) == (401, "InvalidAuthenticationToken")
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    outlook = tenant.user(scope="https://outlook.office.com/SMTP.Send")
    assert outlook("GET", "").status_code == 401
    tenant.control("POST", "/clock", {"advance": 3601})
    assert mary("GET", "").status_code == 401


def test_errors_carry_the_request_ids(tenant: Tenant) -> None:
    answer = tenant.user()("GET", "/messages/x", headers={"client-request-id": "mine"})
    inner = answer.json()["error"]["innerError"]
    assert inner["request-id"] == answer.headers["request-id"]
    assert inner["client-request-id"] == answer.headers["client-request-id"] == "mine"


def test_what_is_not_there(tenant: Tenant) -> None:
    app = tenant.app()
    assert code_of(app.at("nobody@contoso.example")("GET", "/messages")) == "ErrorInvalidUser"
    tenant.control("PATCH", f"/accounts/{MARY}", {"licensed": False})
    assert code_of(app.at(MARY)("GET", "/messages")) == "MailboxNotEnabledForRESTAPI"
    assert app("PUT", "/messages/x/$value").status_code == 405
    assert app("GET", "/calendar").status_code == 400
    assert Graph(tenant, app.token, "/me")("GET", "/messages").status_code == 400


HEADER_PROPERTY = "String {00020386-0000-0000-C000-000000000046} Name x-odoo"


def test_an_x_header_of_mime_is_found_as_a_named_property(tenant: Tenant) -> None:
    mary = tenant.user()
    made = mary.draft(mime(headers=("X-Odoo: 17",)))
    wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{HEADER_PROPERTY}' and ep/value eq '17')"
    expand = f"singleValueExtendedProperties($filter=id eq '{HEADER_PROPERTY}')"
    (found,) = mary("GET", "/mailFolders/drafts/messages", params={"$filter": wanted, "$expand": expand}).json()["value"]
    assert found["id"] == made["id"]
    assert [each["value"] for each in found["singleValueExtendedProperties"]] == ["17"]


def test_a_lost_x_header_leaves_no_property_until_json_has_made_it_known(tenant: Tenant) -> None:
    tenant.switch(x_headers="lost_until_primed")
    mary = tenant.user()
    wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{HEADER_PROPERTY}' and ep/value eq '17')"
    counts = []
    for _ in range(2):
        mary.draft(mime(headers=("X-Odoo: 17",)))
        counts.append(len(mary("GET", "/mailFolders/drafts/messages", params={"$filter": wanted}).json()["value"]))
        mary.draft(singleValueExtendedProperties=[{"id": HEADER_PROPERTY, "value": "probe"}])
    assert counts == [0, 1]
