"""`mailroom pipe`, as a mail server's alias calls it, against the running gateway."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.api.conftest import ANNA, Api
from tests.api.test_inbound import REPAIRS, SALES, conversation, mail

TRACE = "Received: by host.example (Postfix) id {}; Sat, 21 Nov 2026 12:00:00 +0000\r\n"


def pipe(
    api: Api, stdin: bytes, *words: str, token: str = "inbound", url: str = "", folder: Path, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    file = folder / "token"
    file.write_text(api.tokens.get(token, token) + "\n")
    given = {
        **os.environ,
        "MAILROOM_URL": url or api.gateway.web,
        "MAILROOM_TOKEN_FILE": str(file),
        "MAILROOM_DOMAIN": "desk.example",
        **environment,
    }
    command = [sys.executable, "-m", "mailroom.cli", "pipe", *words]
    return subprocess.run(command, input=stdin, capture_output=True, env=given, timeout=60, check=False)


def envelope(api: Api, subject: str) -> tuple[str | None, list[str], bytes]:
    """Sender, recipients and the bytes of the mail with this subject."""
    (item,) = api["reader"].get("/messages", params={"text": subject}).json()["items"]
    raw = api["reader"].get(f"/messages/{item['message']['id']}/raw").content
    return item["message"]["sender"], [item["delivery"]["recipient"]], raw


def test_what_a_transport_hands_over_goes_to_its_alias(api: Api, tmp_path: Path) -> None:
    subject = uuid.uuid4().hex
    raw = mail(subject, to="somebody@else.example").replace(b"\r\n", b"\n")
    done = pipe(api, raw, "--sender", ANNA, "--", "repairs", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert conversation(api, subject)["destination"] == "repairs"
    sender, recipients, kept = envelope(api, subject)
    assert (sender, recipients) == (ANNA, [REPAIRS])
    assert b"\n" not in kept.replace(b"\r\n", b"")


def test_an_alias_of_postfix_says_everything_in_its_environment(api: Api, tmp_path: Path) -> None:
    subject = uuid.uuid4().hex
    raw = b"From MAILER-DAEMON  Sat Nov 21 12:00:00 2026\n" + mail(subject)
    done = pipe(api, raw, folder=tmp_path, SENDER="MAILER-DAEMON", RECIPIENT="pipe@localhost", ORIGINAL_RECIPIENT=SALES)
    assert done.returncode == 0, done.stderr
    sender, recipients, kept = envelope(api, subject)
    assert (sender, recipients) == (None, [SALES])
    assert b"From MAILER" not in kept


def test_without_a_word_about_the_sender_the_trace_is_read(api: Api, tmp_path: Path) -> None:
    for line in (f"From {ANNA} Sat Nov 21 12:00:00 2026\n", f"Return-Path: <{ANNA}>\r\n"):
        subject = uuid.uuid4().hex
        done = pipe(api, line.encode() + mail(subject), "--recipient", SALES, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert envelope(api, subject)[0] == ANNA


def test_a_mail_server_that_tries_again_hands_over_one_mail(api: Api, tmp_path: Path) -> None:
    subject = uuid.uuid4().hex
    raw = mail(subject, more=TRACE.format(uuid.uuid4().hex))
    for _ in range(2):
        assert pipe(api, raw, "--sender", ANNA, SALES, folder=tmp_path).returncode == 0
    assert len(api["reader"].get("/messages", params={"text": subject}).json()["items"]) == 1


def test_a_destination_may_take_what_no_alias_wants(api: Api, tmp_path: Path) -> None:
    subject = uuid.uuid4().hex
    words = ("--sender", ANNA, "--recipient", "else@desk.example")
    assert pipe(api, mail(subject), *words, "--destination", "repairs", folder=tmp_path).returncode == 0
    assert conversation(api, subject)["destination"] == "repairs"
    done = pipe(api, mail(subject), *words, "--destination", "nowhere", folder=tmp_path)
    assert (done.returncode, b"no destination" in done.stderr) == (os.EX_DATAERR, True)


@pytest.mark.parametrize(
    ("recipient", "stdin", "token", "url", "code", "told"),
    [
        (SALES, mail("x"), "inbound", "http://127.0.0.1:9", os.EX_TEMPFAIL, b"see that it runs"),
        (SALES, mail("x"), "mrt_wrong", "", os.EX_TEMPFAIL, b"not known"),
        (SALES, mail("x"), "reader", "", os.EX_TEMPFAIL, b"inbound:write"),
        ("nobody@desk.example", mail("x"), "inbound", "", os.EX_NOUSER, b"5.1.1 There is no such address"),
        ("catchall@desk.example", mail("x"), "inbound", "", os.EX_UNAVAILABLE, b"5.7.1 This address is only for answers"),
        ("a@b@c", mail("x"), "inbound", "", os.EX_DATAERR, b"no address"),
        (SALES, b"", "inbound", "", os.EX_DATAERR, b"empty"),
        (SALES, b"X: " + b"x" * 300_000, "inbound", "", os.EX_DATAERR, b"no empty line"),
        (SALES, b"Subject: x\n\na\0b\n", "inbound", "", os.EX_DATAERR, b"NUL"),
        ("", mail("x"), "inbound", "", os.EX_USAGE, b"--recipient"),
    ],
)
def test_the_mail_server_is_told_by_exit_codes(
    api: Api, recipient: str, stdin: bytes, token: str, url: str, code: int, told: bytes, tmp_path: Path
) -> None:
    words = ("--sender", ANNA, "--recipient", recipient)
    done = pipe(api, stdin, *words, token=token, url=url, folder=tmp_path, RECIPIENT="", ORIGINAL_RECIPIENT="")
    assert (done.returncode, done.stdout) == (code, b""), done.stderr
    assert told in done.stderr
    assert done.stderr.startswith(b"mailroom pipe: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_mail_beyond_the_limit_is_the_mails_fault(api: Api, tmp_path: Path) -> None:
    script = f"import sys\nsys.stdout.write('Subject: x\\n\\n')\nfor _ in range(200):\n    sys.stdout.write('{'x' * 99}\\n' * 10000)\n"
    file = tmp_path / "token"
    file.write_text(api.tokens["inbound"])
    words = [sys.executable, "-m", "mailroom.cli", "pipe", "--url", api.gateway.web, "--token-file", str(file), "--sender", ANNA, SALES]
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    done = subprocess.run(words, stdin=writer.stdout, capture_output=True, timeout=120, check=False)
    assert writer.stdout is not None
    writer.stdout.close()
    writer.wait()
    assert done.returncode == os.EX_DATAERR, done.stderr
    assert b"larger than" in done.stderr
