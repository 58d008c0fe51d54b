"""What a mail says, apart from where it lies: values that are replaced, never changed."""

from dataclasses import dataclass, field
from datetime import datetime

from mailroom_emulator.blobs import Blob


@dataclass(frozen=True)
class Address:
    name: str
    address: str

    @property
    def valid(self) -> bool:
        local, at, domain = self.address.rpartition("@")
        return bool(local and at and domain and self.address.isascii()) and not any(c in self.address for c in " ,;<>")


@dataclass(frozen=True)
class Body:
    html: bool
    text: str


@dataclass(frozen=True)
class Attachment:
    """One attachment; `item` says that the blob is a whole mail (message/rfc822)."""

    id: str
    name: str
    content_type: str
    blob: Blob
    inline: bool
    content_id: str | None
    modified: datetime
    item: bool = False


@dataclass(frozen=True)
class Content:
    """The fields of a mail. With `mime` the mail was given as MIME: then body and attachments are read from there.

    `headers` are (name, value) pairs: the X-headers of a JSON message, or every header of a MIME one.
    """

    message_id: str
    date: datetime
    subject: str = ""
    from_: Address | None = None
    sender: Address | None = None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    in_reply_to: str | None = None
    references: str | None = None
    importance: str = "normal"
    headers: tuple[tuple[str, str], ...] = ()
    body: Body = field(default_factory=lambda: Body(False, ""))
    attachments: tuple[Attachment, ...] = ()
    mime: Blob | None = None

    def recipients(self) -> list[Address]:
        """Everyone it is for, each once, in the order To, Cc, Bcc."""
        seen: dict[str, Address] = {}
        for address in (*self.to, *self.cc, *self.bcc):
            seen.setdefault(address.address.lower(), address)
        return list(seen.values())
