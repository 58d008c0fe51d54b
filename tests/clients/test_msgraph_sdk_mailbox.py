"""Microsoft's `msgraph-sdk`, unmodified: drafts, uploads, lists, what is new, replies, batches, subscriptions."""

from __future__ import annotations

import email
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kiota_abstractions.api_error import APIError
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.models.attachment_item import AttachmentItem
from msgraph.generated.models.attachment_type import AttachmentType
from msgraph.generated.models.exchange_id_format import ExchangeIdFormat
from msgraph.generated.models.message import Message
from msgraph.generated.models.subscription import Subscription
from msgraph.generated.users.item.mail_folders.item.messages.messages_request_builder import MessagesRequestBuilder
from msgraph.generated.users.item.messages.item.attachments.create_upload_session.create_upload_session_post_request_body import (
    CreateUploadSessionPostRequestBody,
)
from msgraph.generated.users.item.messages.item.create_reply.create_reply_post_request_body import CreateReplyPostRequestBody
from msgraph.generated.users.item.translate_exchange_ids.translate_exchange_ids_post_request_body import (
    TranslateExchangeIdsPostRequestBody,
)
from msgraph_core.tasks.large_file_upload import LargeFileUploadTask  # type: ignore[import-untyped]  # has no types
from msgraph_core.tasks.page_iterator import PageIterator  # type: ignore[import-untyped]  # has no types

from tests.clients.mails import BIG, CUSTOMER, MIB, SALES, arrived, deliver, files
from tests.clients.person import MARY, Person
from tests.clients.receiver import Receiver
from tests.clients.sdk import error_of, for_uploads, message, new_mail, run, user
from tests.emulator.client import Tenant, until

pytestmark = pytest.mark.filterwarnings("ignore:This class is deprecated")  # said by the SDK's own generated code


# Drafts and uploads


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
    assert files(arrived(tenant), "big.bin") == [BIG]
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


def test_a_large_file_does_not_go_into_a_shared_mailbox_by_a_delegated_token(person: Person) -> None:
    client = for_uploads(person)
    upload = large_draft(client.users.by_user_id(SALES).messages, client.request_adapter)
    assert error_of(upload) == (403, "ErrorAccessDenied")


# Lists and reading


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


def test_what_is_new_is_told_by_delta(tenant: Tenant, person: Person) -> None:
    deliver(tenant, 2)

    async def converse() -> list[list[str]]:
        delta = user(person).me.mail_folders.by_mail_folder_id("inbox").messages.delta
        before = await delta.get()
        deliver(tenant, 1)
        after = await delta.with_url(before.odata_delta_link).get()
        return [[m.subject for m in page.value] for page in (before, after)]

    first, second = run(converse())
    assert sorted(first) == ["number 0", "number 1"]
    assert second == ["number 0"]


def test_an_id_is_translated_into_its_immutable_form(tenant: Tenant, person: Person) -> None:
    deliver(tenant, 1)

    async def converse() -> Any:
        client = user(person)
        (found,) = (await client.me.messages.get()).value
        body = TranslateExchangeIdsPostRequestBody(
            input_ids=[found.id], source_id_type=ExchangeIdFormat.RestId, target_id_type=ExchangeIdFormat.RestImmutableEntryId
        )
        (translated,) = (await client.me.translate_exchange_ids.post(body)).value
        return await client.me.messages.by_message_id(translated.target_id).get()

    assert run(converse()).subject == "number 0"


def test_a_reply_keeps_the_thread(tenant: Tenant, person: Person) -> None:
    deliver(tenant, 1)

    async def converse() -> None:
        client = user(person)
        (found,) = (await client.me.messages.get()).value
        reply = await client.me.messages.by_message_id(found.id).create_reply.post(CreateReplyPostRequestBody())
        assert reply.conversation_id == found.conversation_id
        await client.me.messages.by_message_id(reply.id).send.post()

    run(converse())
    got = arrived(tenant)
    assert got["Subject"].lower() == "re: number 0"
    assert (got["In-Reply-To"], got["References"]) == ("<0@outside.example>", "<0@outside.example>")


def test_a_subscription_notifies_is_renewed_and_ends(tenant: Tenant, person: Person) -> None:
    soon, later = (datetime.now(UTC).replace(microsecond=0) + timedelta(days=days) for days in (1, 3))

    async def converse(receiver: Receiver) -> None:
        client = user(person)
        subscriptions = client.subscriptions
        wanted = Subscription(
            change_type="created",
            notification_url=receiver.url,
            resource="/me/mailFolders('inbox')/messages",
            expiration_date_time=soon,
            client_state="canary",
        )
        made = await subscriptions.post(wanted)
        deliver(tenant, 1)
        until(lambda: bool(receiver.bodies))
        (told,) = json.loads(receiver.bodies[0])["value"]
        assert (told["subscriptionId"], told["clientState"]) == (made.id, "canary")
        assert (await client.me.messages.by_message_id(told["resourceData"]["id"]).get()).subject == "number 0"
        renewed = await subscriptions.by_subscription_id(made.id).patch(Subscription(expiration_date_time=later))
        assert renewed.expiration_date_time == later
        await subscriptions.by_subscription_id(made.id).delete()
        assert (await subscriptions.get()).value == []

    with Receiver() as receiver:
        run(converse(receiver))
