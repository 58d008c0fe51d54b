"""`make demo`: everything starts, a mailbox is connected, five mails travel out and four come in, and what arrived is shown."""

from __future__ import annotations

import argparse
import signal
import smtplib
import socket
import ssl
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo import circle
from demo.processes import Emulator, Gateway

MARY = "mary@contoso.example"
SALES = "sales@contoso.example"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
PATIENCE = 180.0
WAITING = {"queued", "sending", "unsure"}


@dataclass(frozen=True, slots=True)
class Mail:
    """One of the demo's mails. `recipients` is the envelope."""

    title: str
    message: EmailMessage
    recipients: tuple[str, ...]

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])


def mails() -> list[Mail]:
    """The five: plain, with a picture in the text, with 20 MB, with a Bcc, from a shared mailbox."""
    plain = _mail(MARY, "anna@customer.example", "Your order 1001")
    picture = _mail(MARY, "anna@customer.example", "Our new logo")
    picture.add_alternative('<p>Here it is: <img src="cid:logo@contoso.example"></p>', subtype="html")
    html = picture.get_payload(1)
    assert isinstance(html, EmailMessage)
    html.add_related(PIXEL, "image", "png", cid="<logo@contoso.example>")
    large = _mail(MARY, "print@shop.example", "The catalogue, 20 MB")
    large.add_attachment(b"%PDF-1.7\n" + bytes(range(256)) * (20 * 4096), maintype="application", subtype="pdf", filename="catalogue.pdf")
    blind = _mail(MARY, "anna@customer.example", "Minutes of the meeting")
    shared = _mail(SALES, "bob@partner.example", "Our offer")
    return [
        Mail("a plain mail", plain, ("anna@customer.example",)),
        Mail("with an inline image", picture, ("anna@customer.example",)),
        Mail("with a 20 MB attachment", large, ("print@shop.example",)),
        Mail("with a Bcc", blind, ("anna@customer.example", "audit@watch.example")),
        Mail("from a shared mailbox", shared, ("bob@partner.example",)),
    ]


def _mail(sender: str, to: str, subject: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message.set_content(f"Hello,\n\nthis is about: {subject}.\n\nRegards\n{sender}\n")
    return message


def main() -> int:
    """0 if all arrived, 1 if not."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when all has arrived, instead of keeping it running")
    once = parser.parse_args().once
    console = Console()
    with tempfile.TemporaryDirectory(prefix="mailroom-demo-") as folder:
        emulator, gateway = None, Gateway(Path(folder) / "gateway", _reachable())
        try:
            console.print("Starting a Microsoft 365 tenant (emulated) and the gateway ...")
            emulator = Emulator(Path(folder) / "emulator")
            gateway.start()
            password = _set_up(console, emulator, gateway)
            circle.set_up(gateway, Path(folder))
            good = _travel(console, emulator, gateway, password)
            submit = partial(_submit, gateway, password)
            good = circle.close(console, emulator, gateway, submit, "Your order 1001") and good
            if not once:
                _keep_running(console, emulator, gateway, password)
            return 0 if good else 1
        except KeyboardInterrupt:
            console.print("\nEnding the gateway and the tenant ...")
            return 0
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the children have heard it as well; another one would leave the folder behind
            for process in (gateway, emulator):
                if process is not None and hasattr(process, "process"):
                    process.stop()
            if not once:
                console.print("Ended; nothing is left behind.")


def _set_up(console: Console, emulator: Emulator, gateway: Gateway) -> str:
    console.print(f"Connecting {MARY} by OAuth (authorization code with PKCE) ...")
    gateway.connect(emulator, "office", MARY, "--no-server")
    gateway.run("server", "add-graph", "Microsoft 365", "--account", "office", "--from-filter", "contoso.example")
    gateway.run("server", "add-graph", "Sales", "--account", "office", "--mailbox", SALES, "--from-filter", SALES)
    said = gateway.run("app", "add", "erp", "--sender", "contoso.example")
    return next(line.split()[1] for line in said.splitlines() if line.startswith("Password"))


def _travel(console: Console, emulator: Emulator, gateway: Gateway, password: str) -> bool:
    console.print("Submitting five mails over SMTP (STARTTLS, AUTH) ...\n")
    sent = mails()
    with smtplib.SMTP(gateway.host, gateway.port) as smtp:
        smtp.starttls(context=_trusting(gateway))
        smtp.login("erp", password)
        for mail in sent:
            smtp.send_message(mail.message, to_addrs=list(mail.recipients))
    _watch(console, gateway, sent)
    return _verdict(console, emulator, sent)


def _submit(gateway: Gateway, password: str, message: EmailMessage, recipient: str) -> None:
    with smtplib.SMTP(gateway.host, gateway.port) as smtp:
        smtp.starttls(context=_trusting(gateway))
        smtp.login("erp", password)
        smtp.send_message(message, to_addrs=[recipient])


def _reachable() -> dict[str, str]:
    """A web address that is known before the gateway starts: there the tenant tells of new mail."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    return {"MAILROOM_WEB_PORT": str(port), "MAILROOM_PUBLIC_URL": f"http://127.0.0.1:{port}"}


def _trusting(gateway: Gateway) -> ssl.SSLContext:
    """Trust the certificate that the gateway has made for itself."""
    context = ssl.create_default_context(cafile=str(gateway.data / "tls.crt"))
    context.check_hostname = False
    return context


def _watch(console: Console, gateway: Gateway, sent: list[Mail]) -> None:
    """Each recipient's state until nothing is on its way any more."""
    until = time.monotonic() + PATIENCE
    with Live(console=console, auto_refresh=False) as live:
        while time.monotonic() < until:
            rows = gateway.ask("queue", "list")
            live.update(_table(sent, rows), refresh=True)
            if len(rows) == sum(len(mail.recipients) for mail in sent) and not any(row["state"] in WAITING for row in rows):
                return
            time.sleep(0.2)


def _table(sent: list[Mail], rows: list[dict[str, Any]]) -> Table:
    table = Table(title="On their way", box=None, pad_edge=False)
    for name in ("mail", "to", "state", "what the provider said"):
        table.add_column(name)
    colours = {"sent": "green", "failed": "red", "held": "red"}
    for mail in sent:
        for row in sorted((row for row in rows if row["subject"] == mail.subject[:40]), key=lambda row: str(row["to"])):
            colour = colours.get(row["state"], "yellow")
            table.add_row(mail.title, row["to"], f"[{colour}]{row['state']}[/]", row["reply"])
    return table


def _verdict(console: Console, emulator: Emulator, sent: list[Mail]) -> bool:
    """What lies in Sent Items, what each outside recipient got, and whether that is exactly what was sent."""
    for account in (MARY, SALES):
        console.print(f"\n[bold]Sent Items of {account}[/]")
        for message in emulator.folder(account, "sentitems"):
            console.print(f"  {message['subject']}")
    console.print("\n[bold]The outside world[/]")
    copies = emulator.outside()
    for copy in copies:
        console.print(f"  {copy['to']:24} got {copy['subject']!r} ({copy['size']:,} bytes)")
    expected = sorted((recipient, mail.subject) for mail in sent for recipient in mail.recipients)
    arrived = sorted((copy["to"], copy["subject"]) for copy in copies)
    received = {copy["id"]: emulator.outside_raw(copy["id"]) for copy in copies}
    leaked = [number for number, raw in received.items() if b"audit@watch.example" in raw[:8000]]
    changed = [copy["subject"] for copy in copies if not _same(sent, copy["subject"], received[copy["id"]])]
    if arrived == expected and not leaked and not changed:
        console.print("\n[bold green]Every recipient got exactly one copy, every attachment is whole, and nobody saw the Bcc.[/]")
        return True
    console.print("\n[bold red]That is not what was sent.[/]")
    for pair in expected:
        if arrived.count(pair) != expected.count(pair):
            console.print(f"  {pair[1]!r} to {pair[0]}: {arrived.count(pair)} copies instead of {expected.count(pair)}")
    if changed:
        console.print(f"  the attachments of {', '.join(changed)} have changed on the way")
    if leaked:
        console.print(f"  the Bcc is visible in the copies {', '.join(leaked)}")
    return False


def _same(sent: list[Mail], subject: str, raw: bytes) -> bool:
    """Whether what arrived has the attachments and pictures that were sent, byte for byte."""
    original = next((mail.message for mail in sent if mail.subject == subject), EmailMessage())
    return _files(message_from_bytes(raw, policy=SMTP)) == _files(original)


def _files(message: EmailMessage) -> list[bytes]:
    parts = (part for part in message.walk() if part.get_content_maintype() in {"image", "application"})
    return [part.get_payload(decode=True) for part in parts]  # type: ignore[misc]  # decoded leaves are bytes


def _set_up_link(gateway: Gateway) -> str:
    return (gateway.data / "setup-link").read_text("utf-8").strip()


def _keep_running(console: Console, emulator: Emulator, gateway: Gateway, password: str) -> None:
    console.print("\nIt keeps running, on this machine only; Ctrl+C ends it.\n", soft_wrap=True)
    console.print(f"  The console {_set_up_link(gateway)}", soft_wrap=True)
    console.print("              Choose an address and a password there; the link works once.", soft_wrap=True)
    console.print(
        f"  Send more   swaks --server {gateway.host}:{gateway.port} -tls --auth-user erp --auth-password {password} \\", soft_wrap=True
    )
    console.print(f"                    --from {MARY} --to somebody@else.where", soft_wrap=True)
    console.print(f"  The queue   .venv/bin/mailroom --data {gateway.data} queue", soft_wrap=True)
    console.print(f"  Health      {gateway.web}/ready   Metrics {gateway.web}/metrics", soft_wrap=True)
    console.print(
        f"  The tenant  {emulator.url}/_emulator/outside   {emulator.url}/_emulator/accounts/{MARY}/folders/sentitems", soft_wrap=True
    )
    while gateway.process.poll() is None and emulator.process.poll() is None:
        time.sleep(0.5)
    console.print("[red]A process has ended by itself; that should not happen.[/]")


if __name__ == "__main__":
    sys.exit(main())
