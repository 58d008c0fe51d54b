"""Clients of `msgraph-sdk` as its documents make them, and the objects that it wants."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import Any

import pytest
from azure.identity import ClientSecretCredential, DeviceCodeCredential
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

from tests.clients.mails import CUSTOMER
from tests.clients.person import MARY, Person
from tests.emulator.client import CONFIDENTIAL, PUBLIC, SECRET, TENANT_ID

SCOPES = ["User.Read", "Mail.Send", "Mail.ReadWrite", "Mail.Send.Shared", "Mail.ReadWrite.Shared"]


def run(conversation: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(conversation)


def error_of(conversation: Coroutine[Any, Any, Any]) -> tuple[int, str]:
    """Status and code, out of the SDK's own exception."""
    with pytest.raises(ODataError) as refused:
        run(conversation)
    return refused.value.response_status_code, refused.value.error.code


def application() -> Any:
    return GraphServiceClient(ClientSecretCredential(TENANT_ID, CONFIDENTIAL, SECRET))


def user(person: Person, who: str = MARY) -> Any:
    """The client of a person who signs in on another device, whenever the SDK asks."""
    return GraphServiceClient(_credential(person, who), SCOPES)


def for_uploads(person: Person) -> Any:
    """Mary's client, which keeps her token from the upload host; by default the SDK sends it to every host."""
    provider = AzureIdentityAuthenticationProvider(_credential(person, MARY), scopes=SCOPES, allowed_hosts=["graph.microsoft.com"])
    return GraphServiceClient(request_adapter=GraphRequestAdapter(provider))


def _credential(person: Person, who: str) -> Any:
    def prompt(uri: str, user_code: str, expires: datetime) -> None:
        person.sign_in_for_a_device(uri, user_code, who)

    return DeviceCodeCredential(PUBLIC, tenant_id=TENANT_ID, prompt_callback=prompt)


def message(subject: str = "Hello", **more: Any) -> Any:
    body = ItemBody(content_type=BodyType.Html, content="<p>A body</p>")
    return Message(subject=subject, body=body, to_recipients=[somebody(CUSTOMER)], **more)


def somebody(address: str) -> Any:
    return Recipient(email_address=EmailAddress(address=address))


def new_mail(content: Any, save: bool = True) -> Any:
    return SendMailPostRequestBody(message=content, save_to_sent_items=save)
