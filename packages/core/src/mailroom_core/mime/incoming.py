"""What a received mail says of itself: its head as a value that a router can judge.

Nothing here is trusted: every field was written by somebody else, and each is cut where no honest mail reaches.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import replace

from mailroom_core.errors import MimeError
from mailroom_core.inbound import LOOP_HEADER, Authentication, AuthenticationResult, Automatic, Head, Mailboxes, unique
from mailroom_core.mime.headers import Fields, addresses
from mailroom_core.mime.index import MAX_HEAD, Part, decoded_pieces
from mailroom_core.mime.params import parameters
from mailroom_core.mime.source import ReadAt

MOST_REFERENCES = 32
MOST_ADDRESSES = 1000
"""In one field; the rest is left out."""
MOST_VALUE = 2000
WITHOUT_ID = "(none)"
"""In the place of an authserv-id: fields that name no server, as those of Exchange Online."""

_ID = re.compile(r"<[^<>]{1,998}>")
_DELIVERED = ("Delivered-To", "X-Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-RCPT-TO")
_FOR = re.compile(r"\bfor\s+<?([^\s<>;()]+@[^\s<>;()]+)>?", re.IGNORECASE)
_LIST = ("List-Id", "List-Post", "List-Archive", "List-Help", "List-Subscribe", "List-Owner", "X-Mailing-List", "X-BeenThere")
_AUTOREPLY = ("X-Autoreply", "X-Autorespond", "X-Auto-Reply", "X-Autoresponder", "X-AutoReply-From", "X-Mail-Autoreply", "Auto-Reply")
# Subjects of absence notes whose head says nothing else; only believed of mail that answers another one.
_ABSENT = re.compile(
    r"(automatic reply|automatische antwort|abwesenheitsnotiz|abwesend|out of (the )?office|réponse automatique|respuesta automática"
    r"|risposta automatica|automatisch antwoord|autosvar|automaattinen vastaus|resposta automática|auto(matic)?[- ]?(reply|response))\b",
    re.IGNORECASE,
)
_RESULT = re.compile(r"([a-z][a-z0-9-]*)(?:/\d+)?\s*=\s*([a-z]+)(.*)", re.IGNORECASE | re.DOTALL)
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PROPERTY = re.compile(rf'([a-z]+\.[a-z0-9_-]+)\s*=\s*((?:{_QUOTED}|[^\s";])+)|{_QUOTED}', re.IGNORECASE | re.DOTALL)
_PIECE = re.compile(rf'{_QUOTED}|[();"]|[^();"\\]+|\\.?', re.DOTALL)
_COMMENT = re.compile(r"\([^()]*\)")
_SIGNED_BY = re.compile(r"(?:^|;)d=([a-z0-9_.-]{1,255})(?:;|$)", re.IGNORECASE)
_NOBODY = re.compile(r"(mailer-daemon|no-?reply|do-?not-?reply|noreply-.*|bounces?([+-].*)?|postmaster|majordomo|listserv)", re.IGNORECASE)


def head(fields: Fields, *, authserv_id: str = "") -> Head:
    """The head of a received mail.

    With `authserv_id`, the topmost Authentication-Results of that server counts, and no other: the server must take away those that
    bear its name when a mail comes in (RFC 8601 5). Empty: none counts.
    """
    content_type, params = parameters(_value(fields, "Content-Type"))
    automatic, why = _automatic(fields)
    found = Head(
        message_id=next(iter(message_ids(_value(fields, "Message-ID"))), ""),
        from_=_mailboxes(fields, "From"),
        reply_to=_mailboxes(fields, "Reply-To"),
        to=_mailboxes(fields, "To"),
        cc=_mailboxes(fields, "Cc"),
        resent=_mailboxes(fields, "Resent-To") + _mailboxes(fields, "Resent-Cc"),
        delivered_to=unique(address for name in _DELIVERED for _, address in _mailboxes(fields, name)),
        received_for=unique(match[1] for value in fields.all("Received")[:MOST_REFERENCES] for match in _FOR.finditer(value[:MOST_VALUE])),
        return_path=_return_path(fields),
        subject=(fields.get("Subject") or "")[:MOST_VALUE],
        date=(fields.get("Date") or "")[:100],
        in_reply_to=message_ids(_value(fields, "In-Reply-To"))[-MOST_REFERENCES:],
        references=message_ids(_value(fields, "References"))[-MOST_REFERENCES:],
        thread_index=thread_of(_value(fields, "Thread-Index")),
        automatic=automatic,
        automatic_why=why,
        hops=len(fields.all("Received")),
        authentication=authentication(fields, authserv_id) if authserv_id else None,
        loop_marks=tuple(mark.strip() for mark in fields.all(LOOP_HEADER)),
        content_type=content_type or "text/plain",
        report_type=params.get("report-type", "").lower(),
        defect=fields.defect,
    )
    return _with_answerable(found, fields)


def read_head_of(source: ReadAt, *, authserv_id: str = "") -> Head:
    """The same from the beginning of a mail. Raises MimeError if its head is larger than anybody's."""
    raw = source.read_at(0, MAX_HEAD)
    fields = Fields(raw)
    if fields.body_start == len(raw) < source.size:
        raise MimeError(f"the head of the mail is larger than {MAX_HEAD} bytes")
    return head(fields, authserv_id=authserv_id)


def message_ids(value: str) -> tuple[str, ...]:
    """All Message-IDs in the value of a field, each once: `<...>` with the blanks of folds taken out; a bare one gets its brackets."""
    found = tuple(dict.fromkeys(re.sub(r"\s", "", match) for match in _ID.findall(value)))
    bare = value.strip()
    if not found and re.fullmatch(r"[^\s<>@]{1,500}@[^\s<>@]{1,400}", bare):
        return (f"<{bare}>",)
    return tuple(each for each in found if each != "<>")


def thread_of(value: str) -> str:
    """The part of a Thread-Index that all mails of a conversation have in common (MS-OXOMSG 2.2.1.3): its first 22 bytes."""
    try:
        raw = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return base64.b64encode(raw[:22]).decode("ascii") if len(raw) >= 22 else ""


def digest(source: ReadAt, root: Part) -> str:
    """A name for the content of a mail, hexadecimal: types and decoded bodies of its parts, whatever their encoding and boundaries are.

    Reads the whole mail, in windows.
    """
    whole = hashlib.sha256()
    for part in root.walk():
        whole.update(part.content_type.encode("utf-8") + b"\0")
        if part.content is not None:
            for piece in decoded_pieces(source, part):
                whole.update(piece)
            whole.update(b"\0")
    return whole.hexdigest()


# Who has authenticated it


def signing_domains(fields: Fields) -> tuple[str, ...]:
    """The domains (`d=`) of the DKIM signatures that the mail bears (RFC 6376 3.5), whether they hold or not."""
    found = (_SIGNED_BY.search("".join(value[: 4 * MOST_VALUE].split())) for value in fields.all_unfolded("DKIM-Signature"))
    return tuple(dict.fromkeys(match[1].lower() for match in found if match))


def authentication(fields: Fields, authserv_id: str) -> Authentication | None:
    """The topmost Authentication-Results (RFC 8601 2.2) of the server with this authserv-id; None if it wrote none.

    Strangers choose words in it: their envelope sender, their HELO. So encoded words stay what they are, quotes are one word, and a field
    of which nobody can say where its comments and quotes end has no results.
    """
    wanted = authserv_id.strip().lower()
    for value in fields.all_unfolded("Authentication-Results"):
        sections = _sections(value)
        first = sections[0] if sections else _COMMENT.sub(" ", value.partition(";")[0])
        server = "" if "=" in first else " ".join(first.split()[:1])
        if (server.lower() or WITHOUT_ID) == wanted:
            return Authentication(server, tuple(result for section in sections if (result := _result(section)) is not None))
    return None


def _sections(value: str) -> list[str]:
    """What stands between semicolons, without comments; nothing where those or quotes have no end, or a comment has quotes in it."""
    sections, depth = [""], 0
    for piece in _PIECE.findall(value) if len(value) <= 4 * MOST_VALUE else ('"',):
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth -= 1
            sections[-1] += " "
        elif piece == ";" and not depth:
            sections.append("")
        elif not depth:
            sections[-1] += piece
        if depth < 0 or piece == '"' or (depth and piece.startswith('"')):
            return []
    return [] if depth else sections


def _result(section: str) -> AuthenticationResult | None:
    match = _RESULT.match(section.strip())
    if match is None:
        return None
    properties: dict[str, str] = {}
    for name, text in _PROPERTY.findall(match[3]):
        properties.setdefault(name.lower(), text[1:-1] if re.fullmatch(_QUOTED, text, re.DOTALL) else text)
    return AuthenticationResult(match[1].lower(), match[2].lower(), properties)


# Who has written it


def _automatic(fields: Fields) -> tuple[Automatic, str]:
    """RFC 3834 5, RFC 2369, RFC 2919, MS-OXCMAIL 2.1.3.2.20 (X-Auto-Response-Suppress), and what older programs write."""
    submitted = parameters(_value(fields, "Auto-Submitted"))[0]
    precedence = _value(fields, "Precedence").strip().lower()
    answers = "In-Reply-To" in fields or "References" in fields
    if submitted == "auto-replied":
        return Automatic.REPLY, f"Auto-Submitted: {submitted}"
    for name in _AUTOREPLY:
        if name in fields and _value(fields, name).strip().lower() not in ("no", "false"):
            return Automatic.REPLY, name
    if precedence in ("auto_reply", "auto-reply"):
        return Automatic.REPLY, f"Precedence: {precedence}"
    subject = fields.get("Subject") or ""
    if answers and _ABSENT.match(subject):
        return Automatic.REPLY, f"its subject begins with {subject[:40]!r}"
    if submitted not in ("", "no") and answers and "oof" in _suppressed(fields):
        return Automatic.REPLY, f"Auto-Submitted: {submitted} and X-Auto-Response-Suppress in an answer, as Exchange writes them"
    for name in _LIST:
        if name in fields:
            return Automatic.LIST, name
    if precedence in ("list", "bulk", "junk"):
        return Automatic.LIST, f"Precedence: {precedence}"
    if submitted not in ("", "no"):
        return Automatic.GENERATED, f"Auto-Submitted: {submitted}"
    return Automatic.NO, ""


def _suppressed(fields: Fields) -> frozenset[str]:
    """Which automatic answers the sender does not want; `All` is all of them."""
    words = {word.strip().lower() for word in _value(fields, "X-Auto-Response-Suppress").split(",")} - {""}
    return frozenset(words | {"oof", "autoreply"}) if "all" in words else frozenset(words)


def _with_answerable(found: Head, fields: Fields) -> Head:
    """RFC 3834 2: who must not be answered by a program."""
    why = ""
    if not found.sender:
        why = "it has no sender"
    elif found.return_path == "":
        why = "its envelope sender is null"
    elif found.automatic is not Automatic.NO:
        why = f"it was written by {found.automatic.value} ({found.automatic_why})"
    elif "autoreply" in _suppressed(fields):
        why = "its sender wants no automatic answers (X-Auto-Response-Suppress)"
    elif "List-Unsubscribe" in fields:
        why = "it is a mailing (List-Unsubscribe)"
    elif found.content_type == "multipart/report":
        why = "it is a report"
    elif _NOBODY.fullmatch(found.sender.rpartition("@")[0]):
        why = f"nobody reads {found.sender}"
    elif found.loop_marks:
        why = f"it bears a mark of a mail gateway ({LOOP_HEADER})"
    return replace(found, answerable=why)


def _return_path(fields: Fields) -> str | None:
    value = fields.unfolded("Return-Path")
    if value is None:
        return None
    return next((address for _, address in addresses(value[:MOST_VALUE])), "")


def _mailboxes(fields: Fields, name: str) -> Mailboxes:
    return tuple(fields.addresses(name)[:MOST_ADDRESSES])


def _value(fields: Fields, name: str) -> str:
    return fields.unfolded(name) or ""
