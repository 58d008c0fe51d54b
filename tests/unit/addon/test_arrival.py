"""Large files of a mail stay in its file while Odoo parses the rest."""

from __future__ import annotations

import random
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest
from driver.arrival import LARGE, LeftBehind, kept_apart, on_disk, whole

from mailroom_core.mime.index import index
from mailroom_core.mime.source import InMemory

CONTENT = random.Random(1).randbytes(LARGE)


def mail(*files: tuple[str, bytes]) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = "kim@customer.example", "info@contoso.example", "Plans"
    message.set_content("Here they are")
    for name, content in files:
        message.add_attachment(content, maintype="application", subtype="pdf", filename=name)
    return message


def parsed(raw: bytes) -> list[tuple[str | None, object]]:
    """As Odoo reads it."""
    message = message_from_bytes(raw, policy=SMTP)
    assert isinstance(message, EmailMessage)
    return [(part.get_filename(), part.get_content()) for part in message.walk() if not part.is_multipart()]


def test_a_large_file_stays_behind_and_everything_else_is_the_same(tmp_path: Path) -> None:
    message = mail(("small.pdf", b"small"), ("large.pdf", CONTENT), ("last.pdf", CONTENT[::-1]))
    (tmp_path / "mail").write_bytes(message.as_bytes())
    with on_disk(tmp_path / "mail") as source:
        assert whole(source) == message.as_bytes()
        small, apart = kept_apart(source, index(source))
        assert len(small) < 2000
        (text, first, *files) = parsed(small)
        assert (text, first) == ((None, "Here they are\r\n"), ("small.pdf", b"small"))
        assert apart.content(first[1]) is None
        found = [(name, apart.content(content)) for name, content in files]
    assert found == [("large.pdf", CONTENT), ("last.pdf", CONTENT[::-1])]


def test_a_file_that_nobody_has_come_upon_is_missed() -> None:
    raw = mail(("large.pdf", CONTENT)).as_bytes()
    small, apart = kept_apart(InMemory(raw), index(InMemory(raw)))
    with pytest.raises(LeftBehind):
        apart.check()
    assert apart.content(parsed(small)[1][1]) == CONTENT
    apart.check()


def assert_untouched(raw: bytes) -> None:
    small, apart = kept_apart(InMemory(raw), index(InMemory(raw)))
    assert small == raw
    apart.check()


def test_a_mail_without_large_files_is_untouched() -> None:
    raw = mail(("small.pdf", b"small")).as_bytes()
    assert_untouched(raw)


@pytest.mark.parametrize("content_type", ["text/csv", "pdf", "application/pdf/x", "message/rfc822", '"application/pdf"'])
def test_what_odoo_may_read_as_something_else_than_bytes_stays_in_the_mail(content_type: str) -> None:
    raw = mail(("odd", CONTENT)).as_bytes().replace(b"application/pdf", content_type.encode())
    assert_untouched(raw)


def test_a_file_of_an_attached_mail_stays_in_it() -> None:
    outer = mail()
    outer.add_attachment(mail(("large.pdf", CONTENT)))
    raw = outer.as_bytes()
    assert_untouched(raw)


def test_a_mail_that_is_nothing_but_a_file_is_untouched() -> None:
    message = EmailMessage(policy=SMTP)
    message.set_content(CONTENT, maintype="application", subtype="pdf")
    raw = message.as_bytes()
    assert_untouched(raw)
