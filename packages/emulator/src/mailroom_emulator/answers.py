"""Somebody outside answers a mail that they got."""

from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import format_datetime, getaddresses, make_msgid

from mailroom_emulator import wire
from mailroom_emulator.outside import Copy


@dataclass(frozen=True)
class Reply:
    """What they write. `headers` come on top, for auto-replies and lists."""

    text: str = "Thanks!"
    html: str | None = None
    sender: str | None = None
    headers: dict[str, str] | None = None


@dataclass(frozen=True)
class Written:
    to: str
    raw: bytes


def write(copy: Copy, reply: Reply, now: datetime) -> Written:
    """The answer to a mail, as an ordinary mail program writes it, and the address that it goes to."""
    first = next(iter(copy.raw.chunks()))
    original = message_from_bytes(wire.split(first)[0] + b"\r\n", policy=default)
    to = getaddresses([str(original["Reply-To"] or original["From"])])[0][1]
    message = EmailMessage(policy=SMTP)
    sender = reply.sender or copy.to
    message["From"] = sender
    message["To"] = to
    subject = str(original["Subject"] or "")
    message["Subject"] = subject if subject.lower().startswith("re:") else f"Re: {subject}"
    message["Date"] = format_datetime(now)
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["In-Reply-To"] = copy.message_id
    message["References"] = " ".join(f"{original['References'] or ''} {copy.message_id}".split())
    for name, value in (reply.headers or {}).items():
        message[name] = value
    message.set_content(reply.text, cte="base64")
    if reply.html is not None:
        message.add_alternative(reply.html, subtype="html", cte="base64")
    return Written(to, message.as_bytes())
