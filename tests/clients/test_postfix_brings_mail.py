"""Postfix brings mail: by SMTP to the MX listener, and by `mailroom pipe` from an alias and from a transport."""

from __future__ import annotations

import os
import shlex
import shutil
import smtplib
import subprocess
import sys
import sysconfig
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.place import Place
from bench.postfix import Postfix, running
from tests.api.conftest import ANNA, Api, eventually
from tests.api.test_inbound import conversation
from tests.dns_server import dns_server
from tests.walk.test_mx import gateway_with_mx, mail, mx_port

pytestmark = [
    pytest.mark.skipif(shutil.which("postfix", path="/usr/sbin:/usr/bin") is None, reason="the package postfix is missing"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix can only be started by root"),
]
RECORDS = 'customer.example. TXT "v=spf1 ip4:127.0.0.1 -all"\n_dmarc.customer.example. TXT "v=DMARC1; p=reject"\n'
SALES = "sales@desk.example"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not pytest's own: what Postfix starts runs as nobody, and must be able to get there."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    place = tmp_path_factory.mktemp("postfix")
    with dns_server(place / "dns", RECORDS) as names:
        made = gateway_with_mx(place, names.address)
        yield made
        made.stop()


def command(folder: Path, url: str, name: str) -> Path:
    """`mailroom pipe` as a file that nobody may start; what it says goes to the log of Postfix."""
    path = ":".join([*filter(None, os.environ.get("PYTHONPATH", "").split(":")), sysconfig.get_paths()["purelib"]])
    for python in (sys.executable, "/usr/bin/python3"):
        words = [python, "-c", "import mailroom.cli.pipe, mailroom_client"]
        if _works(words, {"PYTHONPATH": path}):
            break
    else:
        pytest.skip("the user nobody can start no Python that has Mailroom")
    token, script = folder / f"{name}.token", folder / name
    script.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(path)} MAILROOM_URL={url}\n"
        f'exec {python} -m mailroom.cli pipe --token-file {token} "$@"\n'
    )
    script.chmod(0o755)
    return script


def _works(words: list[str], environment: dict[str, str]) -> bool:
    try:
        return subprocess.run(words, user="nobody", env=environment, capture_output=True, check=False, cwd="/").returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def postfix(api: Api, folder: Path) -> Iterator[Postfix]:
    script, down = command(folder, api.gateway.web, "pipe"), command(folder, "http://127.0.0.1:9", "down")
    for name in ("pipe", "down"):
        (folder / f"{name}.token").write_text(api.tokens["inbound"])
        (folder / f"{name}.token").chmod(0o644)
    (folder / "aliases").write_text(f'sales "|{script} --recipient {SALES}"\nrepairs "|{script}"\ndown "|{down} --recipient {SALES}"\n')
    main = {
        "mydestination": "host.example",
        "alias_maps": f"texthash:{folder / 'aliases'}",
        "virtual_alias_maps": "inline:{ repairs@desk.example=repairs@host.example }",
        "transport_maps": "inline:{ in.example=mailroom:, desk.example=smtp:[127.0.0.1]:%d }" % mx_port(api),  # noqa: UP031  # braces
        "relay_domains": "in.example",
        "smtp_helo_name": "mx.customer.example",
        "smtp_tls_security_level": "may",
        "bounce_queue_lifetime": "0",
    }
    services = f"""local unix - n n - - local
mailroom unix - n n - 10 pipe
  flags=Rhu user=nobody null_sender=
  argv={script} --sender ${{sender}} ${{recipient}}
"""
    with running(Place(folder, folder), 9, main=main, services=services) as started:
        yield started


def send(postfix: Postfix, raw: bytes, *recipients: str, sender: str = ANNA) -> None:
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=60) as smtp:
        smtp.sendmail(sender, recipients, raw)


def log(folder: Path) -> str:
    return (folder / "postfix" / "mail.log").read_text()


def stored(api: Api, subject: str) -> bytes:
    found = eventually(lambda: api["reader"].get("/messages", params={"text": subject}).json()["items"])
    assert found, f"no mail {subject!r}"
    return api["reader"].get(f"/messages/{found[0]['message']['id']}/raw").content


def test_an_alias_hands_mail_over(api: Api, postfix: Postfix) -> None:
    subject = uuid.uuid4().hex
    send(postfix, mail(subject), "sales@host.example")
    assert conversation(api, subject)["destination"] == "desk"
    raw = stored(api, subject)
    assert raw.startswith(f"Return-Path: <{ANNA}>\r\nDelivered-To: {SALES}\r\n".encode())


def test_an_alias_without_words_hands_over_whom_the_mail_was_for_at_first(api: Api, postfix: Postfix) -> None:
    subject = uuid.uuid4().hex
    send(postfix, mail(subject), "repairs@desk.example", sender="")
    assert conversation(api, subject)["destination"] == "repairs"
    assert stored(api, subject).startswith(b"Return-Path: <>\r\nDelivered-To: repairs@desk.example\r\n")


def test_a_transport_hands_over_a_large_mail_with_its_envelope(api: Api, postfix: Postfix) -> None:
    subject, token = uuid.uuid4().hex, uuid.uuid4().hex
    api["objects"].put(f"/aliases/{token}@in.example", json={"destination": "desk"})
    eventually(lambda: api["objects"].get(f"/aliases/{token}@in.example").status_code == 200)
    send(postfix, mail(subject, text="\r\n".join(["x" * 900] * 3000)), f"{token}@in.example")
    assert conversation(api, subject)["destination"] == "desk"


def test_what_nobody_takes_is_sent_back_by_postfix_with_the_reason(api: Api, postfix: Postfix, folder: Path) -> None:
    gone = f"{uuid.uuid4().hex}@in.example"
    send(postfix, mail("x"), gone)
    assert eventually(lambda: f"to=<{gone}>" in log(folder))
    (line,) = [each for each in log(folder).splitlines() if f"to=<{gone}>" in each and "relay=mailroom" in each]
    assert "dsn=5.1.1, status=bounced (user unknown" in line
    assert "There is no such address here" in line


def test_mail_waits_in_the_queue_while_the_gateway_is_down(postfix: Postfix, folder: Path) -> None:
    send(postfix, mail("x"), "down@host.example")
    assert eventually(lambda: "status=deferred" in log(folder) and "see that it runs" in log(folder)), log(folder)[-2000:]


def test_postfix_finds_the_mx(api: Api, postfix: Postfix, folder: Path) -> None:
    subject, gone = uuid.uuid4().hex, f"{uuid.uuid4().hex}@desk.example"
    send(postfix, mail(subject, text="\r\n".join(["x" * 900] * 3000)), SALES, gone)
    assert conversation(api, subject)["destination"] == "desk"
    raw = stored(api, subject)
    assert b"spf=pass smtp.mailfrom=customer.example;" in raw
    assert b"with ESMTPS id" in raw, "Postfix uses TLS where it is offered"
    assert eventually(lambda: f"to=<{gone}>" in log(folder))
    assert "550 5.1.1 There is no such address here" in log(folder)
