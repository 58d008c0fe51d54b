"""`mailroom doctor message` with real signatures, keys in a real name server, and SpamAssassin where it is installed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.dns.world import txt
from tests.dns_server import DnsServer, dns_server

KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = base64.b64encode(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
RECEIVED = (
    b"Received: from out.signed.test by mx.test with ESMTPS id 1; Fri, 20 Nov 2026 10:00:02 +0000\r\n"
    b"Authentication-Results: mx.test; spf=pass smtp.mailfrom=signed.test; dkim=pass header.d=signed.test\r\n"
)
MAIL = (
    b"From: mary@signed.test\r\nTo: anna@receiver.test\r\nSubject: Order 7\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <7.8.9.order@signed.test>\r\n\r\nThank you for your order. It leaves tomorrow.\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsServer]:
    records = [txt("_dmarc.signed.test", "v=DMARC1; p=reject"), txt("s1._domainkey.signed.test", f"v=DKIM1; p={PUBLIC}")]
    with dns_server(Path(tmp_path_factory.mktemp("dns")), "\n".join([*records, "signed.test. MX 10 mx.signed.test."])) as made:
        yield made


def signed() -> bytes:
    secret = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    made: bytes = dkim.sign(MAIL, b"s1", b"signed.test", secret)
    return RECEIVED + made + MAIL


def doctor(server: DnsServer, folder: Path, raw: bytes) -> tuple[int, dict[str, Any]]:
    file = folder / "mail.eml"
    file.write_bytes(raw)
    environment = {**os.environ, "MAILROOM_DATA": str(folder / "data"), "MAILROOM_DOCTOR_RESOLVER": server.address}
    words = [sys.executable, "-m", "mailroom.cli", "doctor", "message", str(file), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_signed_mail_is_good_and_one_that_was_changed_on_the_way_says_so(server: DnsServer, tmp_path: Path) -> None:
    code, good = doctor(server, tmp_path, signed())
    assert (code, good["score"], good["findings"]) == (0, 10.0, [])
    installed = shutil.which("spamassassin") is not None
    verdicts = {each["area"]: each["verdict"] for each in good["checks"]}
    assert (verdicts["DKIM"], verdicts["DMARC"], verdicts["SpamAssassin"]) == ("good", "good", "good" if installed else "unchecked")
    _, changed = doctor(server, tmp_path, signed().replace(b"tomorrow", b"never"))
    (finding,) = changed["findings"]
    assert (finding["code"], "changed it since" in finding["why"]) == ("mail-dkim", True)
    assert changed["score"] == 9.5


def test_a_forged_mail_is_harmful(server: DnsServer, tmp_path: Path) -> None:
    forged = RECEIVED.replace(b"signed.test; dkim=pass header.d=signed.test", b"evil.test; dkim=none") + MAIL
    code, found = doctor(server, tmp_path, forged)
    assert code == 1
    assert found["findings"][0]["code"] == "mail-dmarc"
