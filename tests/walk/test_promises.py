"""The promises that one can't see from outside: what is synced before a 250, and that no secret lies anywhere in clear text."""

from __future__ import annotations

import base64
import re
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT
from mailroom.settings import Settings
from mailroom.wiring.parts import open_parts
from tests.contract.smtp_server import Script
from tests.walk.conftest import QUICK_LOOKS, MakeWorld
from tests.walk.sink import smtp_sink
from tests.walk.world import ANNA, MARY, TOM, World, eventually, mail, submit, unique

# ---- 250 means: it lies on the disk -------------------------------------------------------------------------------------

CALLS = "fsync,fdatasync,rename,renameat,renameat2,pwrite64,write,sendto,sendmsg"
CLEAR = {"MAILROOM_SMTP_CLEAR_TEXT_LOGIN_ON_LOOPBACK": "true"}
"""So that replies can be read in a trace."""
LARGE = ("x" * 70 + "\r\n") * 20_000

WAL_WRITTEN = r"pwrite64\(\d+<[^>]*/mailroom\.db-wal>"
WAL_SYNCED = r"(fsync|fdatasync)\(\d+<[^>]*/mailroom\.db-wal>\) += 0"
BLOB_SYNCED = r"(fsync|fdatasync)\(\d+<[^>]*/spool/[^/>]+>\) += 0"
BLOB_NAMED = r"rename\w*\(.*\.eml\"\) += 0|rename\w*\(.*\.eml\", \w+\) += 0"
FOLDER_SYNCED = r"(fsync|fdatasync)\(\d+<[^>]*/blobs/[0-9a-f]{2}>\) += 0"
YES = r"250 2\.0\.0 queued as"


@pytest.fixture(scope="module")
def traced(make_world: MakeWorld) -> World:
    if shutil.which("strace") is None:
        pytest.skip("the package strace is not installed")
    return make_world(environment=CLEAR).set_up()


def test_a_small_mail_is_synced_in_the_database_before_its_250(traced: World) -> None:
    steps = _trace_of_a_submission(traced, mail(unique("synced")))
    assert _order(steps, WAL_WRITTEN, WAL_SYNCED, YES), "\n".join(steps)


def test_a_large_mail_is_synced_with_its_folder_and_then_in_the_database_before_its_250(traced: World) -> None:
    steps = _trace_of_a_submission(traced, mail(unique("synced"), text=LARGE))
    assert _order(steps, BLOB_SYNCED, BLOB_NAMED, FOLDER_SYNCED, WAL_WRITTEN, WAL_SYNCED, YES), "\n".join(steps)


def _trace_of_a_submission(world: World, raw: bytes) -> list[str]:
    """System calls in the order in which they were done, by the process that accepts, from DATA to its reply."""
    with smtplib.SMTP(world.gateway.host, world.gateway.port, timeout=60) as smtp:
        smtp.login("erp", world.passwords["erp"])
        file = world.folder / "trace"
        with _strace(world.gateway.process.pid, file):
            submit(smtp, raw, MARY, [ANNA])
            assert eventually(lambda: re.search(YES, file.read_text("ascii", "replace")), every=0.02)
    return list(_calls(file.read_text("ascii", "replace").splitlines()))


@contextmanager
def _strace(pid: int, file: Path) -> Iterator[None]:
    tracer = subprocess.Popen(
        ["strace", "-f", "-y", "-s", "60", "-e", f"trace={CALLS}", "-o", str(file), "-p", str(pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    try:
        said = tracer.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"strace can't attach here: {said.strip()}")
        yield
    finally:
        tracer.terminate()
        tracer.wait()
        tracer.stderr.close()


def _calls(lines: list[str]) -> Iterator[str]:
    """Each call when it is done; one that another thread interrupted in the listing is put together again."""
    begun: dict[str, str] = {}
    for line in lines:
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>").strip()
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            yield begun.pop(thread, "") + resumed[1]
        else:
            yield call


def _order(steps: list[str], *wanted: str) -> bool:
    """Whether these occur in this order, each after the one before, and the last one not before that."""
    at = 0
    for pattern in wanted[:-1]:
        found = next((number for number in range(at, len(steps)) if re.search(pattern, steps[number])), None)
        if found is None:
            return False
        at = found + 1
    first_yes = next(number for number, step in enumerate(steps) if re.search(wanted[-1], step))
    return at <= first_yes


# ---- no secret in clear text --------------------------------------------------------------------------------------------

WRONG_PASSWORD = "canary-typed-into-the-wrong-field"
RELAY_PASSWORD = "canary-of-the-smarthost"
UPLOAD_TOKEN = "authtoken="
"""An upload's address is a credential."""
MARTHA = "martha@warehouse.example"
APP = """
[server."app"]
from_filter = ["tom@contoso.example"]
graph = { account = "app" }
"""


def test_no_secret_is_found_in_a_log_a_database_an_address_or_an_error(make_world: MakeWorld) -> None:
    world = make_world(environment={**QUICK_LOOKS, "MAILROOM_LOG_LEVEL": "debug"})
    with smtp_sink(Script(offered=("AUTH PLAIN",), auth={"PLAIN": b"535 5.7.8 wrong\r\n"})) as relay:
        said = _set_up(world, relay.port)
        secrets = _tokens(world)
        said += _walk(world)
        secrets |= _tokens(world)
        world.gateway.stop()
        assert any(command.startswith("AUTH") for command in relay.commands), "the smarthost's password was used"
    assert len(secrets) >= 5, "access and refresh token before and after the walk, and the app's token"
    secrets |= {CONFIDENTIAL_SECRET, RELAY_PASSWORD, WRONG_PASSWORD, UPLOAD_TOKEN, *world.passwords.values()}
    assert _found(world, said, secrets) == []
    assert _found(world, said, {MARY}), "what is there is found"


def _set_up(world: World, port: int) -> str:
    """A person's sign-in, an app with a secret, a smarthost with a password; what the command line said."""
    urls = ("--login-url", world.emulator.url, "--graph-url", world.emulator.url)
    options = ("--app-only", "--secret", "--client-id", CONFIDENTIAL_CLIENT, "--tenant", TENANT, "--mailbox", TOM, "--no-server")
    said = world.gateway.run("connect", "app", *options, *urls, stdin=f"{CONFIDENTIAL_SECRET}\n")
    where = ("--host", "127.0.0.1", "--port", str(port), "--security", "none", "--from-filter", "warehouse.example")
    said += world.gateway.run("server", "add-smarthost", "relay", *where, "--user", "mailroom", stdin=f"{RELAY_PASSWORD}\n")
    world.add_application("warehouse", "*")
    world.set_up(APP)
    return said + world.gateway.run("export")


def _walk(world: World) -> str:
    """Everything at which a secret passes by: sending, large mail, refused and revoked tokens, wrong passwords, failures."""
    said = ""
    for sender, text in ((MARY, "Hello\r\n"), (TOM, "Hello\r\n")):
        subject = unique("canary")
        world.submit(mail(subject, sender=sender, text=text), sender=sender)
        world.wait_until_sent(subject)
    with world.session(login=False) as smtp, pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
        smtp.login("erp", WRONG_PASSWORD)
    said += str(refusal.value)
    with world.session(login=False) as smtp:
        smtp.docmd("AUTH", f"PLAIN {WRONG_PASSWORD}")
        smtp.docmd(WRONG_PASSWORD)
    for operation in ("createDraft", "send", "uploadRange"):
        world.emulator.fault(match={"operation": operation}, action={"kind": "answer", "status": 401})
    world.submit(mail(unique("canary"), sender=MARTHA), sender=MARTHA, application="warehouse")
    subject = unique("canary")
    world.submit(_with_file(subject), sender=MARY)
    world.wait_until_sent(subject)
    world.emulator.fault(match={"operation": "token"}, action={"kind": "answer", "status": 400, "aadsts": 7000215})
    world.emulator.fault(match={"operation": "createDraft", "mailbox": TOM}, action={"kind": "answer", "status": 401})
    world.submit(mail(unique("canary"), sender=TOM), sender=TOM)
    return said + world.held(TOM) + world.gateway.run("status") + world.gateway.run("queue", "list") + world.story("canary")


def _tokens(world: World) -> set[str]:
    """What the vault holds at the moment."""
    parts = open_parts(Settings(data=world.gateway.data))
    try:
        kept = [parts.vault.open(name) or {} for name in ("account:office", "account:app")]
    finally:
        parts.close()
    return {each[name] for each in kept for name in ("access_token", "refresh_token") if each.get(name)}


def _found(world: World, said: str, secrets: set[str]) -> list[str]:
    """Where a secret, or its base64, can be read."""
    places = {str(path): path.read_bytes() for path in world.gateway.data.rglob("*") if path.is_file() and path.name != "vault.key"}
    places["log"] = world.gateway.output.read_bytes()
    places["command line"] = said.encode()
    asked = world.emulator.ask("GET", "/requests", params={"limit": 2000})
    places["addresses"] = "\n".join(request["path"] for request in asked).encode()
    needles = {form for secret in secrets for form in _forms(secret)}
    return [f"{place}: {needle[:12]!r}..." for place, content in places.items() for needle in needles if needle in content]


def _forms(secret: str) -> list[bytes]:
    """Itself, and base64 of it wherever it begins in the encoded text."""
    plain = secret.encode()
    shifted = [base64.b64encode(b"\0" * offset + plain)[4 if offset else 0 : -4] for offset in range(3)]
    return [plain, *shifted]


def _with_file(subject: str) -> bytes:
    """Large enough for an upload session, whose address carries a token of its own."""
    kind = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n'
    head = "--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
    content = "Content-Transfer-Encoding: base64\r\n\r\n" + "QUFB\r\n" * 1_100_000
    return mail(subject, more=kind, text=f"{head}{content}--b--\r\n")
