"""One connection to one folder, by IMAP4rev1 (RFC 3501). Blocking; IMAPClient keeps the protocol.

Bytes of a mail are asked for in pieces (`BODY.PEEK[]<offset.length>`), so that memory does not grow with it. Extensions that are used
where they are: IDLE (RFC 2177), MOVE (6851), UIDPLUS (4315), OBJECTID (8474), and Gmail's X-GM-EXT-1.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError

from mailroom.objects import ImapInbox, Security
from mailroom.sources.visit import ANSWER, CONNECT, Credential, NotLetIn, hang_up, said, tls_context, watch_over

PIECE = 1024 * 1024
FRESH = 9 * 60.0
"""Seconds after which IDLE is said anew: servers may end it after 30 minutes, and routers forget a silent connection earlier."""
FIRST = 1_000
MOST = 50_000
"""Mails that one search is about, at first and at most: its answer is one line with up to 11 bytes for each that it finds, and the library
reads no line of more than a million bytes."""
FEW = 500
"""Mails that one FETCH names: servers read no endless lines either."""
_NAMES = "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID RECEIVED)]"
_NAMES_SAID = b"BODY[HEADER.FIELDS (MESSAGE-ID RECEIVED)]"
logging.getLogger("imapclient").setLevel(logging.WARNING)  # below, it writes what is sent


class NoFolder(Exception):
    """The mailbox has no folder of this name, or it can't be opened."""

    def __init__(self, name: str, why: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.why = why


@dataclass(frozen=True, slots=True)
class Mail:
    """One in the folder."""

    uid: int
    id: str
    """Never another mail's, and the same after the server has numbered the folder anew (`u.` is not)."""
    received_at: datetime | None


class ImapSession:
    """Signed in, with the folder open. Raises NotLetIn, NoFolder, OSError, IMAPClientError."""

    def __init__(self, inbox: ImapInbox, shown: Credential, *, read_only: bool) -> None:
        self.client = connect(inbox)
        try:
            sign_in(self.client, shown)
            self.folder = self.find(inbox.folder)
            self._read_only = read_only
            self._select(inbox.folder)
        except BaseException:
            self.shut()
            raise
        self._looked = False
        self._hears = False

    def _select(self, shown: str) -> None:
        try:
            opened = self.client.select_folder(self.folder, readonly=self._read_only)
        except IMAPClientAbortError:
            raise
        except IMAPClientError as problem:
            raise NoFolder(shown, said(problem)) from None
        self.uid_validity = int(opened.get(b"UIDVALIDITY", 0))
        self.uid_next = int(opened.get(b"UIDNEXT", 0))
        self.count = int(opened.get(b"EXISTS", 0))
        self.flags: tuple[bytes, ...] = tuple(opened.get(b"PERMANENTFLAGS", opened.get(b"FLAGS", ())))
        self.writable = b"READ-ONLY" not in opened

    def may(self, capability: str) -> bool:
        return bool(self.client.has_capability(capability))

    @property
    def gmail(self) -> bool:
        """Its folders are labels: one mail may be in many of them."""
        return self.may("X-GM-EXT-1")

    def find(self, path: str) -> str:
        """The server's own name for a folder; people write paths with slashes, and leave out what all names begin with."""
        if path.upper() == "INBOX":
            return "INBOX"
        listed: Iterable[tuple[Sequence[bytes], bytes | None, str]] = self.client.list_folders()
        names = {name: name.replace((delimiter or b"/").decode("ascii", "replace"), "/") for _, delimiter, name in listed}
        wanted = path.casefold()
        for fits in (
            lambda name: name == path,
            lambda name: names[name].casefold() == wanted,
            lambda name: names[name].casefold() == f"inbox/{wanted}",
        ):
            if found := next(filter(fits, names), None):
                return found
        raise NoFolder(path)

    # -- what there is

    def look(self) -> None:
        """Hear of what has come since the folder was opened, or since the last look."""
        if self._looked and self.count > MOST:
            self._select(self.folder)  # how many there are must be right where they are counted off
        elif self._looked:
            self.client.noop()
        self._looked = True

    def unseen(self, most: int) -> list[int]:
        """The first ones. In a large folder, one that others delete from meanwhile may be missing until the next look."""
        if self.count <= MOST:
            return self._search(["UNSEEN", "UNDELETED"])[:most]
        return self._in_parts(1, self.count, most, lambda part: [part, "UNSEEN", "UNDELETED"])

    def beyond(self, uid: int, most: int) -> list[int]:
        """The first ones from this one on. The last one is always named (RFC 3501 6.4.8)."""
        found = self._in_parts(uid, self.uid_next, most, lambda part: ["UID", part, "UNDELETED"])
        return [each for each in found if each >= uid]

    def since(self, day: datetime) -> list[int]:
        if self.count <= MOST:
            return self._search(["SINCE", day.date(), "UNDELETED"])
        return self._in_parts(1, self.uid_next, self.count, lambda part: ["UID", part, "SINCE", day.date(), "UNDELETED"])

    def _in_parts(self, first: int, end: int, most: int, criteria: Callable[[str], list[Any]]) -> list[int]:
        found: list[int] = []
        for part in _parts(first, end):
            found += self._search(criteria(part))
            if len(found) >= most:
                break
        return sorted(set(found))[:most]

    def _search(self, criteria: list[Any]) -> list[int]:
        return sorted(self.client.search(criteria))

    def describe(self, uids: Sequence[int]) -> list[Mail]:
        """Without those that have gone meanwhile. One that the server can't look into is there all the same."""
        return [mail for start in range(0, len(uids), FEW) for mail in self._described(uids[start : start + FEW])]

    def _described(self, uids: Sequence[int]) -> list[Mail]:
        wanted = ["INTERNALDATE"]
        wanted += ["X-GM-MSGID"] if self.gmail else ["EMAILID"] if self.may("OBJECTID") else [_NAMES]
        try:
            found = self.client.fetch(uids, wanted)
        except IMAPClientAbortError:
            raise
        except IMAPClientError:
            if len(uids) == 1:
                return [Mail(uids[0], self._numbered(uids[0]), None)]
            return [mail for uid in uids for mail in self._described([uid])]
        return [self._mail(uid, found[uid]) for uid in uids if uid in found]

    def _mail(self, uid: int, told: dict[bytes, Any]) -> Mail:
        received = told.get(b"INTERNALDATE")
        if b"X-GM-MSGID" in told:
            return Mail(uid, f"gm.{told[b'X-GM-MSGID']}", received)
        if told.get(b"EMAILID"):
            (email_id,) = told[b"EMAILID"]
            return Mail(uid, f"e.{email_id.decode('ascii', 'replace')}", received)
        names = (told.get(_NAMES_SAID) or b"").strip()
        if not names:
            return Mail(uid, self._numbered(uid), received)
        stamp = received.isoformat() if received else ""
        return Mail(uid, f"h.{hashlib.sha256(stamp.encode() + b' ' + names).hexdigest()}", received)

    def _numbered(self, uid: int) -> str:
        """All that is left where nothing in a mail is its own."""
        return f"u.{self.uid_validity}.{uid}"

    def read(self, uid: int, into: Path) -> bool:
        """Whether it is there, to its end: somebody else may delete it meanwhile. Raises IMAPClientError if it is, and has no content."""
        offset = 0
        with into.open("wb") as file:
            while True:
                found = self.client.fetch([uid], [f"BODY.PEEK[]<{offset}.{PIECE}>"]).get(uid, {})
                pieces: list[bytes | None] = [value for key, value in found.items() if key.startswith(b"BODY[]")]
                piece = pieces[0] if pieces else None
                if not pieces or (piece is None and not offset):
                    if self._is_there(uid):
                        raise IMAPClientError(f"no content of this mail from byte {offset} on, and it is still in the folder")
                    return False
                offset += file.write(piece or b"")
                if len(piece or b"") < PIECE:
                    return True

    def _is_there(self, uid: int) -> bool:
        """A server tells of what others have deleted when it is asked for news, and may say NIL of it until then (RFC 2180 4.1.3)."""
        self.client.noop()
        return uid in self.client.fetch([uid], ["UID"])

    # -- what becomes of it

    def mark(self, uids: Sequence[int]) -> None:
        self.client.add_flags(uids, [b"\\Seen"], silent=True)

    def move(self, uids: Sequence[int], folder: str) -> None:
        to = self.find(folder)
        if self.may("MOVE"):
            self.client.move(uids, to)
            return
        self.client.copy(uids, to)
        self.delete(uids)

    def delete(self, uids: Sequence[int]) -> None:
        """Without UIDPLUS it is only marked as deleted: EXPUNGE would also delete what others have marked."""
        self.client.add_flags(uids, [b"\\Deleted", b"\\Seen"], silent=True)
        if self.may("UIDPLUS"):
            self.client.uid_expunge(uids)

    # -- waiting

    def wait(self, told: Callable[[], object]) -> None:
        """Calls `told` for news, for about FRESH seconds; and when it begins to hear, because before that it has heard nothing."""
        until = monotonic() + FRESH
        self.client.idle()
        if not self._hears:
            self._hears = True
            told()
        while (left := until - monotonic()) > 0:
            heard = self.client.idle_check(timeout=left)
            if any(_is_news(each) for each in heard):
                told()
            if not heard or any(each[0] == b"BYE" for each in heard):
                break
        _, heard = self.client.idle_done()
        if any(_is_news(each) for each in heard):
            told()

    def leave(self) -> None:
        self.client.logout()

    def break_off(self) -> None:
        hang_up(self.client.socket())

    def shut(self) -> None:
        _shut(self.client)


def _parts(first: int, end: int) -> Iterator[str]:
    """All from `first` on, in ranges that grow; `end` is where the last one was when the folder was opened."""
    size = FIRST
    while first + size < end:
        yield f"{first}:{first + size - 1}"
        first, size = first + size, min(4 * size, MOST)
    yield f"{first}:*"


def connect(inbox: ImapInbox) -> IMAPClient:
    """Encrypted as the inbox says. Raises OSError, IMAPClientError."""
    context = None if inbox.security is Security.NONE else tls_context(inbox.ca_file)
    timeout = SocketTimeout(connect=CONNECT, read=ANSWER)
    client = IMAPClient(inbox.host, inbox.port, ssl=inbox.security is Security.TLS, ssl_context=context, timeout=timeout)
    client.normalise_times = False
    watch_over(client.socket())
    if inbox.security is Security.STARTTLS:
        try:
            client.starttls(context)
        except BaseException:
            _shut(client)
            raise
    return client


def _shut(client: IMAPClient) -> None:
    with suppress(OSError, IMAPClientError):  # it may have ended already
        client.shutdown()


def sign_in(client: IMAPClient, shown: Credential) -> None:
    """Raises NotLetIn; OSError, if the connection has ended."""
    try:
        if shown.token:
            client.sasl_login("XOAUTH2", _Bearer(shown))
        elif client.has_capability("AUTH=PLAIN"):
            client.plain_login(shown.user, shown.secret)
        else:
            client.login(shown.user, shown.secret)
    except LoginError as problem:
        if isinstance(problem.__context__, IMAPClientAbortError):
            raise ConnectionError(said(problem)) from None
        raise NotLetIn(said(problem)) from None


class _Bearer:
    """XOAUTH2: the token, and then nothing in answer to what is wrong with it (developers.google.com/gmail/imap/xoauth2-protocol)."""

    def __init__(self, shown: Credential) -> None:
        self._words = [f"user={shown.user}\x01auth=Bearer {shown.secret}\x01\x01"]

    def __call__(self, challenge: bytes) -> str:
        return self._words.pop() if self._words else ""


def _is_news(heard: Sequence[Any]) -> bool:
    return len(heard) > 1 and heard[1] in (b"EXISTS", b"RECENT")
