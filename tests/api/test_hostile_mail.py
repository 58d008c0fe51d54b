"""Mail as nobody should write it, handed to the running gateway: each has a place, is kept byte for byte, and stops nobody else's."""

from __future__ import annotations

import base64
import io
import uuid
import zipfile

import pytest

from tests.api.conftest import ANNA, Api, eventually, problem
from tests.api.test_inbound import REPAIRS, SALES, conversation, hand_over

MIXED = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n'


def head(subject: str, more: str = "", *, sender: str = "", to: str = SALES, number: str = "new") -> str:
    named = f"Message-ID: <{uuid.uuid4() if number == 'new' else number}@c.example>\r\n" if number else ""
    return f"From: {sender or somebody()}\r\nTo: {to}\r\nSubject: {subject}\r\n{named}{more}\r\n"


def part(kind: str, content: str, *more: str) -> str:
    return "--b\r\n" + "\r\n".join((f"Content-Type: {kind}", *more)) + f"\r\n\r\n{content}\r\n"


def bomb() -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(50_000_000))
    return base64.encodebytes(packed.getvalue()).decode().replace("\n", "\r\n")


FILE = "Content-Transfer-Encoding: base64"
HELLO = part("text/plain", "Hello there")
SIGNED = (
    'MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="b"\r\n',
    part("text/plain", "Hello there  \t")
    + part("application/pkcs7-signature; name=smime.p7s", "MIAGCSqGSIb3DQEHAqCAMIACAQEx", FILE)
    + "--b--\r\n",
)
SEALED = (
    'MIME-Version: 1.0\r\nContent-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="b"\r\n',
    part("application/pgp-encrypted", "Version: 1") + part("application/octet-stream", "-----BEGIN PGP MESSAGE-----") + "--b--\r\n",
)
MEETING = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:Tea\r\nEND:VEVENT\r\nEND:VCALENDAR"
PLAIN = "Content-Type: text/plain; charset={}\r\n"

ODD: dict[str, tuple[str, str | bytes, str]] = {
    "no Message-ID": ("", b"Hello there\r\n", "Hello there"),
    "latin-1 that says it is UTF-8": (PLAIN.format("utf-8"), b"Hello th\xe4re\r\n", "Hello th"),
    "a charset that nobody knows": (PLAIN.format("x-klingon"), b"Hello there\r\n", "Hello there"),
    "a charset that is no text": (PLAIN.format("zlib"), b"Hello there\r\n", "Hello there"),
    "winmail.dat": (MIXED, HELLO + part("application/ms-tnef; name=winmail.dat", "eJ8+IgEA", FILE) + "--b--\r\n", "Hello there"),
    "no final boundary": (MIXED, HELLO + part("application/pdf", "JVBERg==", FILE), "Hello there"),
    "10,000 parts": (MIXED, HELLO + part("text/plain", "x") * 10_000 + "--b--\r\n", "can't be shown"),
    "a mail in a mail in a mail": ("", "", ""),
    "an archive that unpacks to 50 MB": (MIXED, HELLO + part("application/zip", bomb(), FILE) + "--b--\r\n", "Hello there"),
    "an invitation": (MIXED, HELLO + part("text/calendar; method=REQUEST", MEETING) + "--b--\r\n", "Hello there"),
    "S/MIME": (*SIGNED, "Hello there"),
    "PGP": (*SEALED, ""),
}


def somebody() -> str:
    """Who has not written yet: each may open 20 things in two hours."""
    return f"{uuid.uuid4().hex}@customer.example"


@pytest.mark.parametrize("name", ODD)
def test_an_odd_mail_opens_its_conversation_and_is_kept_byte_for_byte(api: Api, name: str) -> None:
    subject = uuid.uuid4().hex
    more, body, words = ODD[name]
    number = "" if name == "no Message-ID" else "new"
    raw = (head(subject, more, number=number)).encode() + (body.encode() if isinstance(body, str) else body)
    if name == "a mail in a mail in a mail":
        raw = head(subject, "Content-Type: message/rfc822\r\n").encode() + b"Content-Type: message/rfc822\r\n\r\n" * 200 + b"Hello\r\n"
    answer = hand_over(api, raw)
    assert answer.status_code == 202, answer.text
    taken = answer.json()
    assert (taken["verdict"], taken["destinations"]) == ("alias", ["desk"])
    kept = api["reader"].get(f"/messages/{taken['id']}/raw").content
    assert kept == f"Return-Path: <{ANNA}>\r\nDelivered-To: {SALES}\r\n".encode() + raw
    (entry,) = conversation(api, subject)["entries"]
    assert words in entry["text"]


def test_a_mail_without_a_message_id_is_never_taken_for_a_copy(api: Api) -> None:
    subject = uuid.uuid4().hex
    raw = (head(subject, number="") + "Hello\r\n").encode()
    assert [hand_over(api, raw).json()["verdict"] for _ in range(2)] == ["alias", "alias"]
    assert eventually(lambda: len(named(api, subject)) == 2)


def test_the_same_mail_by_two_ways_is_handed_over_once_and_a_forged_one_under_its_id_keeps_nobody_away(api: Api) -> None:
    subject, number = uuid.uuid4().hex, uuid.uuid4().hex
    forged = (head(f"{subject} forged", number=number) + "Send your money here\r\n").encode()
    honest = (head(f"{subject} honest", number=number) + "Hello\r\n").encode()
    assert hand_over(api, forged).json()["verdict"] == "alias"
    first, again = hand_over(api, honest).json(), hand_over(api, honest).json()
    assert first["id"] != again["id"]
    for title in ("forged", "honest"):
        assert eventually(lambda title=title: len(named(api, f"{subject} {title}")) == 1)  # type: ignore[misc]

    def states(of: str) -> list[str]:
        return [each["state"] for each in api["reader"].get(f"/messages/{of}").json()["deliveries"]]

    assert eventually(lambda: (states(first["id"]), states(again["id"])) == (["sent"], ["ignored"]))


def test_bytes_above_ascii_in_the_head_are_read_as_what_they_are(api: Api) -> None:
    subject = uuid.uuid4().hex
    for said, charset in (("Grüße", "utf-8"), ("Grüße", "latin-1")):
        taken = hand_over(api, head(f"{said} {subject} {charset}", sender=f"Jörg <{somebody()}>").encode(charset) + b"Hello\r\n").json()
        assert taken["verdict"] == "alias"
        assert eventually(lambda charset=charset: named(api, f"Grüße {subject} {charset}"))  # type: ignore[misc]


@pytest.mark.parametrize("sender", ["Anna", "<>", "undisclosed", " ", "a@b@c", "@", "Anna <anna>"])
def test_a_from_without_an_address_opens_a_conversation_that_nobody_can_answer(api: Api, sender: str) -> None:
    subject = uuid.uuid4().hex
    taken = hand_over(api, (head(subject, sender=sender) + "Hello\r\n").encode(), sender="").json()
    assert taken["verdict"] == "alias"
    found = conversation(api, subject)
    answer = api["talk"].post(f"/conversations/{found['id']}/answers", json={"text": "Yes"})
    assert answer.status_code == 422, answer.text


def test_whom_the_envelope_names_gets_it_and_nobody_whom_the_head_names(api: Api) -> None:
    subject = uuid.uuid4().hex
    forged = (head(subject, f"Delivered-To: {REPAIRS}\r\nX-Original-To: {REPAIRS}\r\n", to="somebody@else.example") + "Hello\r\n").encode()
    assert hand_over(api, forged, SALES).json()["destinations"] == ["desk"], "as for an alias in Bcc"
    both = hand_over(api, (head(subject) + "Hello\r\n").encode(), SALES, REPAIRS).json()
    assert sorted(both["destinations"]) == ["desk", "repairs"]
    assert eventually(lambda: sorted(each["destination"] for each in named(api, subject)) == ["desk", "desk", "repairs"])


def test_a_report_about_a_report_that_is_not_ours_waits_for_a_person_and_nobody_is_answered(api: Api) -> None:
    subject, gone = uuid.uuid4().hex, somebody()
    inner = part(
        "message/delivery-status",
        f"Reporting-MTA: dns; x.example\r\n\r\nFinal-Recipient: rfc822; {gone}\r\nAction: failed\r\nStatus: 5.1.1",
    )
    about = part(
        "message/rfc822",
        f"From: MAILER-DAEMON@desk.example\r\nTo: {gone}\r\nSubject: Undelivered\r\nMessage-ID: <{subject}@x>\r\n\r\nSorry",
    )
    kind = 'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n'
    raw = (head(subject, kind, sender="MAILER-DAEMON@x.example") + HELLO + inner + about + "--b--\r\n").encode()
    sent = set(api.sink.iterdir())
    taken = hand_over(api, raw, sender="").json()
    assert (taken["verdict"], taken["destinations"]) == ("quarantined", [])
    assert "no mail that left here is meant" in taken["why"]
    assert named(api, subject) == []
    assert not [each for each in set(api.sink.iterdir()) - sent if subject in each.read_text("utf-8", "replace")]


def test_line_ends_are_made_those_of_mail_and_what_no_mail_may_have_is_refused(api: Api) -> None:
    raw = head(uuid.uuid4().hex).encode()
    taken = hand_over(api, raw + b"Hello\nand here\rand there\r\n").json()
    assert api["reader"].get(f"/messages/{taken['id']}/raw").content.endswith(b"\r\nHello\r\nand here\r\nand there\r\n")
    assert "NUL" in problem(hand_over(api, raw + b"Hello\0\r\n"), 422)


def named(api: Api, subject: str) -> list[dict[str, str]]:
    """The conversations of this subject."""
    found: list[dict[str, str]] = api["talk"].get("/conversations", params={"limit": 500}).json()["items"]
    return [each for each in found if each["subject"] == subject]
