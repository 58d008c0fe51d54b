"""The parts of the SMTP transport by themselves: any bytes, any cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.transports.smtp_body import Body, on_the_wire, pieces_on_the_wire
from mailroom.transports.smtp_reply import Answer, Garbled, ReplyReader
from mailroom.transports.smtp_table import TABLE, Stage
from mailroom.transports.smtp_verdict import judge
from mailroom_core.mime.source import Streamed
from mailroom_core.model import Deferred, Failed, Held, Reply

mail_bytes = st.lists(st.sampled_from([b".", b"..", b"\r\n", b"a", b"\r\n.\r\n", b"\n.\n"])).map(b"".join)
any_bytes = st.lists(st.lists(st.sampled_from([b".", b"\r", b"\n", b"\0", b"a", b"\r\n.\r\n"])).map(b"".join), max_size=6)
pieces = st.lists(mail_bytes, max_size=6)


def undo(wire: bytes) -> bytes:
    """What RFC 5321 4.5.2 makes of it: up to the lone dot, the first dot of each line taken away."""
    content = b""
    for line in wire.split(b"\r\n"):
        if line == b".":
            return content
        content += line.removeprefix(b".") + b"\r\n"
    raise AssertionError("no end")


def body(parts: list[bytes]) -> Body:
    return Body(Streamed(sum(map(len, parts)), lambda: iter(parts)), eight_bit=False)


def crlf_only(parts: list[bytes]) -> bool:
    whole = b"".join(parts)
    return whole.count(b"\n") == whole.count(b"\r\n") == whole.count(b"\r")


@given(pieces.filter(crlf_only))
def test_doubling_dots_can_be_undone(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    expected = whole if whole.endswith(b"\r\n") or not whole else whole + b"\r\n"
    assert undo(on_the_wire(body(parts))) == expected


@given(pieces)
@pytest.mark.anyio
async def test_it_does_not_matter_where_a_mail_is_cut_into_pieces(parts: list[bytes]) -> None:
    streamed = b"".join([piece async for piece in pieces_on_the_wire(body(parts))])
    assert streamed == on_the_wire(body(parts))


@given(pieces)
def test_no_reader_of_lines_finds_the_end_of_the_mail_before_its_end(parts: list[bytes]) -> None:
    wire = on_the_wire(body(parts))
    for end in (b"\r\n.\r\n", b"\n.\n", b"\n.\r\n"):
        assert end not in wire[:-1]


@given(any_bytes)
@pytest.mark.anyio
async def test_nor_does_one_who_takes_a_cr_for_a_line_end_or_drops_nul_and_all_find_it_there(parts: list[bytes]) -> None:
    for wire in (on_the_wire(body(parts)), b"".join([piece async for piece in pieces_on_the_wire(body(parts))])):
        assert wire.endswith(b"\r\n.\r\n") or wire == b".\r\n"
        for seen in (wire, wire.replace(b"\0", b"")):
            lines = (b"\r\n" + seen).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            assert lines.find(b"\n.\n") == len(lines) - 3


def answers(chunks: list[bytes]) -> tuple[list[Answer], bool]:
    reader = ReplyReader()
    found: list[Answer] = []
    try:
        for chunk in chunks:
            found += reader.feed(chunk)
    except Garbled:
        return found, True
    return found, False


replies = st.lists(st.sampled_from([b"250", b"-", b" ", b"5", b"x", b"\r\n", b"\n", b"2.1.0", b"\xff"])).map(b"".join)


@given(replies, st.integers(0, 40))
def test_replies_are_the_same_however_they_come(raw: bytes, cut: int) -> None:
    assert answers([raw]) == answers([raw[:cut], raw[cut:]])


@given(st.binary(max_size=200))
def test_any_bytes_are_replies_or_garbled_and_never_break_anything(raw: bytes) -> None:
    found, _ = answers([raw])
    for answer in found:
        reply = answer.reply()
        assert 200 <= reply.code < 600
        assert reply.text.isprintable()
        assert reply.code < 400 or all(judge(reply, stage) for stage in Stage)


@pytest.mark.parametrize(
    ("stage", "said", "outcome", "lane"),
    [
        (Stage.SIGN_IN, Reply(535, "Authentication unsuccessful, basic authentication is disabled.", "5.7.139"), Held, True),
        (Stage.SIGN_IN, Reply(535, "SmtpClientAuthentication is disabled for the Tenant.", "5.7.139"), Held, True),
        (Stage.SIGN_IN, Reply(535, "Authentication unsuccessful", "5.7.3"), Held, True),
        (Stage.SIGN_IN, Reply(550, "Basic authentication is not supported for Client Submission.", "5.7.30"), Held, True),
        (Stage.SIGN_IN, Reply(432, "Concurrent connections limit exceeded.", "4.3.2"), Deferred, False),
        (Stage.MAIL, Reply(530, "Client not authenticated to send mail", "5.7.57"), Held, True),
        (Stage.CONTENT, Reply(550, "Client does not have permissions to send as this sender", "5.7.60"), Held, False),
        (Stage.CONTENT, Reply(554, "mailbox full; STOREDRV.Submission.Exception:QuotaExceededException", "5.2.2"), Held, True),
        (Stage.CONTENT, Reply(554, "STOREDRV.Submission.Exception:SubmissionQuotaExceededException", "5.2.0"), Deferred, True),
        (Stage.CONTENT, Reply(550, "TenantInboundAttribution; Direct Send not allowed", "5.7.68"), Held, True),
        (Stage.CONTENT, Reply(550, "Submission quota exceeded", "5.2.2"), Deferred, True),
        (Stage.CONTENT, Reply(550, "you've reached your daily limit for message recipients", "5.1.90"), Deferred, True),
        (Stage.MAIL, Reply(550, "Access denied, bad outbound sender", "5.1.8"), Held, True),
        (Stage.CONTENT, Reply(550, "Access denied, spam abuse detected", "5.7.501"), Held, True),
        (Stage.CONTENT, Reply(550, "Access denied, tenant has exceeded threshold", "5.7.705"), Held, True),
        (Stage.RCPT, Reply(550, "Access denied, traffic not accepted from this IP", "5.7.708"), Held, True),
        (Stage.CONTENT, Reply(550, "Client blocked from sending from unregistered domains", "5.7.750"), Held, True),
        (Stage.RCPT, Reply(550, "TenantAttribution; Relay Access Denied", "5.7.64"), Held, False),
        (Stage.CONTENT, Reply(454, "Throttling failure: Daily message quota exceeded"), Deferred, True),
        (Stage.CONTENT, Reply(550, "Daily user sending limit exceeded", "5.4.5"), Deferred, True),
    ],
)
def test_known_answers_say_what_to_do(stage: Stage, said: Reply, outcome: type, lane: bool) -> None:
    judged = judge(said, stage)
    assert type(judged) is outcome
    assert isinstance(judged, Deferred | Held)
    assert judged.lane is lane
    assert judged.reply.text.startswith(said.text.rstrip("."))
    assert "What to do: " in judged.reply.text


@pytest.mark.parametrize(
    ("said", "bad_address"),
    [
        (Reply(550, "no such user", "5.1.1"), True),
        (Reply(550, "RecipientNotFound", "5.1.10"), True),
        (Reply(550, "no such user"), True),
        (Reply(553, "mailbox name not allowed"), True),
        (Reply(550, "Recipient address rejected: Access denied", "5.4.1"), True),
        (Reply(550, "bad sender address", "5.1.8"), False),
        (Reply(550, "we don't like you", "5.7.1"), False),
        (Reply(550, "Relaying denied"), False),
        (Reply(554, "no"), False),
        (Reply(552, "mailbox full", "5.2.2"), False),
    ],
)
def test_only_what_blames_the_recipients_address_is_a_bad_address(said: Reply, bad_address: bool) -> None:
    judged = judge(said, Stage.RCPT)
    assert isinstance(judged, Failed)
    assert judged.bad_address is bad_address


@pytest.mark.parametrize("said", [Reply(452, "Too many recipients", "4.5.3"), Reply(552, "too many recipients"), Reply(552, "x", "5.5.3")])
def test_recipients_over_the_servers_limit_follow_soon(said: Reply) -> None:
    judged = judge(said, Stage.RCPT)
    assert isinstance(judged, Deferred)
    assert judged.retry_after is not None


@pytest.mark.parametrize("row", TABLE)
def test_every_row_names_its_source(row: object) -> None:
    assert getattr(row, "source", "")
    assert getattr(row, "advice", "")
