"""What hostile and careless clients send: it is refused with the right words, or it arrives as what it was meant to be.

The way out is a smarthost that takes everything down: what it did not get, nobody got.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default

import pytest

from mailroom_core.model import State
from tests.contract.smtp_server import SmtpServer, TakenMail
from tests.walk.conftest import MakeWorld
from tests.walk.sink import smtp_sink
from tests.walk.world import ANNA, MARY, World, eventually, mail, submit, unique

FOREIGN = "ceo@bank.example"
SHOP = "desk@shop.example"
MOST = 1024 * 1024
LIMITS = {"MAILROOM_SMTP_MAX_SIZE": "1MiB", "MAILROOM_SMTP_MAX_RECIPIENTS": "5"}
LISTENERS = """
[web]
port = 0

[[listener]]
port = 0

[[listener]]
port = 0
tls = "none"
"""
OBJECTS = """
[alias_domain."shop.example"]
default_from = "notifications@contoso.example"

[server."relay"]
from_filter = ["contoso.example"]
smarthost = {{ host = "127.0.0.1", port = {port}, security = "none" }}
"""


@pytest.fixture(scope="module")
def relay() -> Iterator[SmtpServer]:
    with smtp_sink() as server:
        yield server


@pytest.fixture(scope="module")
def world(make_world: MakeWorld, relay: SmtpServer) -> World:
    """`erp` sends as contoso.example, `shop` as shop.example, whose From is rewritten."""
    world = make_world(environment=LIMITS, config=LISTENERS)
    world.add_application("erp", "contoso.example")
    world.add_application("shop", "shop.example")
    world.apply(OBJECTS.format(port=relay.port))
    world.gateway.start()
    return world


# ---- who may ------------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_a_535(world: World) -> None:
    with world.session(login=False) as smtp, pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
        smtp.login("erp", "not the password")
    assert refusal.value.smtp_code == 535
    assert refusal.value.smtp_error[:5] == b"5.7.8"


def test_without_a_sign_in_nothing_is_taken(world: World) -> None:
    with world.session(login=False) as smtp:
        assert smtp.mail(MARY)[0] == 530


def test_relaying_without_a_right_is_a_554(world: World) -> None:
    """On a port where nobody can sign in, only known networks may submit."""
    plain = world.gateway.addresses[1]
    with smtplib.SMTP(plain.hostname or "", plain.port or 0) as smtp:
        smtp.ehlo()
        code, text = smtp.mail(MARY)
        assert (code, text[:5]) == (554, b"5.7.1")
        assert smtp.rcpt(ANNA)[0] == 503


@pytest.mark.parametrize(
    ("sender", "raw"),
    [
        (FOREIGN, mail("foreign")),
        (MARY, mail("foreign", sender=FOREIGN)),
        (None, mail("foreign", sender=FOREIGN)),
        (MARY, mail("foreign", more=f"Sender: {FOREIGN}\r\n")),
        (None, mail("foreign", more=f"Sender: {FOREIGN}\r\n")),
        (MARY, mail("foreign", sender=f"{MARY}, {FOREIGN}")),
        (MARY, mail("foreign", more=f"From: {FOREIGN}\r\n")),
        (MARY, mail("foreign", sender=f'"{MARY}" <{FOREIGN}>')),
    ],
    ids=["MAIL FROM", "From", "From, null sender", "Sender", "Sender, null sender", "two addresses", "two fields", "a name that lies"],
)
def test_a_foreign_sender_is_a_553(world: World, relay: SmtpServer, sender: str | None, raw: bytes) -> None:
    code, text = world.answer_to(raw, sender=sender)
    assert (code, text[:5]) == (553, "5.7.1")
    assert FOREIGN in text
    assert not _with(relay, b"foreign")


# ---- too much -----------------------------------------------------------------------------------------------------------


def test_a_mail_that_says_it_is_too_large_is_a_552_before_it_is_sent(world: World) -> None:
    with world.session() as smtp:
        code, text = smtp.mail(MARY, [f"SIZE={MOST + 1}"])
        assert (code, text[:5]) == (552, b"5.3.4")
        submit(smtp, mail(unique("small")), MARY, [ANNA])


def test_a_mail_that_turns_out_too_large_is_a_552(world: World) -> None:
    with world.session() as smtp:
        smtp.mail(MARY)
        smtp.rcpt(ANNA)
        code, text = smtp.data(mail("too large", text=("x" * 70 + "\r\n") * 15_000))
        assert (code, text[:5]) == (552, b"5.3.4")
        submit(smtp, mail(unique("small")), MARY, [ANNA])


def test_a_recipient_too_many_is_a_452_and_the_others_get_it(world: World, relay: SmtpServer) -> None:
    subject, everybody = unique("recipients"), [f"r{number}@customer.example" for number in range(6)]
    with world.session() as smtp:
        refused = smtp.sendmail(MARY, everybody, mail(subject))
    assert refused == {everybody[5]: (452, refused[everybody[5]][1])}
    assert refused[everybody[5]][1][:5] == b"4.5.3"
    assert [taken.recipients for taken in _arrived(world, relay, subject)] == [everybody[:5]]


def test_a_command_without_an_end_is_refused(world: World) -> None:
    with world.session() as smtp:
        smtp.send(b"x" * 100_000)
        code, text = smtp.getreply()
        smtp.close()
    assert (code, text[:5]) == (521, b"5.5.2"), "there is no telling where the next command begins"


# ---- smuggling and injection --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n\x00.\r\n", b"\n\n.\r\n"],
    ids=["LF LF", "LF CRLF", "CRLF LF", "CR CR", "CR CRLF", "CRLF CR", "NUL", "LF LF CRLF"],
)
def test_a_false_end_lets_no_second_mail_through(world: World, relay: SmtpServer, end: bytes) -> None:
    """RFC 5321 2.3.8: only CR LF ends a line. What another server may take for the end of a mail goes to no other server."""
    smuggled = b"MAIL FROM:<admin@contoso.example>\r\nRCPT TO:<victim@customer.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nhello"
    before = len(relay.commands)
    with world.session() as smtp:
        smtp.mail(MARY)
        smtp.rcpt(ANNA)
        smtp.putcmd("DATA")
        assert smtp.getreply()[0] == 354
        smtp.send(mail("carrier") + end + smuggled + b"\r\n.\r\n")
        code, _ = smtp.getreply()
        smtp.close()
    assert 500 <= code <= 599
    subject = unique("after it")
    world.submit(mail(subject))
    assert len(_arrived(world, relay, subject)) == 1
    assert not [command for command in relay.commands[before:] if "victim" in command or "admin" in command]
    assert not _with(relay, b"smuggled")
    assert not _with(relay, b"carrier")


@pytest.mark.parametrize("separator", ["\r\n", "\n", "\r", "\x00"])
def test_no_address_and_no_greeting_can_begin_a_line_of_its_own(world: World, relay: SmtpServer, separator: str) -> None:
    before = len(relay.commands)
    subject = unique("lines")
    for command in ("EHLO friend{}X-Evil: yes", "MAIL FROM:<mary{}RCPT@contoso.example>", "RCPT TO:<anna{}X@customer.example>"):
        with world.session() as smtp:
            smtp.send(f"{command.format(separator)}\r\n".encode())
            if smtp.getreply()[0] != 521:  # which hangs up
                with contextlib.suppress(smtplib.SMTPResponseException):
                    submit(smtp, mail(subject), MARY, [ANNA])
            smtp.close()
    world.submit(mail(subject))
    world.wait_until_sent(subject)
    assert not [command for command in relay.commands[before:] if "RCPT@" in command or "X@" in command]
    assert not _with(relay, b"\nX-Evil")
    assert all(taken.recipients == [ANNA] for taken in _with(relay, subject.encode()))


def test_a_name_with_a_line_break_in_it_stays_a_name(world: World, relay: SmtpServer) -> None:
    """Rewriting the From takes the encoded words of the name apart and puts them together again."""
    subject = unique("injection")
    evil = f"=?utf-8?q?Desk=0D=0ABcc:_victim@customer.example=0D=0A?= <{SHOP}>"
    world.submit(mail(subject, sender=evil), sender=SHOP, application="shop")
    (taken,) = _arrived(world, relay, subject)
    message = message_from_bytes(taken.content)
    assert message["Bcc"] is None
    assert taken.recipients == [ANNA]


# ---- careless -----------------------------------------------------------------------------------------------------------


def test_what_a_mail_lacks_is_completed(world: World, relay: SmtpServer) -> None:
    subject = unique("incomplete")
    world.submit(f"To: {ANNA}\r\nSubject: {subject}\r\n\r\nHello\r\n".encode())
    (taken,) = _arrived(world, relay, subject)
    message = message_from_bytes(taken.content, policy=default)
    assert [address.addr_spec for address in message["From"].addresses] == [MARY]
    assert message["Date"].datetime is not None
    assert message["Message-ID"].endswith("@gateway.test>")


def test_a_mail_without_any_sender_is_refused(world: World) -> None:
    code, text = world.answer_to(b"Subject: nobody\r\n\r\nHello\r\n", sender=None)
    assert (code, text[:5]) == (550, "5.6.0")


@pytest.mark.parametrize("to", ["undisclosed-recipients:;", f"{ANNA},", f",{ANNA}", "", '"broken <a@', "=?utf-8?q?=FF?= <x@y"])
def test_whatever_the_to_says_the_envelope_decides(world: World, relay: SmtpServer, to: str) -> None:
    subject = unique("to")
    world.submit(mail(subject, to=to))
    (taken,) = _arrived(world, relay, subject)
    assert taken.recipients == [ANNA]


def test_a_line_without_an_end_arrives_in_lines_that_smtp_allows(world: World, relay: SmtpServer) -> None:
    subject = unique("endless")
    world.submit(mail(subject, text="x" * 200_000 + "\r\n"))
    (taken,) = _arrived(world, relay, subject)
    assert max(map(len, taken.content.split(b"\r\n"))) <= 998
    message = message_from_bytes(taken.content)
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.strip() == b"x" * 200_000


@pytest.mark.parametrize("charset", ["x-unknown", "", "utf-8", '"quoted; =?'])
def test_a_charset_that_nobody_knows_does_not_stop_a_mail(world: World, relay: SmtpServer, charset: str) -> None:
    subject = unique("charset")
    raw = mail(subject, more=f"Content-Type: text/plain; charset={charset}\r\n", text="") + b"caf\xe9 \xff\r\n"
    world.submit(raw)
    (taken,) = _arrived(world, relay, subject)
    assert taken.recipients == [ANNA]
    body = message_from_bytes(taken.content).get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.strip() == b"caf\xe9 \xff"


def test_a_client_that_hangs_up_in_the_middle_has_handed_nothing_in(world: World, relay: SmtpServer) -> None:
    before = len(world.deliveries("hung up"))
    with world.session() as smtp:
        smtp.mail(MARY)
        smtp.rcpt(ANNA)
        smtp.putcmd("DATA")
        smtp.getreply()
        smtp.send(mail("hung up"))
        assert smtp.sock is not None
        smtp.sock.shutdown(socket.SHUT_RDWR)
        smtp.close()
    subject = unique("the next")
    world.submit(mail(subject))
    assert _arrived(world, relay, subject)
    assert len(world.deliveries("hung up")) == before
    assert not _with(relay, b"hung up")


def _arrived(world: World, relay: SmtpServer, subject: str) -> list[TakenMail]:
    world.wait_for(subject, State.SENT)
    return eventually(lambda: _with(relay, subject.encode()))


def _with(relay: SmtpServer, words: bytes) -> list[TakenMail]:
    return [taken for taken in relay.mails if words in taken.content]
