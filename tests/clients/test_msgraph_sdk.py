"""Microsoft's `msgraph-sdk` with `azure-identity`, unmodified: sign-in, sending, shared mailboxes, refusals."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import AuthorizationCodeCredential, CertificateCredential, ClientSecretCredential, InteractiveBrowserCredential
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgraph import GraphServiceClient
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.generated.models.internet_message_header import InternetMessageHeader
from msgraph.generated.models.o_data_errors.o_data_error import ODataError

from tests.clients.mails import CUSTOMER, SALES, arrived, files, operations
from tests.clients.person import MARY, TOM, Person, query_of
from tests.clients.sdk import SCOPES, application, error_of, message, new_mail, run, somebody, user
from tests.emulator.client import BACK, CONFIDENTIAL, PUBLIC, SECRET, TENANT_ID, Tenant, mime
from tests.emulator.test_sign_in import Certificate

pytestmark = pytest.mark.filterwarnings("ignore:This class is deprecated")  # said by the SDK's own generated code


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
    assert operations(tenant, "token", "getUser") == ["token", "getUser", "token", "getUser"]


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
    assert files(got, "a.txt") == [b"abc"]
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


# Shared mailboxes and refusals


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
