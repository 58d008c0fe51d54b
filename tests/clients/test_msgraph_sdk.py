"""Microsoft's `msgraph-sdk` with `azure-identity`, unmodified: sign-in, sending, drafts, uploads, lists and errors."""

from __future__ import annotations

import asyncio
import base64
import email
import io
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    AuthorizationCodeCredential,
    CertificateCredential,
    ClientSecretCredential,
    DeviceCodeCredential,
    InteractiveBrowserCredential,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from kiota_abstractions.api_error import APIError
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.attachment_item import AttachmentItem
from msgraph.generated.models.attachment_type import AttachmentType
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.generated.models.internet_message_header import InternetMessageHeader
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.mail_folders.item.messages.messages_request_builder import MessagesRequestBuilder
from msgraph.generated.users.item.messages.item.attachments.create_upload_session.create_upload_session_post_request_body import (
    CreateUploadSessionPostRequestBody,
)
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph_core.tasks.large_file_upload import LargeFileUploadTask  # type: ignore[import-untyped]  # has no types
from msgraph_core.tasks.page_iterator import PageIterator  # type: ignore[import-untyped]  # has no types

from tests.clients.person import MARY, TOM, Person, query_of
from tests.emulator.client import BACK, CONFIDENTIAL, PUBLIC, SECRET, TENANT_ID, Tenant, mime
from tests.emulator.test_sign_in import Certificate

SALES = "sales@contoso.example"
CUSTOMER = "x@outside.example"
SCOPES = ["User.Read", "Mail.Send", "Mail.ReadWrite", "Mail.Send.Shared", "Mail.ReadWrite.Shared"]
MIB = 1024 * 1024
BIG = bytes(range(256)) * (5 * MIB // 256)

pytestmark = pytest.mark.filterwarnings("ignore:This class is deprecated")  # said by the SDK's own generated code


def run(conversation: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(conversation)


def application() -> Any:
    return GraphServiceClient(ClientSecretCredential(TENANT_ID, CONFIDENTIAL, SECRET))


def device(person: Person, who: str) -> Any:
    """The credential of a person who signs in on another device, whenever the SDK asks."""

    def prompt(uri: str, user_code: str, expires: datetime) -> None:
        person.sign_in_for_a_device(uri, user_code, who)

    return DeviceCodeCredential(PUBLIC, tenant_id=TENANT_ID, prompt_callback=prompt)


def user(person: Person, who: str = MARY) -> Any:
    return GraphServiceClient(device(person, who), SCOPES)


def message(subject: str = "Hello", to: str = CUSTOMER, **more: Any) -> Any:
    body = ItemBody(content_type=BodyType.Html, content="<p>A body</p>")
    return Message(subject=subject, body=body, to_recipients=[somebody(to)], **more)


def somebody(address: str, name: str | None = None) -> Any:
    return Recipient(email_address=EmailAddress(address=address, name=name))


def new_mail(content: Any, save: bool = True) -> Any:
    return SendMailPostRequestBody(message=content, save_to_sent_items=save)


def arrived(tenant: Tenant, to: str = CUSTOMER) -> email.message.Message:
    """The only mail that reached somebody outside."""
    (copy,) = tenant.outside(to)
    return email.message_from_bytes(tenant.raw(copy))


# Sign-in


def test_an_application_signs_in_by_its_secret(tenant: Tenant) -> None:
    folder = run(application().users.by_user_id(SALES).mail_folders.by_mail_folder_id("inbox").get())
    assert (folder.display_name, folder.total_item_count) == ("Inbox", 0)


def test_an_application_signs_in_by_its_certificate(registered: Certificate) -> None:
    key = registered.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    credential = CertificateCredential(TENANT_ID, CONFIDENTIAL, certificate_data=key + registered.pem)
    page = run(GraphServiceClient(credential).users.by_user_id(SALES).messages.get())
    assert page.value == []


def test_a_person_signs_in_with_a_browser(desktop: None) -> None:
    """A code with PKCE, as a public client, answered as a form."""
    credential = InteractiveBrowserCredential(client_id=PUBLIC, tenant_id=TENANT_ID)
    assert run(GraphServiceClient(credential, SCOPES).me.get()).user_principal_name == MARY


def test_a_person_signs_in_on_another_device(person: Person) -> None:
    assert run(user(person).me.get()).user_principal_name == MARY


def test_a_web_application_redeems_its_code_and_refreshes_when_graph_challenges_it(tenant: Tenant, person: Person) -> None:
    client = GraphServiceClient(AuthorizationCodeCredential(TENANT_ID, CONFIDENTIAL, code_of(person), BACK, client_secret=SECRET))
    claims = base64.b64encode(b'{"access_token":{"nbf":{"essential":true,"value":"1"}}}').decode()
    challenge = {"WWW-Authenticate": f'Bearer realm="", error="insufficient_claims", claims="{claims}"'}
    tenant.fault({"kind": "answer", "status": 401, "headers": challenge}, match={"operation": "getUser"})
    assert run(client.me.get()).user_principal_name == MARY
    asked = [r["operation"] for r in tenant.control("GET", "/requests") if r["operation"] in ("token", "getUser")]
    assert asked == ["token", "getUser", "token", "getUser"]


def code_of(person: Person) -> str:
    """What Mary's browser brings back to the web application."""
    scopes = ["offline_access", *(f"https://graph.microsoft.com/{scope}" for scope in SCOPES)]
    query = {"client_id": CONFIDENTIAL, "response_type": "code", "redirect_uri": BACK, "scope": " ".join(scopes)}
    url = f"https://login.microsoftonline.com/{TENANT_ID}/oauth2/v2.0/authorize?{urlencode(query)}"
    return query_of(person.sign_in(url, MARY))["code"]


@pytest.mark.parametrize(("secret", "code"), [("wrong", "AADSTS7000215"), (SECRET, "AADSTS7000222")])
def test_a_secret_that_is_wrong_or_expired_is_a_client_authentication_error(tenant: Tenant, secret: str, code: str) -> None:
    tenant.control("PATCH", f"/apps/{CONFIDENTIAL}", {"expire_secrets": True})
    client = GraphServiceClient(ClientSecretCredential(TENANT_ID, CONFIDENTIAL, secret))
    with pytest.raises(ClientAuthenticationError, match=code):
        run(client.users.by_user_id(SALES).messages.get())


def test_a_revoked_grant_is_a_client_authentication_error(tenant: Tenant, person: Person) -> None:
    credential = AuthorizationCodeCredential(TENANT_ID, CONFIDENTIAL, code_of(person), BACK, client_secret=SECRET)
    credential.get_token("https://graph.microsoft.com/.default")
    tenant.control("POST", f"/accounts/{MARY}/revoke", {})
    with pytest.raises(ClientAuthenticationError, match="AADSTS50173"):
        credential.get_token("https://graph.microsoft.com/.default", claims="{}")  # with claims it doesn't look into its cache


# Sending


def test_a_mail_as_fields_is_sent_and_kept(tenant: Tenant, person: Person) -> None:
    headers = [InternetMessageHeader(name="X-Order", value="SO42")]
    small = FileAttachment(odata_type="#microsoft.graph.fileAttachment", name="a.txt", content_type="text/plain", content_bytes=b"abc")
    mail = message("As fields", internet_message_headers=headers, attachments=[small], reply_to=[somebody(SALES)])
    run(user(person).me.send_mail.post(new_mail(mail)))
    got = arrived(tenant)
    assert (got["Subject"], got["From"], got["X-Order"]) == ("As fields", "Mary Major <mary@contoso.example>", "SO42")
    assert got["Reply-To"] == SALES
    assert [p.get_payload(decode=True) for p in got.walk() if p.get_filename() == "a.txt"] == [b"abc"]
    assert [m["subject"] for m in tenant.folder(MARY, "sentitems")] == ["As fields"]


def test_a_mail_as_fields_is_not_kept_if_so_wished(tenant: Tenant, person: Person) -> None:
    run(user(person).me.send_mail.post(new_mail(message(), save=False)))
    assert arrived(tenant)["Subject"] == "Hello"
    assert tenant.folder(MARY, "sentitems") == []


def test_a_mail_as_mime_is_sent(tenant: Tenant, person: Person) -> None:
    """The SDK has no builder for it; its documented way is to put another body into the request."""
    raw = mime("As it was", to=CUSTOMER, headers=("In-Reply-To: <q@outside.example>",))

    async def send() -> None:
        client = user(person)
        request = client.me.send_mail.to_post_request_information(new_mail(message()))
        request.headers.clear()
        request.set_stream_content(base64.b64encode(raw), "text/plain")
        await client.request_adapter.send_no_response_content_async(request, {"XXX": ODataError})

    run(send())
    got = arrived(tenant)
    assert (got["Message-ID"], got["In-Reply-To"]) == ("<one@odoo.example>", "<q@outside.example>")
    assert got.get_payload(decode=True) == b"As it was\r\n"


# Drafts and uploads


def for_uploads(person: Person) -> Any:
    """A client that keeps its token from the upload host; the SDK's own default sends it there."""
    provider = AzureIdentityAuthenticationProvider(device(person, MARY), scopes=SCOPES, allowed_hosts=["graph.microsoft.com"])
    return GraphServiceClient(request_adapter=GraphRequestAdapter(provider))


async def large_draft(messages: Any, adapter: Any) -> tuple[Any, LargeFileUploadTask]:
    """A new draft, and the SDK's task to upload a file of 5 MiB to it."""
    draft = messages.by_message_id((await messages.post(message("With a large file"))).id)
    item = AttachmentItem(attachment_type=AttachmentType.File, name="big.bin", size=len(BIG), content_type="application/octet-stream")
    session = await draft.attachments.create_upload_session.post(CreateUploadSessionPostRequestBody(attachment_item=item))
    return draft, LargeFileUploadTask(session, adapter, io.BytesIO(BIG), max_chunk_size=3 * MIB)


def test_a_draft_takes_a_large_file_by_upload_session_and_is_sent(tenant: Tenant, person: Person) -> None:
    """Range by range: `upload()` expects the ranges of OneDrive (see below), so it is told where Outlook goes on."""

    async def converse() -> list[int]:
        client, start, seen = for_uploads(person), 0, []
        draft, task = await large_draft(client.me.messages, client.request_adapter)
        while start < len(BIG):
            task.next_range = f"{start}-{min(start + task.max_chunk_size, len(BIG)) - 1}"
            answer = await task.next_chunk(task.stream)
            start = int(answer.next_expected_ranges[0]) if answer else len(BIG)
            seen.append(start)
        (attachment,) = (await draft.attachments.get()).value
        assert (attachment.name, attachment.content_bytes) == ("big.bin", BIG)
        await draft.send.post()
        return seen

    assert run(converse()) == [3 * MIB, 5 * MIB]
    assert [p.get_payload(decode=True) for p in arrived(tenant).walk() if p.get_filename() == "big.bin"] == [BIG]
    assert tenant.folder(MARY, "drafts") == []


def test_the_upload_task_stumbles_over_outlooks_ranges_as_it_does_at_microsoft(person: Person) -> None:
    """For Outlook nextExpectedRanges is a single "{start}" (Graph reference, uploadSession; msgraph-sdk-python-core#691)."""

    async def converse() -> None:
        client = for_uploads(person)
        _, task = await large_draft(client.me.messages, client.request_adapter)
        await task.upload()

    with pytest.raises(ValueError, match="invalid literal for int"):
        run(converse())


def test_the_upload_host_refuses_graphs_token_as_at_microsoft(person: Person) -> None:
    """The SDK's default adapter sends Authorization to every host (msgraph-sdk-python-core#691)."""

    async def converse() -> None:
        client = user(person)
        _, task = await large_draft(client.me.messages, client.request_adapter)
        await task.next_chunk(task.stream, 0, task.max_chunk_size - 1)

    with pytest.raises(APIError) as refused:
        run(converse())
    assert refused.value.response_status_code == 401


# Lists and reading


def deliver(tenant: Tenant, count: int) -> None:
    """Mails from outside in Mary's Inbox: number 0, number 1, ..."""
    for number in range(count):
        raw = mime(f"body {number}", to=MARY, sender=CUSTOMER, subject=f"number {number}", message_id=f"<{number}@outside.example>")
        tenant.control("POST", f"/accounts/{MARY}/deliver", content=raw)
        tenant.control("POST", "/clock", {"advance": 60})


def query(**values: Any) -> Any:
    return RequestConfiguration(query_parameters=MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(**values))


def test_a_list_is_followed_page_by_page(tenant: Tenant, person: Person) -> None:
    deliver(tenant, 7)
    subjects: list[str] = []

    def take(item: Any) -> bool:
        subjects.append(item.subject)
        return True

    async def converse() -> None:
        client = user(person)
        inbox = client.me.mail_folders.by_mail_folder_id("inbox")
        page = await inbox.messages.get(query(top=3, select=["id", "subject"], orderby=["receivedDateTime desc"]))
        assert len(page.value) == 3
        assert page.odata_next_link.startswith("https://graph.microsoft.com/v1.0/")
        await PageIterator(page, client.request_adapter).iterate(take)

    run(converse())
    assert subjects == [f"number {n}" for n in reversed(range(7))]


def test_a_list_is_filtered_and_sorted(tenant: Tenant, person: Person) -> None:
    deliver(tenant, 4)

    async def converse() -> list[str]:
        inbox = user(person).me.mail_folders.by_mail_folder_id("inbox").messages
        everything = (await inbox.get(query(orderby=["receivedDateTime asc"]))).value
        await inbox.by_message_id(everything[1].id).patch(Message(is_read=True))
        since = everything[1].received_date_time.isoformat().replace("+00:00", "Z")
        wanted = query(filter=f"receivedDateTime ge {since} and isRead eq false", orderby=["receivedDateTime asc"])
        return [m.subject for m in (await inbox.get(wanted)).value]

    assert run(converse()) == ["number 2", "number 3"]


def test_a_sort_order_without_its_filter_is_an_odata_error(tenant: Tenant, person: Person) -> None:
    wanted = query(filter="isRead eq false", orderby=["receivedDateTime asc"])
    refused = error_of(user(person).me.mail_folders.by_mail_folder_id("inbox").messages.get(wanted))
    assert refused == (400, "InefficientFilter")


def test_a_sent_mail_is_found_by_its_message_id_and_read_back_as_mime(tenant: Tenant, person: Person) -> None:
    async def converse() -> bytes:
        client = user(person)
        await client.me.send_mail.post(new_mail(message("Read me back")))
        sent = client.me.mail_folders.by_mail_folder_id("sentitems").messages
        message_id = tenant.folder(MARY, "sentitems")[0]["message_id"]
        (found,) = (await sent.get(query(filter=f"internetMessageId eq '{message_id}'"))).value
        return bytes(await client.me.messages.by_message_id(found.id).content.get())

    read = email.message_from_bytes(run(converse()))
    assert (read["Subject"], read["To"]) == ("Read me back", CUSTOMER)


def test_an_immutable_id_survives_the_sending(tenant: Tenant, person: Person) -> None:
    async def converse() -> tuple[Any, Any]:
        client = user(person)
        preference = RequestConfiguration()
        preference.headers.add("Prefer", 'IdType="ImmutableId"')
        draft = await client.me.messages.post(message(), preference)
        await client.me.messages.by_message_id(draft.id).send.post()
        return draft, await client.me.messages.by_message_id(draft.id).get(preference)

    draft, sent = run(converse())
    assert (draft.is_draft, sent.is_draft) == (True, False)
    assert (sent.id, sent.internet_message_id) == (draft.id, draft.internet_message_id)


# Shared mailboxes and refusals


def error_of(conversation: Coroutine[Any, Any, Any]) -> tuple[int, str]:
    """Status and code, out of the SDK's own exception."""
    with pytest.raises(ODataError) as refused:
        run(conversation)
    return refused.value.response_status_code, refused.value.error.code


def test_a_mail_from_a_shared_mailbox_lies_in_its_sent_items(tenant: Tenant, person: Person) -> None:
    run(user(person).users.by_user_id(SALES).send_mail.post(new_mail(message())))
    assert arrived(tenant)["From"] == "Contoso Sales <sales@contoso.example>"
    assert len(tenant.folder(SALES, "sentitems")) == 1
    assert tenant.folder(MARY, "sentitems") == []


def test_a_mail_as_a_shared_mailbox_lies_in_the_senders_sent_items(tenant: Tenant, person: Person) -> None:
    run(user(person).me.send_mail.post(new_mail(message(from_=somebody(SALES)))))
    assert arrived(tenant)["From"] == "Contoso Sales <sales@contoso.example>"
    assert len(tenant.folder(MARY, "sentitems")) == 1
    assert tenant.folder(SALES, "sentitems") == []


def test_a_mail_on_behalf_of_a_shared_mailbox_names_both(tenant: Tenant, person: Person) -> None:
    run(user(person, TOM).me.send_mail.post(new_mail(message(from_=somebody(SALES)))))
    got = arrived(tenant)
    assert (got["From"], got["Sender"]) == ("Contoso Sales <sales@contoso.example>", "Tom Thumb <tom@contoso.example>")


def test_who_may_not_send_as_somebody_is_told_so(tenant: Tenant, person: Person) -> None:
    refused = error_of(user(person, TOM).me.send_mail.post(new_mail(message(from_=somebody(MARY)))))
    assert refused == (403, "ErrorSendAsDenied")
    assert tenant.outside() == []


def test_who_may_not_read_a_mailbox_is_told_so(person: Person) -> None:
    assert error_of(user(person, TOM).users.by_user_id(MARY).messages.get()) == (403, "ErrorAccessDenied")


def test_a_large_file_does_not_go_into_a_shared_mailbox_by_a_delegated_token(person: Person) -> None:
    client = for_uploads(person)
    upload = large_draft(client.users.by_user_id(SALES).messages, client.request_adapter)
    assert error_of(upload) == (403, "ErrorAccessDenied")


def test_a_header_that_graph_does_not_take_is_an_odata_error(person: Person) -> None:
    headers = [InternetMessageHeader(name="List-Unsubscribe", value="<mailto:x@y.example>")]
    refused = error_of(user(person).me.send_mail.post(new_mail(message(internet_message_headers=headers))))
    assert refused == (400, "InvalidInternetMessageHeader")


def test_an_unknown_mailbox_is_an_odata_error(tenant: Tenant) -> None:
    refused = error_of(application().users.by_user_id("nobody@contoso.example").messages.get())
    assert refused == (404, "ErrorInvalidUser")


def test_a_revoked_access_token_is_an_odata_error(tenant: Tenant, person: Person) -> None:
    async def converse() -> None:
        client = user(person)
        await client.me.get()
        tenant.control("POST", f"/accounts/{MARY}/revoke", {"access_tokens": True})
        await client.me.messages.get()

    assert error_of(converse()) == (401, "InvalidAuthenticationToken")


def test_the_sdk_waits_as_long_as_graph_asks_for(tenant: Tenant, person: Person) -> None:
    tenant.fault({"kind": "answer", "status": 429, "retry_after": 1}, match={"operation": "list"})
    assert run(user(person).me.messages.get()).value == []
    asked = [r for r in tenant.control("GET", "/requests") if r["operation"] == "list"]
    assert [r["status"] for r in asked] == [429, 200]
    first, second = (datetime.fromisoformat(r["at"]) for r in asked)
    assert second - first >= timedelta(seconds=1)
