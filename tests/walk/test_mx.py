"""Other servers bring mail: the real process with its MX listener, and a real name server."""

from __future__ import annotations

import os
import smtplib
import ssl
import subprocess
import uuid
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import dkim
import pytest

from mailroom_core.mime.headers import Fields
from tests.api.conftest import ANNA, Api, eventually
from tests.api.test_inbound import conversation
from tests.dns_server import DnsServer, dns_server
from tests.unit.gateway.test_authenticity import Key

SALES = "sales@desk.example"
SECURE = "secure@desk.example"
RECORDS = """
customer.example. TXT "v=spf1 ip4:127.0.0.1 -all"
_dmarc.customer.example. TXT "v=DMARC1; p=reject"
bank.example. TXT "v=spf1 -all"
_dmarc.bank.example. TXT "v=DMARC1; p=reject"
s1._domainkey.bank.example. TXT {key}
plain.example. TXT "nothing"
"""


@pytest.fixture(scope="module")
def key() -> Key:
    return Key()


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Iterator[DnsServer]:
    with dns_server(tmp_path_factory.mktemp("dns"), RECORDS.format(key=key.record)) as server:
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, names: DnsServer) -> Iterator[Api]:
    made = gateway_with_mx(tmp_path_factory.mktemp("mx"), names.address, 'max_size = "20MiB"', "max_recipients = 100")
    made["objects"].put(f"/aliases/{SECURE}", json={"destination": "repairs", "authenticated": True})
    eventually(lambda: made["objects"].get(f"/aliases/{SECURE}").status_code == 200)
    yield made
    made.stop()


def gateway_with_mx(folder: Path, resolver: str, *more: str) -> Api:
    """`desk.example` with its MX listener at any free port of loopback."""
    lines = ["enabled = true", 'host = "127.0.0.1"', "port = 0", "messages_per_minute = 0", 'tarpit = "0s"', f'resolver = ["{resolver}"]']
    (folder / "gateway").mkdir()
    config = "\n".join(["[web]", "port = 0", "[[listener]]", "port = 0", "[mx]", *lines, *more, ""])
    (folder / "gateway" / "mailroom.toml").write_text(config)
    return Api(folder)


def mx_port(api: Api) -> int:
    return next(each.port or 0 for each in api.gateway.addresses if each.scheme == "mx")


def server(api: Api) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", mx_port(api), local_hostname="mx.customer.example", timeout=60)


def mail(subject: str, *, sender: str = ANNA, to: str = SALES, more: str = "", text: str = "Two chairs, please.") -> bytes:
    head = f"From: Anna <{sender}>\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{uuid.uuid4()}@c.example>\r\n{more}"
    return f"{head}\r\n{text}\r\n".encode()


def bring(api: Api, raw: bytes, *recipients: str, sender: str = ANNA) -> tuple[int, str]:
    """The reply that decides."""
    with server(api) as smtp:
        try:
            smtp.sendmail(sender, recipients or (SALES,), raw)
        except smtplib.SMTPRecipientsRefused as refused:
            code, words = next(iter(refused.recipients.values()))
            return code, words.decode()
        except smtplib.SMTPResponseException as refused:
            said = refused.smtp_error
            return refused.smtp_code, said.decode() if isinstance(said, bytes) else said
    return 250, ""


def found(api: Api, subject: str) -> dict[str, Any]:
    item: dict[str, Any] = eventually(lambda: (api["reader"].get("/messages", params={"text": subject}).json()["items"] or [None])[0])
    return item


def stored(api: Api, subject: str) -> tuple[str, bytes]:
    """The state of the mail with this subject, and its bytes."""
    item = found(api, subject)
    return item["delivery"]["state"], api["reader"].get(f"/messages/{item['message']['id']}/raw").content


def test_a_mail_from_another_server_stands_in_the_inbox_with_its_trace(api: Api) -> None:
    subject = uuid.uuid4().hex
    forged = "Authentication-Results: gateway.test; dmarc=pass header.from=bank.example\r\nAuthentication-Results: elsewhere; spf=pass\r\n"
    assert bring(api, mail(subject, more=forged)) == (250, "")
    assert conversation(api, subject)["destination"] == "desk"
    _, raw = stored(api, subject)
    fields = Fields(raw)
    assert [each.name for each in fields][:4] == ["Return-Path", "Delivered-To", "Authentication-Results", "Received"]
    ours, theirs = fields.all("Authentication-Results")
    assert ours.startswith(
        "gateway.test; spf=pass smtp.mailfrom=customer.example; dkim=none; dmarc=pass (p=reject) header.from=customer.ex"
    )
    assert theirs.startswith("elsewhere")
    received = fields.get("Received") or ""
    assert received.startswith("from mx.customer.example ([127.0.0.1]) by gateway.test (Mailroom) with ESMTP id ")
    assert f"for <{SALES}>;" in received
    assert raw.endswith(b"\r\n\r\nTwo chairs, please.\r\n")


def test_who_is_not_here_is_refused_and_nothing_is_relayed(api: Api) -> None:
    for address, code, words in (
        ("nobody@desk.example", 550, "5.1.1"),
        ("somebody@else.example", 550, "5.7.1"),
        ("sales%desk.example@else.example", 550, "5.7.1"),
        ("somebody%else.example@desk.example", 550, "5.1.1"),
        ('"somebody@else.example"@desk.example', 550, "5.1.1"),
        ("else.example!somebody@desk.example", 550, "5.1.1"),
        ("@desk.example:somebody@else.example", 553, "5.1.3"),
    ):
        got = bring(api, mail("x"), address)
        assert (got[0], got[1][:5]) == (code, words), address


def test_every_address_of_ours_is_known(api: Api) -> None:
    with server(api) as smtp:
        smtp.ehlo()
        assert "auth" not in smtp.esmtp_features
        smtp.mail("")
        for address in (SALES, "Catchall@desk.example", "bounce@desk.example", "bounce+06xqfhxnc2400-abcdefgh@desk.example"):
            assert smtp.rcpt(address)[0] == 250, address
        for address in ("notifications@desk.example", "postmaster@desk.example"):
            assert smtp.rcpt(address)[0] == 250, address
        assert smtp.docmd("RCPT", "TO:<Postmaster>")[0] == 250
        assert smtp.docmd("AUTH", "PLAIN AGEAYg==")[0] == 500


def test_the_catchall_alone_is_refused_in_the_session(api: Api) -> None:
    code, words = bring(api, mail("x"), "catchall@desk.example")
    assert (code, words[:5]) == (550, "5.7.1")
    assert "only for answers" in words


def test_a_bounce_comes_from_the_null_sender(api: Api) -> None:
    report = EmailMessage(policy=SMTP)
    report["From"], report["To"], report["Subject"] = "MAILER-DAEMON@customer.example", "bounce@desk.example", uuid.uuid4().hex
    report.set_content("Could not be delivered: no such user <gone@customer.example>")
    assert bring(api, report.as_bytes(), "bounce@desk.example", sender="") == (250, "")
    _, raw = stored(api, report["Subject"])
    assert raw.startswith(b"Return-Path: <>\r\n")
    assert b"spf=none smtp.helo=mx.customer.example" in raw


def test_what_its_domain_wants_refused_waits_for_a_person_who_can_let_it_through(api: Api) -> None:
    subject = uuid.uuid4().hex
    assert bring(api, mail(subject, sender="ceo@bank.example"), sender="x@plain.example") == (250, "")
    state, raw = stored(api, subject)
    assert state == "held"
    assert b"dmarc=fail (p=reject) header.from=bank.example" in raw
    item = found(api, subject)
    story = api["reader"].get(f"/messages/{item['message']['id']}").json()
    assert "nothing proves that bank.example has sent it" in str(story)
    assert api["actor"].post(f"/messages/{item['message']['id']}/retry").status_code == 200
    assert conversation(api, subject)["destination"] == "desk"


def test_a_signature_proves_the_sender_also_of_a_large_mail(api: Api, key: Key) -> None:
    for text in ("Small.", "\r\n".join(["x" * 900] * 2000)):
        subject = uuid.uuid4().hex
        raw = mail(subject, sender="ceo@bank.example", to=SECURE, text=text)
        signed = dkim.sign(raw, b"s1", b"bank.example", key.pem, canonicalize=(b"relaxed", b"relaxed")) + raw
        assert bring(api, signed, SECURE, sender="x@plain.example") == (250, "")
        assert conversation(api, subject)["destination"] == "repairs"
        _, stored_raw = stored(api, subject)
        assert stored_raw.endswith(signed)
        assert b"dkim=pass header.d=bank.example header.s=s1;" in stored_raw


def test_an_alias_that_wants_proven_senders_refuses_the_others(api: Api) -> None:
    code, words = bring(api, mail("x", sender="x@plain.example", to=SECURE), SECURE, sender="x@plain.example")
    assert (code, words[:6]) == (550, "5.7.26")
    forged = "Authentication-Results: gateway.test; dmarc=pass header.from=plain.example\r\n"
    assert bring(api, mail("x", sender="x@plain.example", to=SECURE, more=forged), SECURE, sender="x@plain.example")[0] == 550
    subject = uuid.uuid4().hex
    assert bring(api, mail(subject, to=SECURE), SECURE) == (250, "")


def test_a_sender_of_too_many_mails_keeps_the_rest_until_later(api: Api) -> None:
    robot = "robot@customer.example"
    replies = [bring(api, mail(f"alarm {number}", sender=robot), sender=robot) for number in range(22)]
    assert [code for code, _ in replies] == [250] * 20 + [450] * 2
    assert replies[-1][1].startswith("4.7.1 You have sent too many mails")
    assert bring(api, mail("another"), sender=ANNA)[0] == 250


def test_a_mail_that_goes_round_in_circles_is_refused(api: Api) -> None:
    code, words = bring(api, mail("x", more="Received: by a.example; Sat, 21 Nov 2026 12:00:00 +0000\r\n" * 60))
    assert (code, words[:5]) == (554, "5.4.6")


def test_starttls_is_offered_with_the_certificate_of_the_listeners(api: Api) -> None:
    subject = uuid.uuid4().hex
    context = ssl.create_default_context(cafile=str(api.gateway.data / "tls.crt"))
    with server(api) as smtp:
        smtp._host = "localhost"  # type: ignore[attr-defined]  # the name that smtplib checks the certificate for
        smtp.starttls(context=context)
        smtp.sendmail(ANNA, [SALES], mail(subject))
    assert b"with ESMTPS id" in stored(api, subject)[1]


def test_one_mail_for_many_recipients_is_one_mail(api: Api) -> None:
    subject = uuid.uuid4().hex
    with server(api) as smtp:
        smtp.ehlo()
        smtp.mail(ANNA)
        codes = [smtp.rcpt(each)[0] for each in [SALES, "repairs@desk.example", SALES, *[SALES] * 120]]
        assert (codes[:100], set(codes[100:])) == ([250] * 100, {452})
        assert smtp.data(mail(subject))[0] == 250
    items = eventually(lambda: api["reader"].get("/messages", params={"text": subject}).json()["items"])
    assert sorted(each["delivery"]["recipient"] for each in items) == ["repairs@desk.example", SALES]
    assert len({each["message"]["id"] for each in items}) == 1
    raw = stored(api, subject)[1]
    assert message_from_bytes(raw).get_all("Delivered-To") == [SALES, "repairs@desk.example"]
    assert b"for <" not in raw


def test_a_domain_that_says_nothing_of_itself_is_taken_as_it_is(api: Api) -> None:
    subject = uuid.uuid4().hex
    assert bring(api, mail(subject, sender="x@nowhere.invalid"), sender="x@nowhere.invalid") == (250, "")
    assert b"dmarc=none" in stored(api, subject)[1]


def test_the_listener_is_tested_step_by_step(api: Api, names: DnsServer) -> None:
    def tested(**more: str) -> tuple[int, str]:
        environment = {**os.environ, **api.gateway.environment, "MAILROOM_MX_PORT": str(mx_port(api)), **more}
        words = [*api.gateway.words, "incoming", "test", "mx"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout

    code, said = tested()
    assert code == 1, said
    for words in ("self-signed", "550 5.7.1", "550 5.1.1", "add at your DNS: desk.example. MX 10 gateway.test."):
        assert words in said
    names.add("desk.example. MX 10 gateway.test.")
    code, said = tested()
    assert (code, "gateway.test: here" in said) == (0, True), said
    code, said = tested(MAILROOM_MX_ENABLED="false")
    assert (code, "enabled = true" in said) == (1, True)


def test_what_was_answered_with_250_is_there_after_a_crash(api: Api) -> None:
    small, large = uuid.uuid4().hex, uuid.uuid4().hex
    with server(api) as smtp:
        smtp.sendmail(ANNA, [SALES], mail(small))
        smtp.sendmail(ANNA, [SALES], mail(large, text="\r\n".join(["x" * 900] * 5000)))
        api.gateway.kill()
    api.gateway.start()
    api.forget_clients()
    for subject in (small, large):
        assert conversation(api, subject)["destination"] == "desk"
