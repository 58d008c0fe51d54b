"""What happens after 202: delivery to each recipient, inside the tenant or out of it."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from mailroom_emulator import mime, wire
from mailroom_emulator.blobs import Rope
from mailroom_emulator.content import Content
from mailroom_emulator.mailbox import Mailbox, StoredMessage
from mailroom_emulator.tenant import Account

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator


def deliver(emulator: "Emulator", sender: Account, content: Content) -> None:
    """Bring a sent mail to all its recipients, each by its own way."""
    lag = timedelta(seconds=emulator.switches.delivery_lag_seconds)
    envelope_from = content.from_.address if content.from_ else sender.upn
    for recipient in content.recipients():
        emulator.agenda.later(lag, lambda to=recipient.address: _arrive(emulator, sender, envelope_from, to, content))  # type: ignore[misc]


def _arrive(emulator: "Emulator", sender: Account, envelope_from: str, to: str, content: Content) -> None:
    account = emulator.tenant.account(to)
    now = emulator.clock.now()
    if account is not None and account.licensed:
        put_into_inbox(emulator, emulator.mailbox(account), replace(content, bcc=()), wire.without_bcc(content))
    else:
        raw = wire.without_bcc(content)
        emulator.outside.receive(to, envelope_from, sender.upn, content.message_id, content.subject, now, raw)


def put_into_inbox(emulator: "Emulator", mailbox: Mailbox, content: Content, raw: Rope | None = None) -> StoredMessage:
    """Store a delivered mail; one given as MIME is kept as it came over the wire."""
    if content.mime is not None and raw is not None:
        content = replace(content, mime=emulator.blobs.keep(raw.read()))
    return mailbox.create(
        content,
        mailbox.well_known("inbox"),
        emulator.clock.now(),
        is_draft=False,
        is_read=False,
        conversation_by_subject=emulator.switches.conversation_by_subject,
    )


def receive_mime(emulator: "Emulator", account: Account, raw: bytes) -> str:
    """A mail from outside arrives; says under which default id it lies in the Inbox."""
    mailbox = emulator.mailbox(account)
    now = emulator.clock.now()
    content = mime.read_headers(raw, now)
    content = replace(content, mime=emulator.blobs.keep(raw))
    if not content.message_id:
        content = replace(content, message_id=wire.new_message_id(emulator.tenant.domain))
    return put_into_inbox(emulator, mailbox, content).id
