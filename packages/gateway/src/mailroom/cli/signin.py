"""Signing in for `mailroom connect`: a page on loopback takes the answer that the browser brings back."""

from __future__ import annotations

import asyncio
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import click

from mailroom.objects import Account, GrantType
from mailroom.transports.http import Http, client
from mailroom.vault import consent
from mailroom.vault.vault import nothing
from mailroom.wiring import Parts
from mailroom_core.errors import VaultError
from mailroom_core.flow import arun
from mailroom_core.oauth import microsoft
from mailroom_core.oauth.problems import TokenProblem

PATIENCE = 600.0
"""Seconds; a code lives about as long."""
_DONE = "<!doctype html><title>Mailroom</title><p>{}</p><p>You can close this window.</p>"


def sign_in(parts: Parts, account: Account, *, port: int, browser: bool) -> str:
    """Get and keep a grant; returns the mailbox that signed in (empty for app-only). Raises VaultError."""
    if account.grant is GrantType.APPLICATION:
        asyncio.run(_app_only(parts, account))
        return ""
    return _delegated(parts, account, port, browser)


async def _app_only(parts: Parts, account: Account) -> None:
    async with client() as http:
        grant = await arun(microsoft.client_credentials(parts.vault.app(account)), Http(http), nothing)
    if isinstance(grant, TokenProblem):
        raise VaultError(str(grant))
    parts.vault.keep(account.name, grant)


def _delegated(parts: Parts, account: Account, port: int, browser: bool) -> str:
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
        started = consent.begin(account, parts.vault.app(account), f"http://localhost:{page.server_port}")
        click.echo(f"Sign in as {account.mailbox or 'the mailbox to connect'}:\n\n  {started.url}\n")
        if browser:
            webbrowser.open(started.url)
        click.echo("Waiting for the answer ...", err=True)
        if not arrived.wait(PATIENCE):
            raise VaultError("nobody signed in within ten minutes; run the command again")
    finally:
        page.shutdown()
        page.server_close()
    return asyncio.run(_finish(parts, started, answers[0]))


async def _finish(parts: Parts, started: consent.Consent, answer: dict[str, str]) -> str:
    async with client() as http:
        grant, identity = await consent.finish(started, answer, Http(http), lambda token: Http(http, token))
    parts.vault.keep(started.account.name, grant)
    return started.account.mailbox or (identity.addresses[0] if identity.addresses else "")
