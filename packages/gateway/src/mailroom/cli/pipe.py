"""`mailroom pipe`: for the aliases and transports of a mail server on this machine. A thin client of the running gateway.

It hands over one mail with its envelope and waits for the word: refusals become exit codes of sysexits.h, by which the mail server
tells the sender. EX_TEMPFAIL keeps the mail in its queue. Like `sendmail`, it reads no settings of the gateway.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from mailroom.cli.sendmail import MOST_HEAD, PIECE, Wrong, read_token

if TYPE_CHECKING:
    from mailroom_client import Problem

_TOKEN = "mailroom token add pipe --scope inbound:write"  # noqa: S105  # how to make one
_SETTING_UP = os.EX_CONFIG, os.EX_NOPERM
"""A token that is missing, can't be read or has expired is for the administrator to mend; no mail goes back for it."""
_NOBODY = "mailer-daemon"
"""The null sender, as mail servers say it in arguments and variables."""


@dataclass(frozen=True, slots=True)
class Envelope:
    sender: str
    """Empty: the null sender."""
    recipients: tuple[str, ...]


@click.command()
@click.option("--url", envvar="MAILROOM_URL", default="http://127.0.0.1:8020", show_default=True, help="Of the gateway; MAILROOM_URL.")
@click.option(
    "--token-file",
    envvar="MAILROOM_TOKEN_FILE",
    default="/etc/mailroom/pipe.token",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Holds a token with the scope inbound:write; MAILROOM_TOKEN_FILE.",
)
@click.option("--domain", envvar="MAILROOM_DOMAIN", default="", help="Of addresses without one, such as root; else this machine's name.")
@click.option("--sender", envvar="SENDER", help="Of the envelope; empty, <> or MAILER-DAEMON: the null sender. SENDER.")
@click.option("--recipient", "named", multiple=True, help="Of the envelope; else ORIGINAL_RECIPIENT or RECIPIENT of the environment.")
@click.option("--destination", default="", help="Takes what no alias wants.")
@click.argument("recipients", nargs=-1)
def pipe(
    url: str, token_file: Path, domain: str, sender: str | None, named: tuple[str, ...], destination: str, recipients: tuple[str, ...]
) -> None:
    """Take a mail from standard input, as a mail server's alias or transport gives it, and hand it to the gateway."""
    try:
        _hand_over(url, token_file, domain, sender, (*named, *recipients), destination)
    except Wrong as wrong:
        click.echo(f"mailroom pipe: {wrong}", err=True)
        sys.exit(os.EX_TEMPFAIL if wrong.code in _SETTING_UP else wrong.code)


def _hand_over(url: str, token_file: Path, domain: str, sender: str | None, named: Sequence[str], destination: str) -> None:
    from mailroom_client import Mailroom, Problem, hand_over

    token = read_token(token_file, _TOKEN)
    mail = Piped(sys.stdin.buffer)
    envelope = envelope_of(mail, sender, named, os.environ, domain)
    call = hand_over(
        mail.pieces(),
        sender=envelope.sender or None,
        recipients=envelope.recipients,
        idempotency_key=mail.key(envelope),
        refuse=True,
        destination=destination,
    )
    try:
        with Mailroom(url, token) as mailroom:
            mailroom.do(call)
    except Problem as problem:
        raise Wrong(exit_code(problem), f"{problem.enhanced} {problem}".strip()) from None


def exit_code(problem: Problem) -> int:
    """What the mail server shall do: keep the mail (EX_TEMPFAIL), or send it back for this reason."""
    match problem.status, problem.enhanced:
        case _ if problem.temporary:
            return os.EX_TEMPFAIL
        case _, "5.1.1":
            return os.EX_NOUSER
        case 409 | 413 | 422, "" | "5.3.4":
            return os.EX_DATAERR
        case _, "":
            return os.EX_TEMPFAIL  # something else answers there
    return os.EX_UNAVAILABLE


def envelope_of(mail: Piped, sender: str | None, named: Sequence[str], environment: Mapping[str, str], domain: str) -> Envelope:
    """From the arguments, else from what Postfix and Exim put into the environment, else (the sender) from the mail's own trace."""
    recipients = [each for each in named if each]
    if not recipients:
        recipients = [environment.get("ORIGINAL_RECIPIENT") or environment.get("RECIPIENT", "")]
    if not recipients[0]:
        raise Wrong(os.EX_USAGE, "nobody says for whom the mail is; add --recipient ADDRESS")
    sender = (mail.sender if sender is None else sender).strip().removeprefix("<").removesuffix(">")
    if sender.partition("@")[0].lower() == _NOBODY:
        sender = ""
    return Envelope(_whole(sender, domain), tuple(dict.fromkeys(_whole(each, domain) for each in recipients)))


def _whole(address: str, domain: str) -> str:
    import socket

    return f"{address}@{domain or socket.getfqdn()}" if address and "@" not in address else address


class Piped:
    """A mail on standard input; only its head is read before it is sent."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._head: list[bytes] = []
        self.sender = ""
        """As the mbox line or Return-Path says it, which a mail server puts at the top."""
        self._read_head()

    def pieces(self) -> Iterator[bytes]:
        yield b"".join(self._head)
        while piece := self._stream.read(PIECE):
            yield piece

    def key(self, envelope: Envelope) -> str:
        """By which the gateway knows a mail that it has taken, when the mail server did not hear of it and tries again.

        The Received line of the mail server names its queue entry, so two mails never have the same head. Empty without one.
        """
        if not any(line[:9].lower() == b"received:" for line in self._head):
            return ""
        whole = hashlib.sha256("\0".join((envelope.sender, *envelope.recipients)).encode("utf-8", "surrogateescape"))
        for line in self._head:
            whole.update(line)
        return f"pipe-{whole.hexdigest()}"

    def _read_head(self) -> None:
        size = 0
        for number, line in enumerate(iter(self._stream.readline, b"")):
            size += len(line)
            if size > MOST_HEAD:
                raise Wrong(os.EX_DATAERR, "the mail has no empty line behind its head")
            if number == 0 and line.startswith(b"From "):  # the separator of an mbox, no field
                self.sender = line.split(b" ")[1].decode("utf-8", "replace").strip()
                continue
            if line[:12].lower() == b"return-path:":
                self.sender = line[12:].decode("utf-8", "replace").strip()
            self._head.append(line)
            if not line.strip(b"\r\n"):
                return


COMMANDS = (pipe,)
