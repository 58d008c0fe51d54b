"""Signing in for `mailroom connect`: a page on loopback takes the answer that the browser brings back."""

from __future__ import annotations

import asyncio
import threading
import webbrowser
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import click

from mailroom.objects import Account, GrantType, Provider
from mailroom.vault import consent, provider
from mailroom.wiring.connecting import Signed, answered, app_only
from mailroom.wiring.parts import Parts
from mailroom_core.errors import VaultError

PATIENCE = 600.0
"""Seconds; a code lives about as long."""
_DONE = "<!doctype html><title>Mailroom</title><p>{}</p><p>You can close this window.</p>"


def sign_in(parts: Parts, account: Account, proof: Mapping[str, str] | None, *, port: int, browser: bool) -> Signed:
    """Get a grant; `proof` is the app registration's new one; None: it stays. Raises VaultError."""
    app = parts.vault.app(account, proof)
    if account.grant is GrantType.APPLICATION:
        return asyncio.run(app_only(account, app))
    return _delegated(app, account, port, browser)


def _delegated(app: provider.App, account: Account, port: int, browser: bool) -> Signed:
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
        # Entra lets a registered http://localhost have any port (RFC 8252 7.3), Google a Desktop app any port of 127.0.0.1.
        page_of = "google" if account.provider is Provider.GOOGLE else "microsoft365"
        host = "127.0.0.1" if account.provider is Provider.GOOGLE else "localhost"
        started = consent.begin(account, app, f"http://{host}:{page.server_port}")
        click.echo(f"Sign in as {account.mailbox or 'the mailbox to connect'}:\n\n  {started.url}\n")
        if browser:
            webbrowser.open(started.url)
        click.echo(
            f"Waiting for the answer ... If the browser shows an error, press Ctrl+C and look for its code in docs/{page_of}.md.",
            err=True,
        )
        if not arrived.wait(PATIENCE):
            raise VaultError("nobody signed in within ten minutes; run the command again")
    finally:
        page.shutdown()
        page.server_close()
    return asyncio.run(answered(started, answers[0]))
