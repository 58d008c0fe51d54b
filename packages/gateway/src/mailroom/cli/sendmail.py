"""`mailroom sendmail`: for cron, PHP and everything else that calls `/usr/sbin/sendmail`. A thin client of the running gateway.

It reads no settings of the gateway, because whoever calls it may not: the address and the token come from the environment or from
options. Exit codes are those of sysexits.h; a gateway that is down is EX_TEMPFAIL, so the caller may try again.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

_FLAGS_WITH_VALUE = "B:b:C:F:f:h:L:N:O:o:p:R:r:V:X:"
_FLAGS = "GimntUv"
MOST_HEAD = 256 * 1024
PIECE = 64 * 1024
_DOTS = (b".\n", b".\r\n")
_TOKEN = "mailroom token add sendmail --scope messages:send --application NAME"  # noqa: S105  # how to make one


@dataclass(slots=True)
class Letter:
    """What the arguments ask for."""

    recipients: list[str]
    sender: str | None = None
    """None: whoever calls; empty: the null sender."""
    name: str = ""
    from_head: bool = False
    """-t: recipients are read from To, Cc and Bcc."""
    ignore_dots: bool = False
    """-i: a dot by itself does not end the mail."""


class Wrong(Exception):
    """Ends the command with an exit code of sysexits.h and a text that says what to do."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.option("--url", envvar="MAILROOM_URL", default="http://127.0.0.1:8020", show_default=True, help="Of the gateway; MAILROOM_URL.")
@click.option(
    "--token-file",
    envvar="MAILROOM_TOKEN_FILE",
    default="/etc/mailroom/sendmail.token",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Holds a token with the scope messages:send; MAILROOM_TOKEN_FILE.",
)
@click.option("--domain", envvar="MAILROOM_DOMAIN", default="", help="Of addresses without one, such as root; else this machine's name.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sendmail(url: str, token_file: Path, domain: str, arguments: tuple[str, ...]) -> None:
    """Take a mail from standard input, as sendmail does: -t -i -oi -f SENDER -F NAME RECIPIENT ..."""
    try:
        _send(url, token_file, domain, arguments, sys.stdin.buffer)
    except Wrong as wrong:
        click.echo(f"sendmail: {wrong}", err=True)
        sys.exit(wrong.code)


def _send(url: str, token_file: Path, domain: str, arguments: tuple[str, ...], stream: BinaryIO) -> None:
    from mailroom_client import Mailroom, Problem, send_mime

    letter = parse(arguments)
    token = read_token(token_file, _TOKEN)
    whole = _Whole(letter, _domain(domain), stream)
    if not whole.recipients:
        raise Wrong(os.EX_USAGE, "there is no recipient; name one, or say -t and have a To field in the mail")
    try:
        with Mailroom(url, token) as mailroom:
            mailroom.do(send_mime(whole.pieces(), sender=whole.sender, recipients=whole.recipients))
    except Problem as problem:
        raise Wrong(_exit_code(problem.status, temporary=problem.temporary), str(problem)) from None


def parse(arguments: tuple[str, ...]) -> Letter:
    """The arguments of sendmail; what only concerns another program's insides is ignored. Raises Wrong."""
    try:
        options, recipients = getopt.gnu_getopt(list(arguments), _FLAGS + _FLAGS_WITH_VALUE)
    except getopt.GetoptError as problem:
        raise Wrong(os.EX_USAGE, f"{problem}; known are -t -i -oi -f SENDER -F NAME and recipients") from None
    letter = Letter([each for word in recipients for each in word.replace(",", " ").split()])
    for option, value in options:
        match option:
            case "-t":
                letter.from_head = True
            case "-i":
                letter.ignore_dots = True
            case "-o" if value == "i":
                letter.ignore_dots = True
            case "-f" | "-r":
                letter.sender = value.strip().removeprefix("<").removesuffix(">")
            case "-F":
                letter.name = value
            case "-b" if value != "m":
                raise Wrong(os.EX_USAGE, f"-b{value} is not supported: this command hands in mail, and nothing else")
            case _:
                pass
    return letter


def read_token(path: Path, how: str) -> str:
    """`how` is the command that makes one. Raises Wrong."""
    try:
        return path.read_text("ascii").strip()
    except PermissionError:
        raise Wrong(os.EX_NOPERM, f"{path} can't be read by you; ask the administrator for the right to read it") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise Wrong(
            os.EX_CONFIG,
            f"{path} has no token ({problem}); make one: {how}",
        ) from None


def _domain(given: str) -> str:
    import socket

    return given or socket.getfqdn()


def _exit_code(status: int, *, temporary: bool) -> int:
    if temporary:
        return os.EX_TEMPFAIL
    return {401: os.EX_NOPERM, 403: os.EX_NOPERM, 413: os.EX_DATAERR, 422: os.EX_DATAERR}.get(status, os.EX_UNAVAILABLE)


class _Whole:
    """The mail with its envelope. Only its head is read before it is sent; the body passes in pieces."""

    def __init__(self, letter: Letter, domain: str, stream: BinaryIO) -> None:
        from getpass import getuser

        from mailroom_core.mime.headers import Fields

        self._letter, self._domain, self._stream = letter, domain, stream
        lines = self._head_lines()
        fields = Fields(b"".join(lines) + b"\r\n")
        user = self._whole_address(getuser() if letter.sender is None else letter.sender)
        self.sender = user or None
        found = list(letter.recipients)
        if letter.from_head:
            found += [address for name in ("to", "cc", "bcc") for _, address in fields.addresses(name)]
            found += [word for name in ("to", "cc", "bcc") for value in fields.all(name) for word in _names(value)]
        self.recipients = list(dict.fromkeys(map(self._whole_address, found)))
        self._head = _without(lines, b"bcc")
        if not fields.addresses("from"):
            self._head = self._from(user) + _without(self._head.splitlines(keepends=True), b"from")

    def pieces(self) -> Iterator[bytes]:
        yield self._head + b"\r\n"
        if self._ended:
            return
        yield self._first_of_body
        if self._letter.ignore_dots:
            while piece := self._stream.read(PIECE):
                yield piece
            return
        for line in self._stream:
            if line in _DOTS:
                return
            yield line

    def _head_lines(self) -> list[bytes]:
        """Up to the empty line, each with CRLF. A first line that is no field begins the body."""
        self._first_of_body, self._ended = b"", False
        lines: list[bytes] = []
        size = 0
        for line in self._stream:
            size += len(line)
            if size > MOST_HEAD:
                raise Wrong(os.EX_DATAERR, "the mail has no empty line behind its head; put one before the body")
            bare = line.rstrip(b"\r\n")
            if not bare:
                return lines
            if bare == b"." and not self._letter.ignore_dots:
                self._ended = True
                return lines
            if bare[:1] not in (b" ", b"\t") and (b":" not in bare or b" " in bare.partition(b":")[0].rstrip()):
                self._first_of_body = line
                return lines
            lines.append(bare + b"\r\n")
        self._ended = True
        return lines

    def _whole_address(self, address: str) -> str:
        return f"{address}@{self._domain}" if address and "@" not in address else address

    def _from(self, sender: str) -> bytes:
        from mailroom_core.errors import MimeError
        from mailroom_core.mime.headers import field, format_address

        if not sender:
            return b""
        try:
            return field("From", format_address(self._letter.name, sender))
        except MimeError as problem:
            raise Wrong(os.EX_DATAERR, str(problem)) from None


def _names(value: str) -> list[str]:
    """Recipients of this machine, such as `root`, in a field that has nothing else: `To: root, www-data`."""
    words = [word.strip() for word in value.split(",")]
    return words if all(word.replace("-", "").replace("_", "").replace(".", "").isalnum() for word in words) else []


def _without(lines: list[bytes], name: bytes) -> bytes:
    """The head without the fields of this name."""
    kept, dropping = [], False
    for line in lines:
        if line[:1] not in (b" ", b"\t"):
            dropping = line.partition(b":")[0].strip().lower() == name
        if not dropping:
            kept.append(line)
    return b"".join(kept)


COMMANDS = (sendmail,)
