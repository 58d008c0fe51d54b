"""Upload sessions."""

from email import message_from_bytes
from email.policy import default
from typing import Any

import httpx2
import pytest

from tests.emulator.client import Graph, Tenant, code_of, mime

SIZE = 5_000_000
DATA = bytes(range(256)) * (SIZE // 256 + 1)


def session(graph: Graph, draft: dict[str, Any], size: int = SIZE, **item: Any) -> httpx2.Response:
    body = {"AttachmentItem": {"attachmentType": "file", "name": "f.bin", "size": size, **item}}
    return graph("POST", f"/messages/{draft['id']}/attachments/createUploadSession", json=body)


def put(tenant: Tenant, url: str, first: int, last: int, total: int = SIZE, **headers: str) -> httpx2.Response:
    sent = {"Content-Range": f"bytes {first}-{last}/{total}", **headers}
    return tenant.http.put(url, content=DATA[first : last + 1], headers=sent)


def test_ranges_in_order_make_an_attachment(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft()
    made = session(mary, draft, contentType="application/x-test")
    assert made.status_code == 201
    assert made.json()["nextExpectedRanges"] == ["0-"]
    url = made.json()["uploadUrl"]
    assert "/v1.0/" not in url
    half = put(tenant, url, 0, 2_999_999)
    assert half.status_code == 200
    assert half.json()["nextExpectedRanges"] == ["3000000"]
    assert "ExpirationDateTime" in half.json()
    last = put(tenant, url, 3_000_000, SIZE - 1)
    assert (last.status_code, last.content) == (201, b"")
    attachment_id = last.headers["location"].split("'")[-2]
    listed = mary("GET", f"/messages/{draft['id']}/attachments?$select=id,name,size").json()["value"]
    assert [(a["id"], a["name"], a["size"]) for a in listed] == [(attachment_id, "f.bin", SIZE)]
    assert mary("GET", f"/messages/{draft['id']}/attachments/{attachment_id}/$value").content == DATA[:SIZE]
    assert mary("POST", f"/messages/{draft['id']}/send").status_code == 202
    seen = message_from_bytes(tenant.raw(tenant.outside()[0]), policy=default)
    (part,) = seen.iter_attachments()
    assert part.get_content() == DATA[:SIZE]
    assert part.get_content_type() == "application/x-test"


def test_an_authorization_header_spoils_the_upload(tenant: Tenant) -> None:
    mary = tenant.user()
    url = session(mary, mary.draft()).json()["uploadUrl"]
    answer = put(tenant, url, 0, 9, Authorization=f"Bearer {mary.token}")
    assert (answer.status_code, code_of(answer)) == (401, "InvalidAudience")


@pytest.mark.parametrize(("first", "last", "total"), [(10, 19, SIZE), (0, 9, 77), (5, 4, SIZE), (0, SIZE, SIZE)])
def test_ranges_out_of_order_or_size_are_refused(tenant: Tenant, first: int, last: int, total: int) -> None:
    mary = tenant.user()
    url = session(mary, mary.draft()).json()["uploadUrl"]
    assert code_of(put(tenant, url, first, last, total)) == "ErrorInvalidContentRange"
    assert put(tenant, url, 0, 9).status_code == 200


def test_a_range_of_4_mb_or_more_is_refused(tenant: Tenant) -> None:
    mary = tenant.user()
    url = session(mary, mary.draft()).json()["uploadUrl"]
    assert put(tenant, url, 0, 4 * 1024 * 1024).status_code == 413


def test_an_interrupted_upload_tells_where_to_go_on(tenant: Tenant) -> None:
    mary = tenant.user()
    url = session(mary, mary.draft()).json()["uploadUrl"]
    put(tenant, url, 0, 999)
    assert tenant.http.get(url).json()["nextExpectedRanges"] == ["1000"]
    tenant.switch(upload_resume_by_get=False)
    assert tenant.http.get(url).status_code == 405


def test_a_session_can_be_cancelled_and_expires(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft()
    url = session(mary, draft).json()["uploadUrl"]
    assert tenant.http.delete(url).status_code == 204
    assert put(tenant, url, 0, 9).status_code == 404
    late = session(mary, draft).json()["uploadUrl"]
    tenant.control("POST", "/clock", {"advance": 3601})
    assert code_of(put(tenant, late, 0, 9)) == "ErrorUploadSessionExpired"


def test_what_is_too_small_or_too_large_gets_no_session(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft()
    assert code_of(session(mary, draft, 1000)) == "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize"
    assert code_of(session(mary, draft, 40_000_000)) == "ErrorMessageSizeExceeded"
    tenant.control("PATCH", "/accounts/mary@contoso.example", {"max_message_size": 150 * 1024 * 1024})
    assert session(mary, draft, 40_000_000).status_code == 201


def test_a_delegate_may_not_upload_to_a_shared_mailbox_unless_switched(tenant: Tenant) -> None:
    sales = tenant.user().at("sales@contoso.example")
    draft = sales.draft()
    assert session(sales, draft).status_code == 403
    tenant.switch(delegated_shared_upload=True)
    assert session(sales, draft).status_code == 201
    app = tenant.app()
    assert session(app, app.draft()).status_code == 201


@pytest.mark.parametrize(("how", "names"), [("merged", ["f.bin"]), ("dropped", [])])
def test_attaching_to_a_mime_draft_does_what_the_switch_says(tenant: Tenant, how: str, names: list[str]) -> None:
    tenant.switch(mime_draft_attachments=how)
    mary = tenant.user()
    draft = mary.draft(mime("the text"))
    url = session(mary, draft).json()["uploadUrl"]
    put(tenant, url, 0, 3_999_999)
    assert put(tenant, url, 4_000_000, SIZE - 1).status_code == 201
    mary("POST", f"/messages/{draft['id']}/send")
    seen = message_from_bytes(tenant.raw(tenant.outside()[0]), policy=default)
    body = seen.get_body()
    assert body is not None
    assert "the text" in body.get_content()
    assert [p.get_filename() for p in seen.iter_attachments()] == names


def test_a_mime_draft_can_refuse_attachments(tenant: Tenant) -> None:
    tenant.switch(mime_draft_attachments="refused")
    mary = tenant.user()
    assert session(mary, mary.draft(mime())).status_code == 400
