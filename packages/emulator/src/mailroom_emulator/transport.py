"""What happens after 202: delivery to each recipient, inside the tenant or out of it, and reports on failures."""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from mailroom_emulator import mime, ndr, wire
from mailroom_emulator.blobs import Rope
from mailroom_emulator.content import Content
from mailroom_emulator.mailbox import Mailbox, StoredMessage
from mailroom_emulator.tenant import Account, Realm

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator


def deliver(emulator: "Emulator", mailbox: Account, content: Content) -> None:
    """Bring a sent mail to all its recipients, after the lag that is set; what fails is reported."""
    lag = timedelta(seconds=emulator.switches.delivery_lag_seconds)
    emulator.agenda.later(lag, lambda: _distribute(emulator, mailbox, content))


def _distribute(emulator: "Emulator", mailbox: Account, content: Content) -> None:
    raw = wire.without_bcc(content)
    open_content = replace(content, bcc=())
    failed: dict[ndr.Reason, list[str]] = defaultdict(list)
    for recipient in content.recipients():
        reason = _bring(emulator, mailbox, open_content, raw, recipient.address)
        if reason is not None:
            failed[reason].append(recipient.address)
    for reason, addresses in failed.items():
        _report(emulator, mailbox, open_content, raw, addresses, reason)


def _bring(emulator: "Emulator", mailbox: Account, content: Content, raw: Rope, to: str) -> ndr.Reason | None:
    """To one recipient; the reason when it fails."""
    account = emulator.tenant.account(to)
    if account is not None and account.licensed:
        put_into_inbox(emulator, emulator.mailbox(account), content, raw)
        return None
    if emulator.tenant.is_ours(to):
        return ndr.NOT_FOUND
    if emulator.switches.throttling and not emulator.limits.external(1, licences(emulator)):
        return ndr.OVER_TENANT_LIMIT
    reason = emulator.bounces.reason(to)
    if reason is None:
        envelope_from = content.sender.address if content.sender else mailbox.upn
        now = emulator.clock.now()
        emulator.outside.receive(to, envelope_from, mailbox.upn, content.message_id, content.subject, now, raw)
    return reason


def _report(emulator: "Emulator", mailbox: Account, content: Content, raw: Rope, addresses: list[str], reason: ndr.Reason) -> None:
    """An NDR to the mailbox of the envelope sender."""
    sender = emulator.tenant.account(content.sender.address) if content.sender else None
    lag = timedelta(seconds=emulator.switches.ndr_lag_seconds)

    def arrive() -> None:
        report = ndr.build(content, raw, addresses, reason, emulator.tenant.domain, emulator.clock.now())
        receive_mime(emulator, sender or mailbox, report)

    emulator.agenda.later(lag, arrive)


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
    """A mail arrives as MIME; says under which default id it lies in the Inbox."""
    mailbox = emulator.mailbox(account)
    content = replace(mime.read_headers(raw, emulator.clock.now()), mime=emulator.blobs.keep(raw))
    if not content.message_id:
        content = replace(content, message_id=wire.new_message_id(emulator.tenant.domain))
    return put_into_inbox(emulator, mailbox, content).id


def licences(emulator: "Emulator") -> int:
    return sum(1 for a in emulator.tenant.in_realm([Realm.ORGANIZATION]) if a.licensed and not a.shared)
