"""`mailroom sendmail`, with the arguments that cron and PHP use, against the running gateway."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.api.conftest import ANNA, MARY, Api


def sendmail(api: Api, stdin: bytes, *words: str, token: str = "erp", url: str = "", folder: Path) -> subprocess.CompletedProcess[bytes]:
    file = folder / "token"
    file.write_text(api.tokens.get(token, token) + "\n")
    environment = {
        **os.environ,
        "MAILROOM_URL": url or api.gateway.web,
        "MAILROOM_TOKEN_FILE": str(file),
        "MAILROOM_DOMAIN": "contoso.example",
    }
    command = [sys.executable, "-m", "mailroom.cli", "sendmail", *words]
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=60, check=False)


def arrived(api: Api, subject: str) -> tuple[list[str], str | None, bytes]:
    """Recipients, envelope sender and bytes of the mail with this subject."""
    items = api["reader"].get("/messages", params={"text": subject}).json()["items"]
    assert items, f"no mail {subject!r}"
    number, sender = items[0]["message"]["id"], items[0]["message"]["sender"]
    return sorted(each["delivery"]["recipient"] for each in items), sender, api.arrived(number)


def test_php_reads_the_recipients_from_the_head(api: Api, tmp_path: Path) -> None:
    subject = uuid.uuid4().hex
    head = f"To: Anna <{ANNA}>\nSubject: {subject}\nX-PHP-Script: x\nBcc: hidden@x.example,\n more@x.example\nFrom: {MARY}\n"
    done = sendmail(api, f"{head}\nHello\n.\nthere\n".encode(), "-t", "-i", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    recipients, _, content = arrived(api, subject)
    assert recipients == [ANNA, "hidden@x.example", "more@x.example"]
    assert b"hidden" not in content
    assert b"more@" not in content
    assert content.endswith(b"\r\n\r\nHello\r\n.\r\nthere\r\n")


def test_cron_mails_a_user_of_the_machine(api: Api, tmp_path: Path) -> None:
    subject = f"Cron <root@host> {uuid.uuid4().hex}"
    raw = f"From: root (Cron Daemon)\nTo: root\nSubject: {subject}\nAuto-Submitted: auto-generated\n\noutput\n".encode()
    done = sendmail(api, raw, "-FCronDaemon", "-i", "-B8BITMIME", "-oem", "-f", "root", "root", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    recipients, sender, content = arrived(api, subject)
    assert (recipients, sender) == (["root@contoso.example"], "root@contoso.example")
    assert b'From: "CronDaemon" <root@contoso.example>\r\n' in content
    assert b"(Cron Daemon)" not in content


def test_a_dot_ends_the_mail_unless_it_is_ignored(api: Api, tmp_path: Path) -> None:
    subject = uuid.uuid4().hex
    done = sendmail(api, f"From: {MARY}\nSubject: {subject}\n\none\n.\ntwo\n".encode(), "-f", MARY, ANNA, folder=tmp_path)
    assert done.returncode == 0
    assert arrived(api, subject)[2].endswith(b"\r\n\r\none\r\n")


def test_a_text_without_a_head_is_a_mail(api: Api, tmp_path: Path) -> None:
    word = uuid.uuid4().hex
    assert sendmail(api, f"just {word}\n".encode(), "-f", f"{word}@contoso.example", ANNA, folder=tmp_path).returncode == 0
    assert arrived(api, word)[2].endswith(f"\r\n\r\njust {word}\r\n".encode())


def test_a_large_mail_passes(api: Api, tmp_path: Path) -> None:
    subject = uuid.uuid4().hex
    body = b"0123456789" * 100_000 + b"\n"
    done = sendmail(api, f"From: {MARY}\nSubject: {subject}\n\n".encode() + body, "-i", "-f", MARY, ANNA, folder=tmp_path)
    assert done.returncode == 0
    assert arrived(api, subject)[2].endswith(body.replace(b"\n", b"\r\n"))


@pytest.mark.parametrize(
    ("words", "stdin", "token", "url", "code", "told"),
    [
        (["-f", MARY, ANNA], b"x\n", "erp", "http://127.0.0.1:9", os.EX_TEMPFAIL, b"see that it runs"),
        (["-f", MARY, ANNA], b"x\n", "mrt_wrong", "", os.EX_NOPERM, b"not known"),
        (["-f", MARY, ANNA], b"x\n", "reader", "", os.EX_NOPERM, b"messages:send"),
        (["-f", "me@else.example", ANNA], b"x\n", "erp", "", os.EX_NOPERM, b"may not send as"),
        (["-f", MARY, "a@b@c"], b"x\n", "erp", "", os.EX_DATAERR, b"no address"),
        (["-f", MARY, "-t"], b"Subject: x\n\n", "erp", "", os.EX_USAGE, b"no recipient"),
        (["-bs"], b"", "erp", "", os.EX_USAGE, b"not supported"),
        (["-Z"], b"", "erp", "", os.EX_USAGE, b"-Z"),
    ],
)
def test_exit_codes_are_those_of_sysexits(
    api: Api, words: list[str], stdin: bytes, token: str, url: str, code: int, told: bytes, tmp_path: Path
) -> None:
    done = sendmail(api, stdin, *words, token=token, url=url, folder=tmp_path)
    assert (done.returncode, done.stdout) == (code, b""), done.stderr
    assert told in done.stderr


def test_without_a_token_the_administrator_is_told_how_to_make_one(api: Api, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mailroom.cli", "sendmail", "--token-file", str(tmp_path / "none"), ANNA]
    done = subprocess.run(command, input=b"x\n", capture_output=True, timeout=60, check=False)
    assert done.returncode == os.EX_CONFIG
    assert b"mailroom token add" in done.stderr
