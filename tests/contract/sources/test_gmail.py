"""Gmail's IMAP: folders are labels, and one mail may be in many of them. A stand-in says what Gmail says.

Source of the answers: Gmail docs, gmail/imap/imap-extensions (read 2026-11-21).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailroom.incoming import New
from mailroom.objects import ImapInbox, Security
from mailroom.sources.imap import ImapSource
from mailroom_core.model import After
from tests.contract.sources.conftest import password
from tests.mail_server import MailServer

pytestmark = pytest.mark.anyio
MAIL = b"Subject: once\r\n\r\nHello\r\n"
UIDS = {b"INBOX": 7, b"Orders": 3}
"""One mail with two labels has a number in each."""


class Gmail:
    """One mailbox with one mail."""

    def __init__(self) -> None:
        self.folder = b""
        self.seen = False

    def __call__(self, line: bytes) -> bytes:
        tag, _, rest = line.strip().partition(b" ")
        return self._said(rest) + tag + b" OK Success\r\n"

    def _said(self, command: bytes) -> bytes:
        if command.startswith(b"CAPABILITY"):
            return b"* CAPABILITY IMAP4rev1 IDLE X-GM-EXT-1 UIDPLUS MOVE\r\n"
        if command.startswith(b"LIST"):
            return b"".join(b'* LIST (\\HasNoChildren) "/" "%s"\r\n' % name for name in UIDS)
        if found := re.match(rb"(?:SELECT|EXAMINE) \"?([A-Za-z]+)", command):
            self.folder = found[1]
            return b"* FLAGS (\\Seen)\r\n* OK [PERMANENTFLAGS (\\Seen \\*)]\r\n* OK [UIDVALIDITY 1]\r\n* 1 EXISTS\r\n* OK [UIDNEXT 9]\r\n"
        uid = UIDS.get(self.folder, 0)
        if command.startswith(b"UID SEARCH"):
            return b"* SEARCH\r\n" if self.seen else b"* SEARCH %d\r\n" % uid
        if b"X-GM-MSGID" in command:
            return b'* 1 FETCH (X-GM-MSGID 1278455344230334865 UID %d INTERNALDATE "21-Nov-2026 12:00:00 +0000")\r\n' % uid
        if b"BODY.PEEK[]" in command:
            return b"* 1 FETCH (UID %d BODY[]<0> {%d}\r\n%s)\r\n" % (uid, len(MAIL), MAIL)
        if b"+FLAGS" in command:
            self.seen = True
        return b""


async def test_a_mail_with_two_labels_is_one_mail_for_two_incoming_servers(tmp_path: Path) -> None:
    gmail = Gmail()
    ids = []
    with MailServer(b"* OK Gimap ready\r\n", gmail) as server:
        for folder in ("INBOX", "orders"):
            inbox = ImapInbox(host="127.0.0.1", port=server.port, security=Security.NONE, user="info@gmail.example", folder=folder)
            there = ImapSource(
                inbox,
                password("info@gmail.example"),
                address="info@gmail.example",
                after=After.READ,
                move_to="",
                secret="",
                clock=lambda: datetime.now(UTC),
            )
            new = await there.new("", 0)
            assert isinstance(new, New)
            (message,) = new.arrived
            ids.append((there.key, message.remote.remote_id))
            assert await there.read(message, tmp_path / "one.eml") is None
            if folder == "orders":
                assert await there.acknowledge(message) is None
                assert await there.new("", 0) == New((), "", more=False)
            await there.close()
    assert ids == [("imap:info@gmail.example@127.0.0.1", "gm.1278455344230334865")] * 2
    assert any(line.split(b" ", 1)[1].startswith(b"UID STORE 3 +FLAGS") for line in server.heard)
