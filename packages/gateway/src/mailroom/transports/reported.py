"""A mail that did not arrive, as the Odoo that wrote it is told: by a report of our own (RFC 3464), one for each who was not reached.

What comes back names the mail by the id that its provider gave it, or only in words, and may be about many. A stock Odoo reads the
first recipient, and finds its mail by the Message-ID of the returned head (`_message_parse_extract_bounce` in
addons/mail/models/mail_thread.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mailroom.ports import ANSWERS, Job, Message, Store
from mailroom.transports.handed import Handed, decision_on
from mailroom_core.errors import MimeError
from mailroom_core.inbound import ReportedRecipient
from mailroom_core.mime.bounce import read_report
from mailroom_core.mime.dsn import Report, dsn
from mailroom_core.mime.headers import field, text_field
from mailroom_core.mime.incoming import read_head_of
from mailroom_core.mime.index import index
from mailroom_core.mime.source import InMemory, Streamed
from mailroom_core.model import DeliveryId, Reply, show_id
from mailroom_core.policy.addresses import domain_of, normalize
from mailroom_core.policy.bounces import judge, reply_of
from mailroom_core.policy.decision import Verdict


def reports(job: Job, store: Store) -> Mapping[DeliveryId, Handed]:
    """For each delivery, if the mail came as a report about one of ours that is known still; else nothing. Blocking. Raises StoreError."""
    decision = decision_on(job, store)
    if decision is None or decision.data.get("verdict") != Verdict.BOUNCE.name:
        return {}
    name = decision.data.get(ANSWERS, "")
    about = store.sent_as([name]).get(name) if name else None
    if about is None:
        return {}
    try:
        said = dict(_said(job))
        return {delivery: _written(job, delivery, address, about, said) for delivery, address in job.recipients.items()}
    except MimeError:
        return {}


def _said(job: Job) -> Iterator[tuple[str, ReportedRecipient]]:
    """Raises MimeError."""
    report = read_report(job.source, index(job.source), read_head_of(job.source))
    for each in report.failures if report else ():
        yield normalize(each.address), each


def _written(job: Job, delivery: DeliveryId, address: str, about: Message, said: Mapping[str, ReportedRecipient]) -> Handed:
    """The same bytes at each try. Raises MimeError."""
    host = domain_of(about.header_from) or "mailroom.invalid"
    to = about.sender or about.header_from
    failed = said.get(normalize(address)) or next(iter(said.values()), None)
    reply = reply_of(failed, judge(failed)) if failed else Reply(550, "it did not arrive")
    original = field("From", about.header_from) + text_field("Subject", about.subject) + field("Message-ID", about.header_message_id)
    raw = dsn(
        reports=[Report(address, reply)],
        original=original,
        arrived=about.accepted_at,
        reporting_mta=host,
        from_address=f"MAILER-DAEMON@{host}",
        to=to,
        message_id=f"<{show_id(delivery)}@mailroom.invalid>",
        now=job.message.accepted_at,
    )
    return Handed(read_head_of(InMemory(raw)), Streamed(len(raw), lambda: iter((raw,))), (to,), about, {})
