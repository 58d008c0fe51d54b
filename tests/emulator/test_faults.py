"""Scripted faults."""

from typing import Any

import httpx2
import pytest

from tests.emulator.client import IMMUTABLE, PUBLIC, Tenant, code_of, mime, recipients, until

MARY = "mary@contoso.example"


def test_an_answer_instead_of_the_deed(tenant: Tenant) -> None:
    mary = tenant.user()
    action = {"kind": "answer", "status": 429, "code": "ApplicationThrottled", "retry_after": 2.128}
    tenant.fault(action, match={"operation": "sendMail"}, times=2)
    answers = [mary.send_mime(mime()) for _ in range(3)]
    assert [a.status_code for a in answers] == [429, 429, 202]
    assert answers[0].headers["retry-after"] == "2.128"
    assert code_of(answers[0]) == "ApplicationThrottled"
    assert len(tenant.outside()) == 1
    (fault,) = tenant.control("GET", "/faults")
    assert (fault["hits"], fault["left"]) == (2, 0)


@pytest.mark.parametrize(
    ("status", "code"), [(401, "InvalidAuthenticationToken"), (403, "ErrorSendAsDenied"), (404, "ErrorItemNotFound"), (413, "")]
)
def test_any_error_can_be_asked_for(tenant: Tenant, status: int, code: str) -> None:
    mary = tenant.user()
    tenant.fault({"kind": "answer", "status": status, "code": code}, match={"operation": "list"})
    answer = mary("GET", "/messages")
    assert answer.status_code == status
    assert code_of(answer) == (code or "RequestEntityTooLarge")


def test_504_but_sent(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft(mime(), headers=IMMUTABLE)
    tenant.fault({"kind": "do_but_answer", "status": 504}, match={"operation": "send"})
    assert mary("POST", f"/messages/{draft['id']}/send").status_code == 504
    assert mary("GET", f"/messages/{draft['id']}").json()["isDraft"] is False
    assert len(tenant.outside()) == 1


def test_504_and_sent_two_minutes_later(tenant: Tenant) -> None:
    mary = tenant.user()
    tenant.control("POST", "/clock", {"freeze": True})
    draft = mary.draft(mime(), headers=IMMUTABLE)
    tenant.fault({"kind": "answer_and_do_later", "status": 504, "seconds": 120}, match={"operation": "send"})
    assert mary("POST", f"/messages/{draft['id']}/send").status_code == 504
    tenant.control("POST", "/clock", {"advance": 119})
    assert mary("GET", f"/messages/{draft['id']}").json()["isDraft"] is True
    tenant.control("POST", "/clock", {"advance": 1})
    until(lambda: len(tenant.outside()) == 1)
    assert mary("GET", f"/messages/{draft['id']}").json()["isDraft"] is False


def test_sent_again_before_the_late_sending_it_still_leaves_once(tenant: Tenant) -> None:
    mary = tenant.user()
    tenant.control("POST", "/clock", {"freeze": True})
    draft = mary.draft(mime(), headers=IMMUTABLE)
    tenant.fault({"kind": "answer_and_do_later", "status": 504, "seconds": 120}, match={"operation": "send"})
    statuses = [mary("POST", f"/messages/{draft['id']}/send").status_code for _ in range(2)]
    tenant.control("POST", "/clock", {"advance": 120})
    until(lambda: tenant.control("GET", "/clock")["waiting"] == 0)
    assert statuses == [504, 202]
    assert len(tenant.outside()) == 1


@pytest.mark.parametrize(("when", "sent"), [("before", 0), ("after", 1)])
def test_a_dropped_connection(tenant: Tenant, when: str, sent: int) -> None:
    mary = tenant.user()
    tenant.fault({"kind": "drop", "when": when}, match={"operation": "sendMail"})
    with pytest.raises(httpx2.TransportError):
        mary.send_mime(mime())
    assert len(tenant.outside()) == sent
    assert mary.send_mime(mime()).status_code == 202


def test_a_connection_dropped_after_some_bytes(tenant: Tenant) -> None:
    mary = tenant.user()
    tenant.fault({"kind": "drop", "after_bytes": 1_000_000}, match={"operation": "sendMail"})
    with pytest.raises(httpx2.TransportError):
        mary.send_mime(mime("x" * 2_500_000))
    assert tenant.outside() == []


def test_the_third_range_fails(tenant: Tenant) -> None:
    mary = tenant.user()
    body = {"AttachmentItem": {"attachmentType": "file", "name": "f", "size": 4_000_000}}
    url = mary("POST", f"/messages/{mary.draft()['id']}/attachments/createUploadSession", json=body).json()["uploadUrl"]
    tenant.fault({"kind": "answer", "status": 503}, match={"operation": "uploadRange", "mailbox": MARY}, skip=2)
    statuses = []
    for first in (0, 1_000_000, 2_000_000, 2_000_000):
        headers = {"Content-Range": f"bytes {first}-{first + 999_999}/4000000"}
        statuses.append(tenant.http.put(url, content=b"x" * 1_000_000, headers=headers).status_code)
    assert statuses == [200, 200, 503, 200]
    tenant.fault({"kind": "expire_upload"}, match={"operation": "uploadRange"})
    headers = {"Content-Range": "bytes 3000000-3999999/4000000"}
    assert tenant.http.put(url, content=b"x" * 1_000_000, headers=headers).status_code == 404


def test_the_sent_copy_is_late_or_missing(tenant: Tenant) -> None:
    mary = tenant.user()
    tenant.control("POST", "/clock", {"freeze": True})
    draft = mary.draft(mime(), headers=IMMUTABLE)
    tenant.fault({"kind": "sent_copy", "seconds": 90}, match={"operation": "send"})
    mary("POST", f"/messages/{draft['id']}/send")
    assert len(tenant.outside()) == 1
    assert mary("GET", f"/messages/{draft['id']}").status_code == 404
    tenant.control("POST", "/clock", {"advance": 90})
    assert mary("GET", f"/messages/{draft['id']}").status_code == 200
    tenant.fault({"kind": "sent_copy", "missing": True}, match={"operation": "sendMail"})
    mary.send_mime(mime())
    tenant.control("POST", "/clock", {"advance": 3600})
    assert len(tenant.folder(MARY, "sentitems")) == 1
    assert len(tenant.outside()) == 2


def test_even_the_immutable_id_can_change_on_sending(tenant: Tenant) -> None:
    mary = tenant.user()
    draft = mary.draft(mime(), headers=IMMUTABLE)
    tenant.fault({"kind": "change_ids"}, match={"operation": "send"})
    mary("POST", f"/messages/{draft['id']}/send")
    assert mary("GET", f"/messages/{draft['id']}").status_code == 404
    (sent,) = tenant.folder(MARY, "sentitems")
    assert sent["immutable_id"] != draft["id"]


def test_a_delay_waits_for_the_clock(tenant: Tenant) -> None:
    mary = tenant.user()
    tenant.fault({"kind": "delay", "seconds": 0.05}, match={"operation": "getUser"})
    assert mary("GET", "").status_code == 200


def test_a_token_request_fails_in_entras_words(tenant: Tenant) -> None:
    token = tenant.grant()["refresh_token"]
    tenant.fault({"kind": "answer", "aadsts": 50173}, match={"operation": "token"})
    form = {"client_id": PUBLIC, "grant_type": "refresh_token", "refresh_token": token}
    answer = tenant.token(**form)
    assert (answer.status_code, answer.json()["error"], answer.json()["error_codes"]) == (400, "invalid_grant", [50173])
    assert tenant.token(**form).status_code == 200


def test_random_faults_repeat_with_their_seed(tenant: Tenant) -> None:
    mary = tenant.user()
    runs = []
    for _ in range(2):
        tenant.control("DELETE", "/faults")
        tenant.fault({"kind": "answer", "status": 503}, match={"operation": "getUser"}, times=None, probability=0.5, seed=7)
        runs.append([mary("GET", "").status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 503}


def test_a_fault_can_be_for_a_path_and_a_method(tenant: Tenant) -> None:
    mary = tenant.user()
    tenant.fault({"kind": "answer", "status": 500}, match={"method": "get", "path": "mailFolders/drafts"})
    assert mary("GET", "/mailFolders/inbox").status_code == 200
    assert mary("GET", "/mailFolders/drafts").status_code == 500


@pytest.mark.parametrize(
    "fault",
    [
        {"action": {"kind": "explode"}},
        {"action": {"kind": "answer", "statsu": 500}},
        {"action": {"kind": "drop", "when": "sometimes"}},
        {"action": {"kind": "delay"}},
        {"match": {"operation": "fly"}, "action": {"kind": "change_ids"}},
        {"match": {"path": "("}, "action": {"kind": "change_ids"}},
        {"tiems": 3, "action": {"kind": "change_ids"}},
    ],
)
def test_a_mistaken_fault_is_refused_with_a_reason(tenant: Tenant, fault: dict[str, Any]) -> None:
    answer = tenant.http.post(f"{tenant.url}/_emulator/faults", json=fault)
    assert answer.status_code == 400
    assert len(answer.json()["error"]) > 20
    assert tenant.control("GET", "/faults") == []


def test_what_was_asked_is_counted(tenant: Tenant) -> None:
    mary = tenant.user()
    mary.send_mail(toRecipients=recipients("x@outside.example"))
    counters = tenant.control("GET", "/counters")
    assert counters["by_operation"]["sendMail"] == 1
    assert counters["by_mailbox"][MARY] == 1
    last = tenant.control("GET", "/requests", params={"limit": 1})[0]
    assert (last["operation"], last["mailbox"], last["status"]) == ("sendMail", MARY, 202)
