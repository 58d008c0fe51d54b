"""The `O365` package, unmodified: sign-in, sending, drafts, large attachments, lists and errors."""

from __future__ import annotations

import email
import json
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from O365 import Account, FileSystemTokenBackend, MSGraphProtocol
from O365.utils.token import MemoryTokenBackend
from requests.exceptions import HTTPError

from tests.clients.mails import BIG, CUSTOMER, SALES, arrived, deliver, files, operations
from tests.clients.person import MARY, TOM, Person
from tests.emulator.client import BACK, CONFIDENTIAL, PUBLIC, SECRET, TENANT_ID, Tenant, mime
from tests.emulator.test_sign_in import Certificate

SCOPES = ["basic", "message_all", "message_all_shared"]
TWO_HOURS = 7200

pytestmark = pytest.mark.filterwarnings("ignore:response_mode='form_post' is recommended")


def account(credentials: Any, **more: Any) -> Any:
    """Times in UTC, and no pause between requests."""
    keep = more.pop("token_backend", None) or MemoryTokenBackend()
    return Account(credentials, protocol=MSGraphProtocol(timezone="UTC"), token_backend=keep, requests_delay=0, **more)


def application(secret: Any = SECRET) -> Any:
    return account((CONFIDENTIAL, secret), auth_flow_type="credentials", tenant_id=TENANT_ID, main_resource=SALES)


def sign_in(person: Person, who: str = MARY, **more: Any) -> Any:
    """A person's account at the public client."""
    signed = account((PUBLIC,), auth_flow_type="public", **more)
    assert signed.authenticate(requested_scopes=SCOPES, redirect_uri=BACK, handle_consent=lambda url: person.sign_in(url, who))
    return signed


def new_mail(signed: Any, subject: str = "Hello", resource: str | None = None) -> Any:
    mail = signed.new_message(resource=resource)
    mail.to.add(CUSTOMER)
    mail.subject = subject
    mail.body = "<p>A body</p>"
    return mail


# Sign-in


def test_a_public_client_signs_in_with_a_code_and_pkce(person: Person) -> None:
    signed = sign_in(person)
    assert signed.is_authenticated
    assert signed.username == MARY
    assert signed.get_current_user_data().user_principal_name == MARY


def test_a_confidential_client_signs_in_with_a_code_and_its_secret(person: Person) -> None:
    signed = account((CONFIDENTIAL, SECRET), tenant_id=TENANT_ID)
    assert signed.authenticate(requested_scopes=SCOPES, redirect_uri=BACK, handle_consent=lambda url: person.sign_in(url, MARY))
    assert signed.get_current_user_data().user_principal_name == MARY


def test_an_application_signs_in_by_its_secret(tenant: Tenant) -> None:
    signed = application()
    assert signed.authenticate()
    assert new_mail(signed).send()
    assert arrived(tenant)["From"] == "Contoso Sales <sales@contoso.example>"


def test_an_application_signs_in_by_its_certificate(tenant: Tenant, registered: Certificate) -> None:
    key = registered.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    signed = application({"private_key": key, "public_certificate": registered.pem.decode()})
    assert signed.authenticate()
    assert list(signed.mailbox().inbox_folder().get_messages()) == []


def test_an_access_token_that_is_over_is_refreshed_and_the_request_made_again(tenant: Tenant, person: Person, tmp_path: Path) -> None:
    keep = FileSystemTokenBackend(tmp_path, "token.json")
    sign_in(person, token_backend=keep)
    before = two_hours_pass(tenant, tmp_path / "token.json")
    signed = account((PUBLIC,), auth_flow_type="public", token_backend=FileSystemTokenBackend(tmp_path, "token.json"))
    assert signed.get_current_user_data().user_principal_name == MARY
    after = json.loads((tmp_path / "token.json").read_text())
    assert operations(tenant, "token", "getUser") == ["token", "getUser", "token", "getUser"]
    assert refresh_tokens(after) != refresh_tokens(before)


def two_hours_pass(tenant: Tenant, file: Path) -> dict[str, Any]:
    """At Microsoft, and in the file where the library keeps its tokens; what it kept."""
    tenant.control("POST", "/clock", {"advance": TWO_HOURS})
    kept: dict[str, Any] = json.loads(file.read_text())
    for token in kept["AccessToken"].values():
        token["expires_on"] = str(int(token["expires_on"]) - TWO_HOURS)
    file.write_text(json.dumps(kept))
    return kept


def refresh_tokens(kept: dict[str, Any]) -> list[str]:
    return [token["secret"] for token in kept["RefreshToken"].values()]


def test_a_wrong_secret_gives_no_account(tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    assert not application("wrong").authenticate()
    assert "AADSTS7000215" in caplog.text


def test_who_declines_the_consent_gives_no_account(person: Person, caplog: pytest.LogCaptureFixture) -> None:
    signed = account((PUBLIC,), auth_flow_type="public")
    assert not signed.authenticate(
        requested_scopes=SCOPES, redirect_uri=BACK, handle_consent=lambda url: person.sign_in(url, MARY, "Cancel")
    )
    assert "access_denied" in caplog.text


def test_a_revoked_grant_is_a_runtime_error(tenant: Tenant, person: Person, tmp_path: Path) -> None:
    sign_in(person, token_backend=FileSystemTokenBackend(tmp_path, "token.json"))
    two_hours_pass(tenant, tmp_path / "token.json")
    tenant.control("POST", f"/accounts/{MARY}/revoke", {})
    signed = account((PUBLIC,), auth_flow_type="public", token_backend=FileSystemTokenBackend(tmp_path, "token.json"))
    with pytest.raises(RuntimeError, match="invalid_grant"):
        signed.get_current_user_data()


# Sending


def test_a_mail_is_sent_and_kept(tenant: Tenant, person: Person) -> None:
    mail = new_mail(sign_in(person), "With all its fields")
    mail.cc.add([("Ann", "ann@outside.example")])
    mail.bcc.add("hidden@outside.example")
    mail.reply_to.add(SALES)
    mail.message_headers = [{"name": "X-Order", "value": "SO42"}]
    mail.attachments.add([(BytesIO(b"abc"), "a.txt")])
    assert mail.send()
    got = arrived(tenant)
    assert (got["From"], got["Reply-To"], got["X-Order"]) == ("Mary Major <mary@contoso.example>", SALES, "SO42")
    assert got["Bcc"] is None
    assert len(tenant.outside("hidden@outside.example")) == 1
    assert files(got, "a.txt") == [b"abc"]
    assert [m["subject"] for m in tenant.folder(MARY, "sentitems")] == ["With all its fields"]


def test_a_mail_is_not_kept_if_so_wished(tenant: Tenant, person: Person) -> None:
    assert new_mail(sign_in(person)).send(save_to_sent_folder=False)
    assert tenant.folder(MARY, "sentitems") == []


def test_a_draft_takes_a_large_file_by_upload_session_and_is_sent(tenant: Tenant, person: Person) -> None:
    mail = new_mail(sign_in(person), "With a large file")
    assert mail.save_draft()
    mail.attachments.add([(BytesIO(BIG), "big.bin")])
    assert mail.save_draft()
    assert [m["subject"] for m in tenant.folder(MARY, "drafts")] == ["With a large file"]
    assert mail.send()
    assert operations(tenant)[-5:] == ["createDraft", "createUploadSession", "uploadRange", "uploadRange", "send"]
    assert files(arrived(tenant), "big.bin") == [BIG]


# Lists and reading


def test_a_list_is_followed_page_by_page(tenant: Tenant, person: Person) -> None:
    deliver(tenant, 7)
    inbox = sign_in(person).mailbox().inbox_folder()
    messages = inbox.get_messages(limit=None, batch=3, order_by="receivedDateTime asc")
    assert [m.subject for m in messages] == [f"number {n}" for n in range(7)]
    assert operations(tenant)[-3:] == ["list"] * 3


def test_a_list_is_filtered_and_sorted(tenant: Tenant, person: Person) -> None:
    deliver(tenant, 4)
    inbox = sign_in(person).mailbox().inbox_folder()
    everything = list(inbox.get_messages(order_by="receivedDateTime asc"))
    assert everything[1].mark_as_read()
    q = inbox.new_query()
    wanted = q.chain_and(q.greater_equal("receivedDateTime", everything[1].received), q.equals("isRead", False))
    found = inbox.get_messages(query=wanted & q.orderby("receivedDateTime") & q.select("subject"))
    assert [m.subject for m in found] == ["number 2", "number 3"]


def test_a_sort_order_without_its_filter_is_an_http_error(tenant: Tenant, person: Person) -> None:
    inbox = sign_in(person).mailbox().inbox_folder()
    assert error_of(lambda: inbox.get_messages(query="isRead eq false", order_by="receivedDateTime asc")) == (400, "InefficientFilter")


def test_a_mail_is_read_with_its_attachments_and_as_mime(tenant: Tenant, person: Person) -> None:
    signed = sign_in(person)
    mail = new_mail(signed, "Read me back")
    mail.attachments.add([(BytesIO(b"abc"), "a.txt")])
    assert mail.send()
    read = signed.mailbox().sent_folder().get_message(query="subject eq 'Read me back'", download_attachments=True)
    assert (read.subject, [str(r.address) for r in read.to]) == ("Read me back", [CUSTOMER])
    assert isinstance(read.received, datetime)
    assert [(a.name, a.size) for a in read.attachments] == [("a.txt", 3)]
    assert email.message_from_bytes(read.get_mime_content())["Subject"] == "Read me back"


def test_a_mail_is_moved_and_deleted(tenant: Tenant, person: Person) -> None:
    deliver(tenant, 2)
    mailbox = sign_in(person).mailbox()
    folder = mailbox.create_child_folder("Done")
    newest, oldest = mailbox.inbox_folder().get_messages()
    assert newest.move(folder)
    assert [m.subject for m in mailbox.get_folder(folder_name="Done").get_messages()] == ["number 1"]
    assert oldest.delete()
    assert [m.subject for m in mailbox.deleted_folder().get_messages()] == ["number 0"]
    assert list(mailbox.inbox_folder().get_messages()) == []


def test_a_reply_keeps_the_thread(tenant: Tenant, person: Person) -> None:
    deliver(tenant, 1)
    (found,) = sign_in(person).mailbox().inbox_folder().get_messages()
    reply = found.reply()
    reply.body = "<p>Thanks</p>"
    assert reply.send()
    got = arrived(tenant)
    assert (got["In-Reply-To"], got["References"]) == ("<0@outside.example>", "<0@outside.example>")


# Shared mailboxes and refusals


def error_of(call: Any) -> tuple[int, str]:
    """Status and code, out of the library's own exception."""
    with pytest.raises(HTTPError) as refused:
        call()
    answer = refused.value.response
    assert answer is not None
    return answer.status_code, answer.json()["error"]["code"]


def test_a_mail_from_a_shared_mailbox_lies_in_its_sent_items(tenant: Tenant, person: Person) -> None:
    assert new_mail(sign_in(person), resource=SALES).send()
    assert arrived(tenant)["From"] == "Contoso Sales <sales@contoso.example>"
    assert len(tenant.folder(SALES, "sentitems")) == 1
    assert tenant.folder(MARY, "sentitems") == []


def test_a_mail_as_a_shared_mailbox_lies_in_the_senders_sent_items(tenant: Tenant, person: Person) -> None:
    mail = new_mail(sign_in(person))
    mail.sender = SALES
    assert mail.send()
    assert arrived(tenant)["From"] == "Contoso Sales <sales@contoso.example>"
    assert len(tenant.folder(MARY, "sentitems")) == 1


def test_a_shared_mailbox_is_read(tenant: Tenant, person: Person) -> None:
    raw = mime(to=SALES, sender=CUSTOMER, subject="To sales")
    tenant.control("POST", f"/accounts/{SALES}/deliver", content=raw)
    assert [m.subject for m in sign_in(person).mailbox(SALES).inbox_folder().get_messages()] == ["To sales"]


def test_who_may_not_send_as_somebody_is_told_so(tenant: Tenant, person: Person) -> None:
    mail = new_mail(sign_in(person, TOM))
    mail.sender = MARY
    assert error_of(mail.send) == (403, "ErrorSendAsDenied")
    assert tenant.outside() == []


def test_a_large_file_does_not_go_into_a_shared_mailbox_by_a_delegated_token(person: Person) -> None:
    mail = new_mail(sign_in(person), resource=SALES)
    assert mail.save_draft()
    mail.attachments.add([(BytesIO(BIG), "big.bin")])
    assert error_of(mail.save_draft) == (403, "ErrorAccessDenied")


def test_a_mail_without_recipients_is_refused(person: Person) -> None:
    mail = sign_in(person).new_message()
    mail.subject = "To nobody"
    assert error_of(mail.send) == (400, "ErrorInvalidRecipients")


def test_a_mail_above_four_megabytes_in_one_request_is_refused(person: Person) -> None:
    mail = new_mail(sign_in(person))
    mail.attachments.add([(BytesIO(BIG), "big.bin")])
    assert error_of(mail.send) == (413, "RequestEntityTooLarge")


def test_the_package_waits_as_long_as_graph_asks_for(tenant: Tenant, person: Person) -> None:
    inbox = sign_in(person).mailbox().inbox_folder()
    tenant.fault({"kind": "answer", "status": 429, "retry_after": 1}, match={"operation": "list"})
    assert list(inbox.get_messages()) == []
    asked = [r for r in tenant.control("GET", "/requests") if r["operation"] == "list"]
    assert [r["status"] for r in asked] == [429, 200]
    first, second = (datetime.fromisoformat(r["at"]) for r in asked)
    assert second - first >= timedelta(seconds=1)
