"""One connection to a mailbox by POP3 (RFC 1939), with UIDL. Blocking; poplib keeps the protocol, but for what it reads into memory.

What is deleted goes when the connection ends with QUIT, and stays if it ends otherwise.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from poplib import POP3, POP3_SSL, error_proto

from mailroom.objects import PopInbox, Security
from mailroom.sources.visit import ANSWER, CONNECT, Credential, NotLetIn, hang_up, said, tls_context, watch_over

PIECE = 64 * 1024
_MOST = 2048
"""Bytes of an answer of one line."""


class PopSession:
    """Signed in, and the maildrop is ours until we leave. Raises NotLetIn, OSError, EOFError, error_proto."""

    def __init__(self, inbox: PopInbox, shown: Credential) -> None:
        self.client = connect(inbox)
        try:
            sign_in(self.client, shown)
            self.numbers = self._numbers()
        except BaseException:
            self.shut()
            raise
        self.deletes = False

    def _numbers(self) -> dict[str, int]:
        """By UIDL, oldest first."""
        _, lines, _ = self.client.uidl()
        pairs = (line.split(maxsplit=1) for line in lines)
        return {unique.decode("ascii", "replace"): int(number) for number, unique in pairs}

    def read(self, unique: str, into: Path) -> bool:
        """Whether it is there."""
        if unique not in self.numbers:
            return False
        _say(self.client, f"RETR {self.numbers[unique]}")
        _hear(self.client)
        whole = True
        """Whether the last piece ended a line: lines may be longer than any limit of ours."""
        with into.open("wb") as file:
            while (piece := self.client.file.readline(PIECE)) not in (b".\r\n", b".\n") or not whole:
                if not piece:
                    raise EOFError("the connection ended in the middle of a mail")
                file.write(piece[1:] if whole and piece.startswith(b".") else piece)
                whole = piece.endswith(b"\n")
        return True

    def delete(self, unique: str) -> None:
        if unique in self.numbers:
            self.client.dele(self.numbers[unique])
            self.deletes = True

    def leave(self) -> None:
        self.client.quit()

    def break_off(self) -> None:
        hang_up(self.client.sock)

    def shut(self) -> None:
        with suppress(OSError, AttributeError):  # it was closed before
            self.client.close()


def connect(inbox: PopInbox) -> POP3:
    """Encrypted as the inbox says. Raises OSError, error_proto."""
    if inbox.security is Security.TLS:
        client: POP3 = POP3_SSL(inbox.host, inbox.port, context=tls_context(inbox.ca_file), timeout=CONNECT)
    else:
        client = POP3(inbox.host, inbox.port, timeout=CONNECT)
    try:
        if inbox.security is Security.STARTTLS:
            client.stls(tls_context(inbox.ca_file))
        client.sock.settimeout(ANSWER)
        watch_over(client.sock)
    except BaseException:
        with suppress(OSError):
            client.close()
        raise
    return client


def sign_in(client: POP3, shown: Credential) -> None:
    """Raises NotLetIn; OSError and EOFError, if the connection has ended."""
    try:
        if shown.token:
            _bearer(client, shown)
        else:
            client.user(shown.user)
            client.pass_(shown.secret)
    except error_proto as problem:
        if said(problem) == "-ERR EOF":
            raise EOFError("the connection ended at the sign-in") from None
        raise NotLetIn(said(problem)) from None


def _bearer(client: POP3, shown: Credential) -> None:
    """XOAUTH2 in two lines, because a token is longer than a command may be (RFC 5034 4)."""
    words = f"user={shown.user}\x01auth=Bearer {shown.secret}\x01\x01"
    _say(client, "AUTH XOAUTH2")
    _hear(client)
    _say(client, b64encode(words.encode()).decode())
    if _hear(client).startswith(b"+ "):  # what is wrong with it; the refusal comes after an empty line
        _say(client, "")
        _hear(client)


def _say(client: POP3, line: str) -> None:
    client.sock.sendall(f"{line}\r\n".encode())


def _hear(client: POP3) -> bytes:
    """Raises error_proto for a no."""
    line = client.file.readline(_MOST)
    if not line:
        raise error_proto("-ERR EOF")
    if not line.startswith(b"+"):
        raise error_proto(line.rstrip())
    return line
