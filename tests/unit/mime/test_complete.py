"""mime.complete: what is put in front of an accepted mail, however it looks."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.errors import MimeError
from mailroom_core.mime.complete import complete
from mailroom_core.mime.headers import Fields
from mailroom_core.model import Envelope

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=timezone.utc)
ENVELOPE = Envelope("mary@example.com", ("bob@example.org",))
RECEIVED = "from odoo.example.com ([192.0.2.7]) by mail.example.com with ESMTPA id 0abc;\r\n\tFri, 20 Nov 2026 10:00:00 +0000"


def completed(raw: bytes, envelope: Envelope = ENVELOPE) -> bytes:
    return complete(Fields(raw), envelope, now=NOW, new_message_id="<1@mail.example.com>", received=RECEIVED) + raw


def test_a_complete_mail_gets_its_trace_line_only() -> None:
    raw = b"Date: yesterday\r\nmessage-id: <x@y>\r\nFROM: a@b.c\r\n\r\nbody"
    assert completed(raw) == (
        b"Received: from odoo.example.com ([192.0.2.7]) by mail.example.com with ESMTPA\r\n"
        b" id 0abc; Fri, 20 Nov 2026 10:00:00 +0000\r\n" + raw
    )


def test_missing_fields_are_added() -> None:
    fields = Fields(completed(b"Subject: x\r\n\r\nbody"))
    assert [field.name for field in fields] == ["Received", "Date", "Message-ID", "From", "Subject"]
    assert fields.get("Date") == "Fri, 20 Nov 2026 10:00:00 +0000"
    assert fields.get("Message-ID") == "<1@mail.example.com>"
    assert fields.addresses("From") == [("", "mary@example.com")]


@pytest.mark.parametrize("sender", [None, "", "root", "a b@example.com"])
def test_without_a_usable_envelope_sender_there_is_no_from(sender: str | None) -> None:
    assert "From" not in Fields(completed(b"Subject: x\r\n\r\n", Envelope(sender, ())))


def test_a_mail_without_a_head_becomes_the_body() -> None:
    whole = completed(b"just text, no head\r\nmore: text\r\n")
    assert whole[Fields(whole).body_start :] == b"just text, no head\r\nmore: text\r\n"


def test_an_empty_line_at_the_start_ends_the_head() -> None:
    whole = completed(b"\r\nSubject: in the body\r\n")
    assert whole[Fields(whole).body_start :] == b"Subject: in the body\r\n"


def test_an_mbox_line_becomes_a_field() -> None:
    fields = Fields(completed(b"From mary@example.com Fri Nov 20 10:00:00 2026\r\nSubject: x\r\n\r\nbody"))
    assert fields.get("X-Mailbox-Line") == "From mary@example.com Fri Nov 20 10:00:00 2026"
    assert fields.get("Subject") == "x"
    assert fields.defect == ""


def test_a_trace_that_tries_to_add_fields_stays_one_field() -> None:
    evil = "from a\r\nBcc: eve@example.org\0 by b"
    lines = complete(Fields(b"A: b\r\n\r\n"), ENVELOPE, now=NOW, new_message_id="<1@x>", received=evil)
    assert Fields(lines).get("Received") == "from a Bcc: eve@example.org by b"
    assert "Bcc" not in Fields(lines)


def test_a_message_id_with_a_line_end_is_refused() -> None:
    with pytest.raises(MimeError):
        complete(Fields(b""), ENVELOPE, now=NOW, new_message_id="<1@x>\r\nBcc: eve@example.org", received=RECEIVED)


@given(st.binary() | st.lists(st.sampled_from([b"A: b", b"\r\n", b"From ", b":", b" x", b"text"])).map(b"".join))
def test_whatever_comes_has_its_fields_and_keeps_its_body(raw: bytes) -> None:
    before, after = Fields(raw), Fields(whole := completed(raw))
    assert {"Received", "Date", "Message-ID", "From"} <= {field.name for field in after}
    assert whole[after.body_start :] == raw[before.body_start :]
