"""A real Dovecot (Debian's dovecot-imapd, -pop3d and -lmtpd) as a private instance on loopback, with mailboxes that come up when asked for.

with Dovecot(authority) as dovecot:
    dovecot.deliver("info@contoso.example", raw)
    ... IMAP at dovecot.port("imaps"), POP3 at dovecot.port("pop3s") ...

Every mailbox has the password PASSWORD; with XOAUTH2, `owner(token)` says whose a token is.
"""

from __future__ import annotations

import grp
import http.server
import imaplib
import json
import os
import pwd
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.contract.transports.certificates import Authority

PROGRAM = shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin:/usr/bin")
PASSWORD = "a-password-that-is-no-secret"
PATIENCE = 30.0
SERVICES = ("imap", "imaps", "pop3", "pop3s", "lmtp")
LIBRARIES = ("/usr/lib/dovecot/imap", "/usr/lib/dovecot/pop3", "/usr/lib/dovecot/lmtp")
CONFIGURATION = """
base_dir = {run}
state_dir = {run}
log_path = {folder}/dovecot.log
protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
auth_cache_size = 0
mail_location = maildir:{folder}/mail/%u
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
mail_max_userip_connections = 100
postmaster_address = postmaster@dovecot.test
imap_capability = {capability}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Done {{
    auto = create
  }}
  mailbox "Invoices/New" {{
    auto = create
  }}
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u allow_all_users=yes
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
"""
OAUTH2 = """
tokeninfo_url = {url}/tokeninfo?access_token=
username_attribute = email
introspection_mode = auth
introspection_url = {url}/tokeninfo
"""


def needed() -> None:
    """Skips where Dovecot is missing."""
    missing = [path for path in LIBRARIES if not Path(path).exists()]
    if PROGRAM is None or missing:
        pytest.skip("the packages dovecot-imapd, dovecot-pop3d and dovecot-lmtpd are missing")


class Dovecot:
    """`capability` replaces what it says of itself over IMAP: less, or something else."""

    def __init__(self, authority: Authority, *, owner: Callable[[str], str] = lambda token: "", capability: str = "") -> None:
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="dovecot-")))
        self.folder.chmod(0o755)
        self.ports = dict(zip(SERVICES, _free_ports(len(SERVICES)), strict=True))
        self._tokens = self._stack.enter_context(_TokenInfo(owner))
        root = os.geteuid() == 0
        me = pwd.getpwuid(os.geteuid()).pw_name
        user = "nobody" if root else me
        group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
        (self.folder / "mail").mkdir()
        (self.folder / "run").mkdir()
        if root:
            shutil.chown(self.folder / "mail", user, group)
        (self.folder / "oauth2.conf").write_text(OAUTH2.format(url=self._tokens.url))
        certificate = self.folder / "key.pem"
        certificate.write_bytes(authority.issue("127.0.0.1").read_bytes())
        self.configuration = self.folder / "dovecot.conf"
        self.configuration.write_text(
            CONFIGURATION.format(
                folder=self.folder,
                run=self.folder / "run",
                certificate=certificate,
                user=user,
                group=group,
                internal="dovecot" if root else me,
                internal_group="dovecot" if root else group,
                login="dovenull" if root else me,
                password=PASSWORD,
                capability=capability,
                **self.ports,
            )
        )
        self.authority = authority
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._stack.close()

    def start(self) -> None:
        assert PROGRAM is not None
        with (self.folder / "output.log").open("ab") as output:
            self.process = subprocess.Popen([PROGRAM, "-F", "-c", str(self.configuration)], stdout=output, stderr=output)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            if all(_answers(port) for port in self.ports.values()):
                return
            time.sleep(0.05)
        raise AssertionError(f"Dovecot did not start:\n{self.log()}")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def log(self) -> str:
        files = (self.folder / "dovecot.log", self.folder / "output.log")
        return "".join(file.read_text(errors="replace") for file in files if file.exists())[-4000:]

    # -- what happens in mailboxes

    def deliver(self, mailbox: str, *mails: bytes) -> None:
        """By LMTP, as a mail server hands over what has arrived."""
        with smtplib.LMTP("127.0.0.1", self.ports["lmtp"], timeout=300) as lmtp:
            for raw in mails:
                lmtp.sendmail("sender@outside.example", [mailbox], raw)

    def fill(self, mailbox: str, mails: Iterable[bytes]) -> None:
        """Many at once, in this order, past all protocols: as files of its Maildir. The mailbox must have been opened before."""
        new = self.folder / "mail" / mailbox / "new"
        owner = new.stat()
        for number, raw in enumerate(mails):
            file = new / f"{number:09}.fill.{mailbox}"
            file.write_bytes(raw)
            os.chown(file, owner.st_uid, owner.st_gid)

    def renumber(self, mailbox: str, validity: int, folder: str = "INBOX") -> None:
        """Another UIDVALIDITY, as after a restore."""
        self._doveadm("mailbox", "update", "-u", mailbox, "--uid-validity", str(validity), folder)

    def kick(self, mailbox: str) -> None:
        """Ends the connections of a mailbox."""
        self._doveadm("kick", mailbox)

    def _doveadm(self, *words: str) -> str:
        command = ["doveadm", "-c", str(self.configuration), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    @contextmanager
    def opened(self, mailbox: str, folder: str = "INBOX") -> Iterator[imaplib.IMAP4_SSL]:
        """As a person's mail program."""
        context = ssl.create_default_context(cafile=str(self.authority.file))
        with imaplib.IMAP4_SSL("127.0.0.1", self.ports["imaps"], ssl_context=context, timeout=60) as client:
            client.login(mailbox, PASSWORD)
            answer, data = client.select(f'"{folder}"')
            assert answer == "OK", data
            yield client

    def subjects(self, mailbox: str, wanted: str = "ALL", folder: str = "INBOX") -> list[str]:
        """Of the mails there, by an IMAP search."""
        with self.opened(mailbox, folder) as client:
            numbers = client.search(None, wanted)[1][0].split()
            found = [client.fetch(each.decode(), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0] for each in numbers]
        return [each[1].decode().removeprefix("Subject: ").strip() for each in found if isinstance(each, tuple)]

    def connections(self) -> int:
        """Who waits by IDLE, over all mailboxes."""
        return sum(" imap " in line for line in self._doveadm("who", "-1").splitlines())


class _TokenInfo(http.server.ThreadingHTTPServer):
    """Where Dovecot asks whose a token is."""

    def __init__(self, owner: Callable[[str], str]) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.owner = owner
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Asked(http.server.BaseHTTPRequestHandler):
    server: _TokenInfo

    def do_GET(self) -> None:
        given = parse_qs(urlsplit(self.path).query).get("access_token", [""])[0]
        token = given or self.headers.get("Authorization", "").removeprefix("Bearer ")
        owner = self.server.owner(token)
        raw = json.dumps({"email": owner, "expires_in": 3599} if owner else {"error": "invalid_token"}).encode()
        self.send_response(200 if owner else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests say what matters."""


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
