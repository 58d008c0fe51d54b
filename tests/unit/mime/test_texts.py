"""mime.texts, html_text, quoted: what people read of a mail, whatever its sender has done to it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.inbound import Attachment, Texts
from mailroom_core.mime.bounce import read_report
from mailroom_core.mime.html_text import html_text
from mailroom_core.mime.incoming import digest, head
from mailroom_core.mime.index import WINDOW, decoded, index, read_head
from mailroom_core.mime.quoted import reply_of
from mailroom_core.mime.source import InMemory
from mailroom_core.mime.texts import MOST_TEXT, attached, text_of, texts
from tests.unit.mime.builder import entities, mail, multipart, part


def read(raw: bytes) -> Texts:
    source = InMemory(raw)
    return texts(source, index(source))


def test_both_forms_of_a_text_and_the_files() -> None:
    pdf = part(b"aGVsbG8=", 'application/pdf; name="../a/b.pdf"', "base64", "Content-Disposition: attachment")
    image = part(b"x", "image/png; name=logo.png", "", "Content-ID: <logo>")
    forms = multipart(part(b"hello\r\n> old"), part(b"<p>hello</p>", "text/html"), subtype="alternative", boundary="b2")
    raw = multipart(forms, pdf, image)
    found = read(raw)
    assert (found.text, found.html, found.reply) == ("hello\n> old", "<p>hello</p>", "hello")
    assert [(each.name, each.content_type, each.size, each.inline) for each in found.attachments] == [
        ("_a_b.pdf", "application/pdf", 5, False),
        ("logo.png", "image/png", 1, True),
    ]
    source = InMemory(raw)
    root = index(source)
    assert decoded(source, attached(root, found.attachments[0]), 0, 100) == b"hello"
    with pytest.raises(IndexError, match="no part 99"):
        attached(root, Attachment("", "", 0, 99))


def test_html_alone_is_turned_into_text() -> None:
    found = read(part(b"<p>Dear Mary,</p><p>yes.</p><blockquote>no?</blockquote>", "text/html"))
    assert found.text == "Dear Mary,\n\nyes.\n\n> no?"
    assert found.reply == "Dear Mary,\n\nyes."


def test_a_mail_without_text_has_none() -> None:
    found = read(part(b"x", "application/pdf; name=a.pdf"))
    assert (found.text, found.html, found.reply) == ("", "", "")
    assert [each.name for each in found.attachments] == ["a.pdf"]


def test_a_wrong_charset_is_tolerated() -> None:
    assert read(part("Grüße".encode("latin-1"), "text/plain; charset=utf-8")).text == "Grüße"
    assert read(part("Grüße".encode(), "text/plain; charset=us-ascii")).text == "Grüße"
    assert read(part("Grüße".encode(), "text/plain; charset=x-unknown")).text == "Grüße"


def test_messages_and_what_outlook_packs_up_have_names() -> None:
    message = part(b"Subject: Old / mail\r\n\r\ntext", "message/rfc822")
    nameless = part(b"\r\ntext", "message/rfc822")
    encoded = part(b"U3ViamVjdDogYQ==", "message/rfc822", "base64")
    tnef = part(b"x", "application/ms-tnef")
    unknown = part(b"x", "application/octet-stream")
    found = read(multipart(part(b"hello"), message, nameless, encoded, tnef, unknown))
    assert [each.name for each in found.attachments] == ["Old _ mail.eml", "message.eml", "message.eml", "winmail.dat", ""]


def test_signed_and_encrypted_mail_is_said_to_be() -> None:
    signed = multipart(part(b"hello"), part(b"x", "application/pgp-signature"), subtype="signed")
    assert read(signed).sealed
    assert read(signed).text == "hello"
    assert read(part(b"x", "application/pkcs7-mime; name=smime.p7m")).sealed


def test_of_a_long_text_the_beginning_is_read() -> None:
    long = read(part("ü".encode() * MOST_TEXT, "text/plain"))
    assert long.cut
    assert set(long.text) == {"ü"}
    source = InMemory(part("aüb".encode(), "text/plain; charset=utf-8"))
    assert [text_of(source, index(source), most) for most in (1, 2, 3, 4)] == ["a", "a", "aü", "aüb"]
    source = InMemory(part("üüü".encode("latin-1"), "text/plain"))
    assert text_of(source, index(source), 2) == "üü"


@given(entities())
def test_any_mail_has_texts(entity: bytes) -> None:
    raw = mail(entity, "Subject: x")
    found = read(raw)
    assert found.reply in (found.text, found.reply)
    for each in found.attachments:
        attached(index(InMemory(raw)), each)


# HTML


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain", "plain"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("a  \n b", "a b"),
        ("<p>a</p>\n<p>b</p>", "a\n\nb"),
        ("<style>p {}</style><title>t</title>a<script>alert('<p>')</script >b", "ab"),
        ("<script>never closed", "never closed"),
        ("<script>a<script>b", "ab"),
        ("a<!-- <p>hidden</p> -->b", "ab"),
        ("a<!-- never closed", "a"),
        ("<!DOCTYPE html><![if !mso]>a<![endif]>", "a"),
        ("5 &lt; 6 &amp; 7&nbsp;&euro;", "5 < 6 & 7 €"),
        ("5 < 6", "5 < 6"),
        ("<blockquote>a<blockquote>b</blockquote></blockquote></blockquote>c", "> a\n\n> > b\n\nc"),
        ("<b>bold</b> <i>it", "bold it"),
        ("", ""),
    ],
)
def test_html_becomes_the_text_that_people_see(source: str, text: str) -> None:
    assert html_text(source) == text


@pytest.mark.parametrize("piece", ["<", "<script>", "<!--", "<blockquote>", "&", "<a <a", "</", "<!", "(", "> "])
def test_hostile_html_takes_no_longer_than_its_length_says(piece: str) -> None:
    started = time.process_time()
    html_text(piece * (500_000 // len(piece)))
    assert time.process_time() - started < 5


# Quotes

BETWEEN = "On 20 Nov 2026, Bob wrote:\n> Will you?\nYes.\n> When?\nTomorrow."
REPLIES = {
    "nothing quoted": ("Yes.\n\nMary", "Yes.\n\nMary"),
    "Gmail": ("Yes.\n\nOn Fri, 20 Nov 2026 at 12:00, Bob <bob@shop.example>\nwrote:\n\n> Will you?\n> Bob", "Yes."),
    "Gmail as text of HTML": ("Yes.\n\nOn Fri, Nov 20, 2026, Bob wrote:\nWill you?", "Yes."),
    "German": ("Ja.\n\nAm 20.11.2026 um 12:00 schrieb Bob:\n> Kommst du?\n", "Ja."),
    "French": ("Oui.\n\nLe ven. 20 nov. 2026 à 12:00, Bob <bob@shop.example> a écrit :\n> Viens-tu ?", "Oui."),
    "Outlook": (
        "Yes.\n\n________________________________\nFrom: Bob <bob@shop.example>\nSent: Friday\nTo: Mary\nSubject: Will you?\n\nWill you?",
        "Yes.",
    ),
    "German Outlook": ("Ja.\n\nVon: Bob\nGesendet: Freitag\nAn: Mary\nBetreff: Frage\n\nKommst du?", "Ja."),
    "old Outlook": ("Yes.\n\n-----Original Message-----\nWill you?", "Yes."),
    "below the quote": ("> Will you?\n> And when?\n\nYes.\nTomorrow.", "> Will you?\n> And when?\n\nYes.\nTomorrow."),
    "between quotes": (BETWEEN, BETWEEN),
    "a signature": ("Yes.\n-- \nMary\nExample Ltd.", "Yes."),
    "a signature below the quote": ("Yes.\n> Will you?\n-- \nMary", "Yes."),
    "a telephone": ("Yes.\n\nSent from my iPhone", "Yes."),
    "a sentence that looks like an intro": ("On the whole I agree.\nHe wrote: no.", "On the whole I agree.\nHe wrote: no."),
    "an intro without date or address": ("On and on he wrote:\nla la", "On and on he wrote:\nla la"),
    "from in a sentence": ("From: here to there\nit is far", "From: here to there\nit is far"),
    "an intro that does not end": ("On Friday\nwe\nmeet\nat\nnoon wrote:", "On Friday\nwe\nmeet\nat\nnoon wrote:"),
    "an intro with a gap": ("On Friday 20\n\nBob wrote:\n", "On Friday 20\n\nBob wrote:"),
    "nothing but a quote": ("> Will you?", "> Will you?"),
    "nothing": ("\n\n", ""),
}


@pytest.mark.parametrize("case", sorted(REPLIES))
def test_own_words_are_found_and_none_is_lost(case: str) -> None:
    text, reply = REPLIES[case]
    assert reply_of(text) == reply
    assert reply_of(text.replace("\n", "\r\n")) == reply


@given(
    st.lists(st.sampled_from(["> ", "On 20 Nov a@b wrote:", "From: a", "To: b", "Date: c", "-- ", "own", "", "-----Original Message-----"]))
)
def test_a_reply_is_the_beginning_of_its_text(lines: list[str]) -> None:
    text = "\n".join(lines).strip()
    assert text.startswith(reply_of(text))


@pytest.mark.parametrize("piece", ["On 1 wrote ", "On 1 wrote\n", "From: a\n", "- ", "\n", ">\n", "_", "_\n", "Sent from my "])
def test_hostile_text_takes_no_longer_than_its_length_says(piece: str) -> None:
    started = time.process_time()
    reply_of(piece * (500_000 // len(piece)))
    assert time.process_time() - started < 5


class Counting:
    """A mail whose attachment is made while it is read: `read` counts the bytes, `largest` those of one piece."""

    def __init__(self, head: bytes, megabytes: int) -> None:
        self._head = head
        self._body = megabytes * 1024 * 1024
        self.read = self.largest = 0

    @property
    def size(self) -> int:
        return len(self._head) + self._body

    def read_at(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        piece = self._head[offset:end]
        piece += b"A" * max(0, end - max(offset, len(self._head)))
        self.read += len(piece)
        self.largest = max(self.largest, len(piece))
        return piece


def test_a_large_attachment_is_never_loaded() -> None:
    file = part(b"", "application/pdf; name=a.pdf", "base64")
    start = multipart(part(b"hello"), file).removesuffix(b"\r\n--b1--\r\n")
    source = Counting(start, 20)
    root = index(source)
    source.read = source.largest = 0
    found = texts(source, root)
    assert (found.text, found.attachments[0].size) == ("hello", 15 * 1024 * 1024)
    assert read_report(source, root, head(read_head(source, root))) is None
    assert source.read < 10_000
    digest(source, root)
    assert source.largest <= WINDOW
