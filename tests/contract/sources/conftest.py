"""One Dovecot for all tests of the folder; each takes mailboxes of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from mailroom.objects import ImapInbox, PopInbox, Security
from mailroom.sources.visit import Credential
from tests.contract.transports.certificates import Authority
from tests.dovecot import PASSWORD, Dovecot, needed


@dataclass
class Tokens:
    """Whose tokens are whose."""

    owners: dict[str, str] = field(default_factory=dict)

    def __call__(self, token: str) -> str:
        return self.owners.get(token, "")


@pytest.fixture(scope="package")
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture(scope="package")
def dovecot(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> Iterator[Dovecot]:
    needed()
    authority = Authority.make(tmp_path_factory.mktemp("authority"))
    with Dovecot(authority, owner=tokens) as running:
        yield running


@pytest.fixture
def mailbox() -> str:
    """A new one."""
    return f"{uuid.uuid4().hex[:12]}@contoso.example"


def imap(dovecot: Dovecot, mailbox: str, **more: Any) -> ImapInbox:
    known: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": dovecot.ports["imaps"],
        "security": Security.TLS,
        "user": mailbox,
        "ca_file": str(dovecot.authority.file),
    }
    return ImapInbox(**known | more)


def pop(dovecot: Dovecot, mailbox: str, **more: Any) -> PopInbox:
    known: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": dovecot.ports["pop3s"],
        "security": Security.TLS,
        "user": mailbox,
        "ca_file": str(dovecot.authority.file),
    }
    return PopInbox(**known | more)


@dataclass
class Signer:
    """Shows these, one after the other, and the last one again; notes which were refused."""

    shown: list[Credential]
    refused: list[str] = field(default_factory=list)

    async def __call__(self, refused: str) -> Credential:
        if refused:
            self.refused.append(refused)
        return self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]


def password(mailbox: str, word: str = PASSWORD) -> Signer:
    return Signer([Credential(mailbox, word)])


def mail(subject: str, *, names: str = "", body: bytes = b"Hello\r\n") -> bytes:
    return f"From: Ann <ann@customer.example>\r\nSubject: {subject}\r\n{names}\r\n".encode() + body
