"""mime.graph_json: what Graph's JSON can carry is carried, and what it can't is said."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.errors import MimeError, MimeTooLarge
from mailroom_core.mime.graph_json import GraphMail, check_request, graph_mail, is_signed_or_encrypted
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.source import InMemory
from mailroom_core.model import Envelope
from tests.unit.mime.builder import entities, mail, multipart, part

BOB = Envelope("mary@example.com", ("bob@example.org",))
TEXT = part(b"Gr=C3=BC=C3=9Fe", "text/plain; charset=utf-8", "quoted-printable")
HTML = part(b"<p>Gr=FC=DFe</p>", "text/html; charset=iso-8859-1", "quoted-printable")
PDF = part(base64.b64encode(b"%PDF"), "application/pdf; name=offer.pdf", "base64")


def parsed(entity: bytes, *fields: str, rewrite_from: str = "") -> GraphMail:
    return graph_mail(InMemory(mail(entity, *fields)), BOB, rewrite_from=rewrite_from)


def draft(entity: bytes, *fields: str, rewrite_from: str = "") -> Any:
    return parsed(entity, *fields, rewrite_from=rewrite_from).draft


def names(found: GraphMail) -> list[tuple[str, str]]:
    inside: Any = found.draft.get("attachments", [])
    return [(each["name"], each["contentType"]) for each in inside]


def test_a_whole_mail_in_graphs_words() -> None:
    logo = part(base64.b64encode(b"PNG"), "image/png", "base64", "Content-ID: <logo@x>", "Content-Disposition: inline")
    html = part(b'<img src="cid:logo%40x">', "text/html")
    entity = multipart(multipart(multipart(TEXT, html, subtype="alternative", boundary="a"), logo, subtype="related", boundary="r"), PDF)
    found = parsed(
        entity,
        'From: "Mary" <mary@example.com>',
        "To: =?utf-8?q?B=C3=B6b?= <bob@example.org>, eve@example.org",
        "Reply-To: team@example.com",
        "Subject: =?utf-8?q?Angebot_f=C3=BCr_Sie?=",
        "Message-ID: <1@example.com>",
        "In-Reply-To: <0@example.org>",
        "References: <00@example.org>",
        " <0@example.org>",
        "List-Unsubscribe: <mailto:out@example.com>",
        "X-Odoo-Objects: sale.order-44",
        "X-Priority: 1 (Highest)",
        "Auto-Submitted: auto-generated",
        "Precedence: bulk",
    )
    assert found.draft == {
        "toRecipients": [{"emailAddress": {"address": "bob@example.org", "name": "Böb"}}],
        "ccRecipients": [],
        "bccRecipients": [],
        "from": {"emailAddress": {"address": "mary@example.com", "name": "Mary"}},
        "replyTo": [{"emailAddress": {"address": "team@example.com"}}],
        "subject": "Angebot für Sie",
        "body": {"contentType": "HTML", "content": '<img src="cid:logo%40x">'},
        "importance": "high",
        "internetMessageHeaders": [{"name": "X-Odoo-Objects", "value": "sale.order-44"}],
        "singleValueExtendedProperties": [
            {"id": "String 0x1042", "value": "<0@example.org>"},
            {"id": "String 0x1039", "value": "<00@example.org> <0@example.org>"},
            {"id": "String 0x1045", "value": "<mailto:out@example.com>"},
        ],
        "attachments": [
            {
                "@odata.type": "#microsoft.graph.fileAttachment",
                "name": "image1.png",
                "contentType": "image/png",
                "contentBytes": "UE5H",
                "isInline": True,
                "contentId": "logo@x",
            },
            {
                "@odata.type": "#microsoft.graph.fileAttachment",
                "name": "offer.pdf",
                "contentType": "application/pdf",
                "contentBytes": "JVBERg==",
                "isInline": False,
            },
        ],
    }
    assert found.attachments == ()
    assert found.lost == ("another form of the text (text/plain)", "the headers Auto-Submitted, Precedence")


# Recipients and author


def test_recipients_are_those_of_the_envelope() -> None:
    envelope = Envelope(None, ("bob@example.org", "ann@example.org", "zoe@example.org", "joe@münchen.example"))
    raw = mail(TEXT, "To: bob@example.org, eve@example.org", "Cc: Ann <ann@example.org>")
    found: Any = graph_mail(InMemory(raw), envelope).draft
    assert found["toRecipients"] == [{"emailAddress": {"address": "bob@example.org"}}]
    assert found["ccRecipients"] == [{"emailAddress": {"address": "ann@example.org", "name": "Ann"}}]
    blind = [each["emailAddress"]["address"] for each in found["bccRecipients"]]
    assert blind == ["zoe@example.org", "joe@xn--mnchen-3ya.example"]
    with pytest.raises(MimeError):
        graph_mail(InMemory(raw), Envelope(None, ("not an address",)))


def test_a_new_from_makes_the_old_one_reply_to() -> None:
    found = draft(TEXT, "From: Mary <mary@example.com>", "Sender: boss@example.com", rewrite_from='"Mary" <n@example.net>')
    assert found["from"] == {"emailAddress": {"address": "n@example.net", "name": "Mary"}}
    assert found["replyTo"] == [{"emailAddress": {"address": "mary@example.com", "name": "Mary"}}]
    assert "sender" not in found


def test_a_sender_is_kept_and_what_is_no_address_is_left_out() -> None:
    found = draft(TEXT, "From: mary@example.com", "Sender: boss@example.com", "Reply-To: <a b@example.com>")
    assert found["sender"] == {"emailAddress": {"address": "boss@example.com"}}
    assert "replyTo" not in found
    assert "from" not in draft(TEXT)


def test_a_second_author_is_lost_and_that_is_said() -> None:
    assert "all authors but the first one" in parsed(TEXT, "From: a@example.com, b@example.com").lost


# Headers


@pytest.mark.parametrize(
    ("field", "importance"),
    [
        ("Importance: High", "high"),
        ("Importance: low", "low"),
        ("X-Priority: 2", "high"),
        ("X-Priority: 5 (Lowest)", "low"),
        ("Priority: non-urgent", "low"),
        ("X-MSMail-Priority: High", "high"),
        ("X-Priority: 3", None),
        ("X-Other: 1", None),
    ],
)
def test_importance_is_read_from_all_its_names(field: str, importance: str | None) -> None:
    assert draft(TEXT, field).get("importance") == importance


def test_a_receipt_can_be_asked_for() -> None:
    assert draft(TEXT, "Disposition-Notification-To: mary@example.com")["isReadReceiptRequested"] is True


def test_only_five_x_headers_travel_and_ours_come_first() -> None:
    fields = [f"X-{n}: {n}" for n in range(6)]
    raw = mail(TEXT, "X-Empty:", "X-Microsoft-Exchange-Organization-A: b", "X-Mailbox-Line: From x", *fields)
    found = graph_mail(InMemory(raw), BOB, add=[("x-ours", "1")])
    headers: Any = found.draft["internetMessageHeaders"]
    assert [each["name"] for each in headers] == ["x-ours", "X-0", "X-1", "X-2", "X-3"]
    assert found.lost == ("all but 5 X-headers: X-4, X-5",)


# Bodies


@pytest.mark.parametrize(
    ("entity", "content_type", "content"),
    [
        (TEXT, "Text", "Grüße"),
        (HTML, "HTML", "<p>Grüße</p>"),
        (multipart(TEXT, HTML, subtype="alternative"), "HTML", "<p>Grüße</p>"),
        (multipart(HTML, TEXT, subtype="alternative"), "HTML", "<p>Grüße</p>"),
        (multipart(PDF, TEXT), "Text", "Grüße"),
        (multipart(PDF, subtype="alternative"), "Text", ""),
        (part(b"", "multipart/mixed; boundary=never"), "Text", ""),
        (part(b"not in parts", "multipart/mixed"), "Text", "not in parts"),
        (PDF, "Text", ""),
        (part(b"a,b", "text/csv"), "Text", ""),
    ],
)
def test_html_is_preferred_to_text(entity: bytes, content_type: str, content: str) -> None:
    assert draft(entity)["body"] == {"contentType": content_type, "content": content}


def test_texts_that_are_files_are_attached() -> None:
    found = parsed(
        multipart(part(b"x", "text/plain; name=notes.txt"), part(b"y", "text/html", "", "Content-Disposition: attachment"), TEXT)
    )
    assert names(found) == [("notes.txt", "text/plain"), ("text2.html", "text/html")]
    assert found.lost == ()


def test_a_further_text_is_attached_and_that_is_said() -> None:
    found = parsed(multipart(TEXT, part(b"footer"), part(b"", "text/plain"), multipart(part(b"z"), subtype="alternative", boundary="z")))
    assert names(found) == [("text1.txt", "text/plain"), ("text2.txt", "text/plain")]
    assert found.lost == (
        "the place of a further text, it is attached as text1.txt",
        "the place of a further text, it is attached as text2.txt",
    )


def test_an_invitation_is_attached_and_that_is_said() -> None:
    amp = part(b"amp", "text/x-amp-html")
    found = parsed(multipart(TEXT, amp, HTML, part(b"BEGIN:VCALENDAR", "text/calendar; method=REQUEST"), subtype="alternative"))
    assert names(found) == [("invite.ics", "text/calendar")]
    assert found.lost == (
        "another form of the text (text/x-amp-html)",
        "another form of the text (text/plain)",
        "the invitation as such, it is attached as invite.ics",
    )


def test_what_hangs_on_an_alternative_is_kept() -> None:
    related = multipart(HTML, part(b"x", "image/gif"), subtype="related", boundary="r")
    signed = multipart(TEXT, part(b"sig", "application/pgp-signature"), subtype="signed", boundary="s")
    found = parsed(multipart(signed, related, subtype="alternative"))
    assert names(found) == [("application1.bin", "application/pgp-signature"), ("image2.gif", "image/gif")]
    assert found.lost == ("another form of the text (text/plain)", "the signature of a part")


def test_a_message_is_attached_as_it_is() -> None:
    inner = b"Subject: =?utf-8?q?R=C3=BCckfrage=3A_1/2?=\r\n\r\n=41\r\n"
    found = parsed(multipart(TEXT, part(inner, "message/rfc822"), part(b"", "message/rfc822")))
    assert names(found) == [("Rückfrage_ 1_2.eml", "message/rfc822"), ("message.eml", "message/rfc822")]
    files: Any = found.draft["attachments"]
    assert base64.b64decode(files[0]["contentBytes"]) == inner


@pytest.mark.parametrize(
    ("name", "clean"),
    [("../../etc/passwd", "_.._etc_passwd"), ("a%00b.pdf", "a b.pdf"), (" .. ", "attachment1"), ("x" * 300 + ".pdf", "x" * 196 + ".pdf")],
)
def test_a_file_name_is_only_a_name(name: str, clean: str) -> None:
    assert names(parsed(part(b"x", "application/pdf", "", f"Content-Disposition: attachment; filename*=utf-8''{name}"))) == [
        (clean, "application/pdf")
    ]


def test_an_image_is_inline_only_where_the_text_shows_it() -> None:
    images = [part(b"x", "image/png", "", f"Content-ID: <{n}>") for n in range(2)]
    found = draft(multipart(part(b"<img src=cid:0>", "text/html"), *images))
    assert [each["isInline"] for each in found["attachments"]] == [True, False]
    found = draft(multipart(part(b"cid:0", "text/plain"), *images))
    assert [each["isInline"] for each in found["attachments"]] == [False, False]


# Sizes


def test_large_files_follow_one_by_one() -> None:
    large = bytes(range(256)) * 16_000
    image = part(b"x" * 1000, "image/png", "", "Content-ID: <i>")
    raw = multipart(
        part(b"<img src='cid:i'>", "text/html"), part(base64.encodebytes(large), "application/zip; name=a.zip", "base64"), PDF, image
    )
    found = graph_mail(InMemory(raw), BOB)
    assert [name for name, _ in names(found)] == ["offer.pdf", "image3.png"]
    [zipped] = found.attachments
    assert (zipped.name, zipped.content_type, zipped.size, zipped.inline, zipped.content_id) == (
        "a.zip",
        "application/zip",
        len(large),
        False,
        "",
    )
    assert zipped.read(3_000_000, 3_000_000) == large[3_000_000:]


def test_the_draft_fits_into_one_request_and_inline_images_come_first() -> None:
    files = [part(b"x" * 900_000, f"application/zip; name={n}.zip", "binary") for n in range(4)]
    image = part(b"x" * 900_000, "image/png; name=i.png", "binary", "Content-ID: <i>")
    found = parsed(multipart(part(b"<img src='cid:i'>", "text/html"), *files, image))
    assert [name for name, _ in names(found)] == ["0.zip", "i.png"]
    assert [each.name for each in found.attachments] == ["1.zip", "2.zip", "3.zip"]
    assert len(json.dumps(found.draft)) < 4_000_000


def test_a_text_that_no_request_holds_is_refused() -> None:
    long, wide = part(b"x" * 4_000_000, "text/html"), part("ü".encode() * 1_000_000, "text/html; charset=utf-8", "8bit")
    for raw, text in ((long, "the text of the mail has"), (wide, "the text and the head")):
        with pytest.raises(MimeTooLarge, match=text):
            parsed(raw)
        with pytest.raises(MimeTooLarge, match=text):
            check_request(InMemory(mail(raw)), BOB)


def test_what_a_request_can_hold_is_known_without_reading_attachments() -> None:
    class Source(InMemory):
        def read_at(self, offset: int, length: int) -> bytes:
            read.append(length)
            return super().read_at(offset, length)

    read: list[int] = []
    large = part(b"x" * 9_000_000, "application/zip; name=a.zip", "binary")
    check_request(Source(mail(multipart(part(b"Hello", "text/plain"), large))), BOB)
    assert max(read) < 1_000_000
    check_request(InMemory(mail(part(b"x", "multipart/signed; boundary=b"))), BOB)


# Signed and encrypted


@pytest.mark.parametrize(
    ("content_type", "sealed"),
    [
        ('multipart/signed; protocol="application/pgp-signature"; boundary=b', True),
        ("Multipart/Encrypted; boundary=b", True),
        ("application/pkcs7-mime; smime-type=signed-data", True),
        ("application/x-pkcs7-mime", True),
        ("multipart/mixed; boundary=b", False),
        ("", False),
    ],
)
def test_signed_and_encrypted_mail_is_refused(content_type: str, sealed: bool) -> None:
    raw = part(b"x", content_type)
    assert is_signed_or_encrypted(Fields(raw)) is sealed
    if sealed:
        with pytest.raises(MimeError, match="signed or encrypted"):
            parsed(raw)


# Whatever comes


@given(entities("mixed", "alternative", "related"), st.lists(st.sampled_from(["bob@example.org", "ann@example.org", "zoe@example.org"])))
def test_every_mail_becomes_a_draft_for_its_envelope(entity: bytes, people: list[str]) -> None:
    found = graph_mail(InMemory(mail(entity, "To: ann@example.org, eve@example.org")), Envelope(None, tuple(people)))
    shown: Any = found.draft
    named = [each["emailAddress"]["address"] for key in ("toRecipients", "ccRecipients", "bccRecipients") for each in shown[key]]
    assert sorted(named) == sorted(set(people))
    json.dumps(shown).encode("ascii")


@given(st.binary(max_size=300))
def test_any_bytes_become_a_draft_or_are_refused(raw: bytes) -> None:
    try:
        json.dumps(graph_mail(InMemory(raw), BOB).draft)
    except MimeError:
        return
