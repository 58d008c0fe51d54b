"""Signing in for `mailroom connect`: a page on loopback takes the answer that the browser brings back."""

from __future__ import annotations

import asyncio
import threading
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import click

from mailroom.objects import Account, GrantType
from mailroom.transports.http import Http, client
from mailroom.vault import consent
from mailroom.vault.provider import cloud_of
from mailroom.vault.vault import nothing
from mailroom.wiring.parts import Parts
from mailroom_core.errors import VaultError
from mailroom_core.flow import arun
from mailroom_core.model import Held
from mailroom_core.oauth import microsoft
from mailroom_core.oauth.microsoft import App, Grant
from mailroom_core.oauth.problems import TokenProblem
from mailroom_core.oauth.scopes import Tier
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.probe import Rights, probe

PATIENCE = 600.0
"""Seconds; a code lives about as long."""
_DONE = "<!doctype html><title>Mailroom</title><p>{}</p><p>You can close this window.</p>"


@dataclass(frozen=True, slots=True)
class Signed:
    """What a sign-in gave; nothing of it is kept yet."""

    grant: Grant
    mailbox: str = ""
    """Who signed in; empty for app-only."""


def sign_in(parts: Parts, account: Account, proof: Mapping[str, str] | None, *, port: int, browser: bool) -> Signed:
    """Get a grant; `proof` is the app registration's new one; None: it stays. Raises VaultError."""
    app = parts.vault.app(account, proof)
    if account.grant is GrantType.APPLICATION:
        return asyncio.run(_app_only(app))
    return _delegated(app, account, port, browser)


async def _app_only(app: App) -> Signed:
    async with client() as http:
        grant = await arun(microsoft.client_credentials(app), Http(http), nothing)
    if isinstance(grant, TokenProblem):
        raise VaultError(str(grant))
    return Signed(grant)


def rights_of(account: Account, signed: Signed, mailbox: str) -> Rights | None:
    """What the account may do in its mailbox, asked of Microsoft Graph; None if no mailbox is known that could be asked."""
    if account.grant is GrantType.DELEGATED:
        mailbox = ""  # that of who signed in
    elif not mailbox or mailbox == "sender":
        return None
    return asyncio.run(_probe(Mailbox.of(cloud_of(account).graph, mailbox), signed.grant))


async def _probe(mailbox: Mailbox, grant: Grant) -> Rights:
    async def token(refused: str) -> str:
        return grant.access_token

    async with client() as http:
        return await arun(probe(mailbox, grant.scope), Http(http, token), nothing)


def lacks_read_write(rights: Rights | None) -> bool:
    """Whether Graph refuses it for good, and not only now."""
    return rights is not None and rights.tier is Tier.SEND and isinstance(rights.trouble, Held)


def told(account: Account, rights: Rights | None) -> str:
    """What the account may do, for who has connected it."""
    again = f"mailroom connect {account.name} --read-write"
    if rights is None:
        return "What it may do is seen with the first mail: no mailbox is named that could be asked."
    if rights.trouble is not None and not lacks_read_write(rights):
        return f"What it may do could not be found out: {rights.trouble.reply}"
    if not account.read_write:
        return f"It sends only, as you chose. For mail above 2.9 MB, and for looking before a mail is sent again: {again}"
    if rights.tier is Tier.READ_WRITE:
        return "It may send, carry large mail, and look before a mail is sent again."
    return (
        "It may only send: mail above 2.9 MB is refused, and what got no answer waits for you. "
        f"For more, consent to Mail.ReadWrite, then run: {again}"
    )


def _delegated(app: App, account: Account, port: int, browser: bool) -> Signed:
    answers: list[dict[str, str]] = []
    arrived = threading.Event()

    class Callback(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = dict(parse_qsl(urlsplit(self.path).query))
            useful = "state" in answer
            text = "Mailroom has got the answer; look at the terminal." if useful else "There is nothing here but the end of a sign-in."
            page = _DONE.format(text).encode()
            self.send_response(200 if useful else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
            if useful and not arrived.is_set():
                answers.append(answer)
                arrived.set()

        def log_message(self, *_: object) -> None:
            """Never: the request line carries the code."""

    page = ThreadingHTTPServer(("127.0.0.1", port), Callback)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    try:
        # Entra lets a registered http://localhost have any port (RFC 8252 7.3).
        started = consent.begin(account, app, f"http://localhost:{page.server_port}")
        click.echo(f"Sign in as {account.mailbox or 'the mailbox to connect'}:\n\n  {started.url}\n")
        if browser:
            webbrowser.open(started.url)
        click.echo(
            "Waiting for the answer ... If the browser shows an error, press Ctrl+C and look for its code in docs/microsoft365.md.",
            err=True,
        )
        if not arrived.wait(PATIENCE):
            raise VaultError("nobody signed in within ten minutes; run the command again")
    finally:
        page.shutdown()
        page.server_close()
    return asyncio.run(_finish(started, answers[0]))


async def _finish(started: consent.Consent, answer: dict[str, str]) -> Signed:
    async with client() as http:
        grant, identity = await consent.finish(started, answer, Http(http), lambda token: Http(http, token))
    return Signed(grant, started.account.mailbox or (identity.addresses[0] if identity.addresses else ""))
