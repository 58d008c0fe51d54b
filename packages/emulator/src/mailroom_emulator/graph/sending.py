"""Who may send as whom, what a mail must have, and what becomes of it (facts 1.1, 1.5 to 1.8)."""

import base64
import binascii
import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from mailroom_emulator import mime, transport, wire
from mailroom_emulator.content import Address, Content
from mailroom_emulator.corruption import corrupt
from mailroom_emulator.graph.call import Call
from mailroom_emulator.graph.errors import GraphError, access_denied, bad_request, invalid_recipients, send_as_denied
from mailroom_emulator.mailbox import Mailbox, StoredMessage
from mailroom_emulator.tenant import Account, Realm, Right

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

INTERNET_HEADERS = "String {00020386-0000-0000-C000-000000000046} Name "
"""PS_INTERNET_HEADERS: what Exchange keeps a header as that it has no other place for (openspecs ms-oxcmail d296c8c5)."""
_BASE64_SPACE = re.compile(rb"\s+")


def content_from_mime(call: Call, body: bytes) -> Content:
    """The mail of a request with `Content-Type: text/plain`: standard base64 of MIME, line breaks allowed."""
    try:
        raw = base64.b64decode(_BASE64_SPACE.sub(b"", body), validate=True)
    except binascii.Error as error:
        raise _bad_base64() from error
    if not raw.strip():
        raise _bad_base64()
    emulator = call.emulator
    if emulator.switches.corrupt_bad_mime:
        raw = corrupt(raw)
    content = mime.read_headers(raw, emulator.clock.now())
    if not content.message_id or emulator.switches.message_id == "replaced_at_creation":
        content = replace(content, message_id=new_message_id(emulator, call.account))
    return replace(content, mime=emulator.blobs.keep(raw))


def _bad_base64() -> GraphError:
    return bad_request("Invalid base64 string for MIME content.", "ErrorMimeContentInvalidBase64String")


def new_message_id(emulator: "Emulator", account: Account) -> str:
    return wire.new_message_id("outlook.com" if account.realm is Realm.CONSUMERS else emulator.tenant.domain)


def authorise_sender(call: Call, content: Content) -> Content:
    """The content with From and Sender as Exchange sets them; raises 403 when the right is missing."""
    emulator, tenant = call.emulator, call.emulator.tenant
    given = content.from_ if content.from_ and content.from_.address else Address(call.account.name, call.account.upn)
    owner = tenant.account(given.address)
    if owner is None:
        raise send_as_denied()
    address = given.address if emulator.switches.alias_from else owner.upn
    name = owner.name if emulator.switches.from_name == "directory" else given.name or owner.name
    author = Address(name, address)
    actor = call.user or call.account
    if owner.oid == actor.oid:
        return replace(content, from_=author, sender=author)
    if call.user is not None and "Mail.Send.Shared" not in call.claims.permissions:
        raise access_denied()
    if actor.may(Right.SEND_AS, owner):
        return replace(content, from_=author, sender=author)
    if actor.may(Right.SEND_ON_BEHALF, owner):
        return replace(content, from_=author, sender=Address(actor.name, actor.upn))
    raise send_as_denied()


def check_recipients(content: Content, account: Account) -> None:
    everyone = content.recipients()
    bad = [a for a in everyone if not a.valid]
    if not [a for a in everyone if a.valid]:
        raise invalid_recipients("A message can't be sent because it contains no recipients.")
    if bad:
        who = bad[0].address or bad[0].name
        raise invalid_recipients(f"Recipient '{who}' is not resolved. All recipients must be resolved before a message can be submitted.")
    if len(everyone) > account.recipient_limit:
        raise GraphError(
            400,
            "ErrorInvalidRecipients",
            f"The message has {len(everyone)} recipients; the limit of this mailbox is {account.recipient_limit}.",
        )


def _count_recipients(call: Call, content: Content) -> None:
    limits, switches = call.emulator.limits, call.emulator.switches
    if switches.throttling and not limits.recipients(call.account.oid, len(content.recipients())):
        raise GraphError(
            429,
            "ErrorExceededMessageLimit",
            "Daily Message/Recipient limit exceeded. Follow the instructions in your Inbox to verify your account.",
        )


def check_size(content: Content, account: Account) -> None:
    """Exchange counts the encoded size (facts 1.2)."""
    if wire.show(content).size > account.max_message_size:
        raise GraphError(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size., Cannot submit message.")


def prepare(call: Call, content: Content) -> Content:
    """Everything that Graph checks before 202, and the mail as it will leave."""
    content = authorise_sender(call, content)
    check_recipients(content, call.account)
    check_size(content, call.account)
    _count_recipients(call, content)
    return _as_it_leaves(call, content)


def _as_it_leaves(call: Call, content: Content) -> Content:
    """Exchange writes the mail anew: own Message-ID or not, own From, headers that survive."""
    emulator = call.emulator
    content = replace(content, date=emulator.clock.now())
    consumer = call.account.realm is Realm.CONSUMERS
    original = content.message_id
    if consumer or emulator.switches.message_id == "replaced_on_send":
        content = replace(content, message_id=new_message_id(emulator, call.account))
    if consumer:
        content = replace(content, headers=(*content.headers, ("X-Microsoft-Original-Message-ID", original)))
    if content.mime is None:
        return content
    raw = wire.as_sent(content.mime.read(), content, emulator.switches, call.mailbox.primed)
    if consumer:
        raw = f"X-Microsoft-Original-Message-ID: {original}\r\n".encode() + raw
    survived = mime.read_headers(raw, content.date)
    return replace(
        content,
        mime=emulator.blobs.keep(raw),
        headers=survived.headers,
        in_reply_to=survived.in_reply_to,
        references=survived.references,
    )


def send_new(call: Call, content: Content, *, save: bool) -> None:
    """sendMail: no draft that anyone sees."""
    content = prepare(call, content)
    emulator = call.emulator
    if (save or _must_copy(call, content)) and not call.effects.sent_copy_missing:
        emulator.agenda.later(_sent_lag(call), lambda: _store_sent(emulator, call.mailbox, content))
    _copy_to_represented(call, content)
    transport.deliver(emulator, call.account, content)


def send_draft(call: Call, message: StoredMessage) -> None:
    """`/send`: the draft vanishes and comes back in Sent Items, with another default id."""
    content = prepare(call, message.content)
    emulator, mailbox = call.emulator, call.mailbox
    mailbox.take_out(message)
    if not emulator.switches.immutable_id_survives_send or call.effects.new_immutable_id:
        mailbox.renew_immutable_id(message)

    def settle() -> None:
        sent, now = mailbox.well_known("sentitems"), emulator.clock.now()
        mailbox.put_back(message, sent, now, content=content, is_draft=False, is_read=True, received=now)

    if not call.effects.sent_copy_missing:
        emulator.agenda.later(_sent_lag(call), settle)
    _copy_to_represented(call, content)
    transport.deliver(emulator, call.account, content)


def _sent_lag(call: Call) -> timedelta:
    """Emulated time until the copy is seen in Sent Items."""
    return max(call.effects.sent_copy_lag, timedelta(seconds=call.emulator.switches.sent_lag_seconds))


def _store_sent(emulator: "Emulator", mailbox: Mailbox, content: Content) -> None:
    mailbox.create(content, mailbox.well_known("sentitems"), emulator.clock.now(), is_draft=False, is_read=True)


def _represented(call: Call, content: Content) -> Account | None:
    owner = call.emulator.tenant.account(content.from_.address) if content.from_ else None
    return owner if owner is not None and owner.oid != call.account.oid else None


def _must_copy(call: Call, content: Content) -> bool:
    """MessageCopyForSentAsEnabled of the mailbox itself overrides saveToSentItems=false (facts 1.6)."""
    return _represented(call, content) is None and not call.own and call.account.copy_for_sent_as


def _copy_to_represented(call: Call, content: Content) -> None:
    owner = _represented(call, content)
    if owner is None or not owner.licensed:
        return
    on_behalf = content.sender != content.from_
    if owner.copy_for_send_on_behalf if on_behalf else owner.copy_for_sent_as:
        _store_sent(call.emulator, call.emulator.mailbox(owner), content)


def with_transmittable_properties(content: Content, properties: dict[str, str]) -> Content:
    """PidTagListUnsubscribe (0x1045) of a JSON message becomes the header (redaxo/core#6590)."""
    for name, value in properties.items():
        if name.lower().endswith("0x1045"):
            return replace(content, headers=(*content.headers, ("List-Unsubscribe", value)))
    return content


def named_properties(call: Call, content: Content) -> dict[str, str]:
    """The X-headers of MIME as extended properties, as far as they survive."""
    survive = ((name.lower(), value) for name, value in content.headers if name.lower().startswith("x-"))
    emulator, primed = call.emulator, call.mailbox.primed
    return {INTERNET_HEADERS + name: value.strip() for name, value in survive if wire.survives(name, emulator.switches, primed)}


def headers_named(properties: dict[str, str]) -> set[str]:
    """The headers that extended properties stand for, in lower case."""
    head = INTERNET_HEADERS.lower()
    return {name.lower().removeprefix(head) for name in properties if name.lower().startswith(head)}
