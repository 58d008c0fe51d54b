"""Mail about mail: delivery reports (RFC 3464, RFC 6533), spam complaints (RFC 5965), read receipts (RFC 8098), Exchange's NDRs,
and what other servers write in words.

`read_report` says what a mail reports, or None: then it is a mail like any other. It judges nothing: what a failure means is the
business of `policy.bounces`. A report in an attached message is somebody's attachment, and no report.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace

from mailroom_core.inbound import Action, Automatic, Head, Original, Report, ReportedRecipient, ReportKind, spelling
from mailroom_core.mime.bounce_words import failures_in, said_about
from mailroom_core.mime.headers import Fields, addresses
from mailroom_core.mime.html_text import html_text
from mailroom_core.mime.incoming import head, message_ids
from mailroom_core.mime.index import Part, decoded, read_head
from mailroom_core.mime.source import ReadAt
from mailroom_core.mime.texts import text_of
from mailroom_core.mime.words import clean

MOST_STATUS = 256 * 1024
MOST_TEXT = 64 * 1024
MOST_RECIPIENTS = 1000
ATTEMPT_HEADER = "x-mailroom-attempt"
_ID_FIELDS = ("Message-ID", "X-Microsoft-Original-Message-ID", "X-Original-Message-ID")

_STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_HEAD_TYPES = frozenset({"text/rfc822-headers", "text/rfc822-header", "message/global-headers"})
_MESSAGE_TYPES = frozenset({"message/rfc822", "message/global"})
_BLANK_LINE = re.compile(rb"\r?\n[ \t]*\r?\n")
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_ESCAPED = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")  # RFC 6533 3
_DAEMON = re.compile(
    r"mailer-?daemon|mail-?daemon|post_?master|mdaemon|mail\.?deliver.*|microsoftexchange[0-9a-f]{16,}|bounces?|daemon", re.IGNORECASE
)
_UNDELIVERED = re.compile(
    "|".join(
        (
            r"undeliver", r"non[- ]?deliver", r"not delivered", r"(could|can)( ?not| ?n[o']t) be (delivered|sent)", r"failure notice",
            r"return to sender", r"unable to deliver", r"deliver\w* (status notification|fail|has failed|problem|error|warn|delayed)",
            r"mail (delivery|failure|failed|(system )?error)", r"address error", r"fail(ed|ure) (mail|to deliver)",
            r"returned (e?mail|to sender)", r"user unknown", r"bounced?\b", r"warning: (could not send|message)", r"unzustellbar",
            r"nicht zugestellt", r"zustellung fehlgeschlagen", r"mailzustellung", r"non remis", r"échec de la remise",
            r"no se puede entregar", r"no entregado", r"mancato recapito", r"impossibile recapitare", r"onbestelbaar", r"niet bezorgd",
            r"não entregue", r"nie można dostarczyć", r"ikke leveret", r"ei voitu toimittaa", r"не ?доставлен",
        )
    ),
    re.IGNORECASE,
)  # fmt: skip


def read_report(source: ReadAt, root: Part, mail: Head) -> Report | None:
    """What a received mail reports about mail of ours; None if it is no report."""
    parts = list(_outside_messages(root))
    report: Report | None = None
    if receipt := _first(parts, {"message/disposition-notification"}):
        report = _receipt(source, receipt, parts)
    elif complaint := _first(parts, {"message/feedback-report"}):
        report = _complaint(source, complaint, parts)
    elif mail.subject.startswith(_JUNK_MAIL_REPORT):
        report = _junk_mail_report(source, parts)
    elif (status := _first(parts, _STATUS_TYPES)) and _is_from_a_system(root, mail):
        report = _standard(source, status, parts)
    elif mail.report_type == "disposition-notification":
        report = Report(ReportKind.RECEIPT, (), Original())
    report = report or _informal(source, root, parts, mail)
    if report is None:
        return _wrapped(source, parts, mail)
    return _completed(source, report, parts, mail)


def _first(parts: list[Part], types: Collection[str]) -> Part | None:
    return next((part for part in parts if part.content_type in types), None)


def _wrapped(source: ReadAt, parts: list[Part], mail: Head) -> Report | None:
    """A report that a server on its way has packed up, to write something below it."""
    if not looks_like_a_system(mail) or not _UNDELIVERED.search(mail.subject):
        return None
    for part in parts:
        inner = part.parts[0] if part.content_type in _MESSAGE_TYPES and part.parts else None
        if inner is not None and inner.content_type == "multipart/report":
            report = read_report(source, inner, head(read_head(source, inner)))
            return replace(report, sent_to=_sent_to(mail)) if report else None
    return None


def _outside_messages(part: Part) -> Iterator[Part]:
    """The parts of a mail without those of the messages in it."""
    yield part
    if part.content_type not in _MESSAGE_TYPES:
        for child in part.parts:
            yield from _outside_messages(child)


def _is_from_a_system(root: Part, mail: Head) -> bool:
    """Not a person who passes on the parts of a report."""
    return root.content_type == "multipart/report" or looks_like_a_system(mail)


def looks_like_a_system(mail: Head) -> bool:
    """Whether a mail server wrote it, by its sender; who answers automatically looks the same otherwise."""
    return mail.return_path == "" or _is_a_system(mail.sender)


def may_be_a_report(sender: str, subject: str) -> bool:
    """Whether a mail is worth reading where only reports are looked for, by what a list of mails shows."""
    return _is_a_system(sender) or _UNDELIVERED.search(subject[:500]) is not None


def _is_a_system(sender: str) -> bool:
    return not sender or _DAEMON.fullmatch(sender.rpartition("@")[0]) is not None


def _completed(source: ReadAt, report: Report, parts: list[Part], mail: Head) -> Report:
    return replace(
        report,
        original=_joined(report.original, _original(source, parts, mail)),
        sent_to=_sent_to(mail),
        text=report.text or _words(source, parts)[:2000],
    )


def _sent_to(mail: Head) -> tuple[str, ...]:
    return (*mail.delivered_to, *(address for _, address in mail.to))


def _joined(one: Original, other: Original) -> Original:
    return Original(
        ids=tuple(dict.fromkeys((*one.ids, *other.ids))),
        recipients=one.recipients or other.recipients,
        marker=one.marker or other.marker,
        envelope_id=one.envelope_id or other.envelope_id,
        subject=one.subject or other.subject,
    )


# RFC 3464 and RFC 6533


def _standard(source: ReadAt, status: Part, parts: list[Part]) -> Report | None:
    """None if it names no recipient: then its words may."""
    about_mail, recipients = Fields(b""), []
    for group in _groups(decoded(source, status, 0, MOST_STATUS)):
        if "Final-Recipient" in group or "Original-Recipient" in group or "Action" in group:
            recipients.append(_recipient(group))
        elif "Reporting-MTA" in group or "Original-Envelope-Id" in group or not about_mail.end:
            about_mail = group
    if not recipients:
        return None
    if not all(each.diagnostic for each in recipients):
        words = _words(source, parts)
        recipients = [each if each.diagnostic else replace(each, diagnostic=said_about(words, each.address)) for each in recipients]
    return Report(
        ReportKind.STANDARD,
        _each_once(recipients),
        Original(
            ids=message_ids(about_mail.unfolded("X-Original-Message-ID") or ""),  # Gmail's
            envelope_id=(about_mail.unfolded("Original-Envelope-Id") or "").strip()[:100],
        ),
        reporting_mta=_typed(about_mail.unfolded("Reporting-MTA") or "")[:255],
    )


def _groups(raw: bytes) -> Iterator[Fields]:
    for group in _BLANK_LINE.split(raw)[: MOST_RECIPIENTS + 1]:
        if group.strip():
            yield Fields(group.lstrip(b"\r\n"))


def _recipient(group: Fields) -> ReportedRecipient:
    final = _address(group.unfolded("Final-Recipient") or "")
    original = _address(group.unfolded("Original-Recipient") or "")
    diagnostic = _typed(group.get("Diagnostic-Code") or "")[:1000]
    found = _STATUS.search(group.unfolded("Status") or "") or _STATUS.search(diagnostic)
    status = found[1] if found else ""
    address = original if "@" in original else final
    return ReportedRecipient(
        address=address,
        action=_action(group.unfolded("Action") or "", status),
        status=status,
        diagnostic=diagnostic,
        final_address=final if spelling(final) != spelling(address) else "",
        remote_mta=_typed(group.unfolded("Remote-MTA") or "")[:255],
    )


def _action(said: str, status: str) -> Action:
    word = re.match(r"[a-z]*", said.strip().lower())
    for action in Action:
        if word is not None and word[0] == action.value:
            return action
    return Action.DELAYED if status.startswith("4") else Action.DELIVERED if status.startswith("2") else Action.FAILED


def _typed(value: str) -> str:
    """What stands behind the type: `smtp; 550 no` is `550 no`."""
    head, semicolon, rest = value.partition(";")
    return clean(rest if semicolon and re.fullmatch(r"\s*[\w-]+\s*", head) else value).strip()


def _address(value: str) -> str:
    text = _ESCAPED.sub(lambda match: _char(match[1]), _typed(value))
    found = addresses(text)
    return found[0][1] if found else text.strip(" <>")[:320]


def _char(digits: str) -> str:
    number = int(digits, 16)
    return chr(number) if 0x20 <= number < 0x110000 and not 0xD800 <= number < 0xE000 else ""


def _each_once(found: list[ReportedRecipient]) -> tuple[ReportedRecipient, ...]:
    once: dict[str, ReportedRecipient] = {}
    for each in found:
        once.setdefault(spelling(each.address), each)
    return tuple(once.values())[:MOST_RECIPIENTS]


# RFC 5965


def _complaint(source: ReadAt, part: Part, parts: list[Part]) -> Report:
    """`not-spam`, `auth-failure` and `opt-out` are none, so they have no recipients."""
    fields = Fields(decoded(source, part, 0, MOST_STATUS).lstrip(b"\r\n"))
    kind = (fields.unfolded("Feedback-Type") or "abuse").strip().lower()
    if kind not in ("abuse", "fraud", "virus", "other", "miscategorized"):
        return Report(ReportKind.COMPLAINT, (), Original())
    named = [_address(value) for name in ("Original-Rcpt-To", "Removal-Recipient") for value in fields.all(name)]
    if not named:
        named = list(_original(source, parts, Head()).recipients[:1]) or [""]
    who = (fields.unfolded("User-Agent") or "").strip()[:100]
    recipients = [
        ReportedRecipient(address, Action.COMPLAINED, diagnostic=f"{kind}, reported by {who}" if who else kind) for address in named
    ]
    return Report(
        ReportKind.COMPLAINT, _each_once(recipients), Original(), reporting_mta=_typed(fields.unfolded("Reporting-MTA") or "")[:255]
    )


_JUNK_MAIL_REPORT = "complaint about message from "


def _junk_mail_report(source: ReadAt, parts: list[Part]) -> Report | None:
    """Outlook.com's program of that name does not follow RFC 5965: the mail comes back, with a field that says to whom it was sent."""
    fields = _returned_head(source, parts)
    named = [address for _, address in fields.addresses("X-HmXmrOriginalRecipient")]
    recipients = [ReportedRecipient(address, Action.COMPLAINED, diagnostic="abuse, reported by Outlook.com") for address in named]
    return Report(ReportKind.COMPLAINT, _each_once(recipients), Original()) if recipients else None


# RFC 8098


def _receipt(source: ReadAt, part: Part, parts: list[Part]) -> Report:
    """A receipt fails nobody, unless a Sieve filter rejects a mail with it (RFC 5429 2.2.1)."""
    fields = Fields(decoded(source, part, 0, MOST_STATUS).lstrip(b"\r\n"))
    recipient = _address(fields.unfolded("Final-Recipient") or "")
    original = Original(ids=message_ids(fields.unfolded("Original-Message-ID") or ""), recipients=(recipient,) if recipient else ())
    disposition = "".join((fields.unfolded("Disposition") or "").lower().split())
    words = _words(source, parts)
    if (
        disposition.startswith("automatic-action/")
        and disposition.endswith(";deleted")
        and re.search(r"reject|refused", words, re.IGNORECASE)
    ):
        return Report(
            ReportKind.INFORMAL, (ReportedRecipient(recipient, Action.FAILED, diagnostic=" ".join(words.split())[:500]),), original
        )
    return Report(ReportKind.RECEIPT, (), original)


# In words


def _informal(source: ReadAt, root: Part, parts: list[Part], mail: Head) -> Report | None:
    """Only where a system writes, or the subject says that something was not delivered, and no person and no absence note does."""
    fields = read_head(source, root)
    failed = [address for _, address in fields.addresses("X-Failed-Recipients")]  # Exim's
    is_ndr = "X-MS-Exchange-Message-Is-Ndr" in fields
    if not (failed or is_ndr):
        by_subject = _UNDELIVERED.search(mail.subject) is not None
        by_system = looks_like_a_system(mail)
        if not by_subject and (not by_system or mail.automatic is Automatic.REPLY):
            return None
        if not by_system and (mail.ids or mail.automatic is not Automatic.NO):
            return None
    words = _words(source, parts)
    # The To of an NDR, as Graph shows it, is the recipient that failed (msgraph-sdk-java#807).
    own = {spelling(address) for _, address in (*mail.from_, *mail.reply_to, *(() if is_ndr else mail.to))}
    found = failures_in(words, own, failed)
    if not found:
        return None
    kind = ReportKind.EXCHANGE if is_ndr else ReportKind.INFORMAL
    return Report(kind, _each_once(found), _original_in_words(words), text=words[:2000])


def _words(source: ReadAt, parts: list[Part]) -> str:
    """The text of a report, in lines."""
    texts = [part for part in parts if part.content_type in ("text/plain", "text/html") and part.content is not None]
    if not texts and parts[0].content is not None and parts[0].content_type.startswith("multipart/"):
        return text_of(source, parts[0], MOST_TEXT)  # its boundaries are lost, or it names none
    plain = [part for part in texts if part.content_type == "text/plain"]
    shown = [text_of(source, part, MOST_TEXT) for part in plain[:3]]
    if not any(text.strip() for text in shown):
        shown = [html_text(text_of(source, part, MOST_TEXT)) for part in texts if part not in plain][:1]
    return "\n".join(shown)


_RETURNED_ID = re.compile(r"^[> \t]*(?:Message-ID|X-Microsoft-Original-Message-ID):\s*(<[^<>\s]{1,500}>)", re.IGNORECASE | re.MULTILINE)
_RETURNED_MARKER = re.compile(rf"^[> \t]*{ATTEMPT_HEADER}:\s*(\S{{1,64}})", re.IGNORECASE | re.MULTILINE)


def _original_in_words(words: str) -> Original:
    marker = _RETURNED_MARKER.search(words)
    return Original(ids=tuple(dict.fromkeys(_RETURNED_ID.findall(words)[:10])), marker=marker[1] if marker else "")


# The mail that it is about


def _original(source: ReadAt, parts: list[Part], mail: Head) -> Original:
    fields = _returned_head(source, parts)
    returned = [each for name in _ID_FIELDS for each in message_ids(fields.unfolded(name) or "")]
    return Original(
        ids=tuple(dict.fromkeys((*returned, *mail.ids))),
        recipients=tuple(address for _, address in fields.addresses("To")[:100]),
        marker=(fields.unfolded(ATTEMPT_HEADER) or "").strip()[:64],
        subject=(fields.get("Subject") or "")[:500],
    )


def _returned_head(source: ReadAt, parts: list[Part]) -> Fields:
    for part in parts:
        if part.content_type in _MESSAGE_TYPES and part.parts:
            return read_head(source, part.parts[0])
        if part.content_type in _HEAD_TYPES or part.content_type in _MESSAGE_TYPES:
            return Fields(decoded(source, part, 0, MOST_STATUS).lstrip(b"\r\n"))
    return Fields(b"")
