"""Mail that came in reaches a program outside: as the whole process does it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
from standardwebhooks.webhooks import Webhook as Witness

from mailroom.ports import Watched
from mailroom_core.model import State
from tests.walk.conftest import MakeWorld
from tests.walk.test_incoming import come, fetched, look
from tests.walk.world import ANNA, World, eventually, mail, unique

PRIVATE = {"MAILROOM_WEBHOOKS_PRIVATE_NETWORKS": "127.0.0.0/8", "MAILROOM_PUBLIC_URL": "https://mail.contoso.example"}
INCOMING = """
[alias_domain."contoso.example"]

[destination.program]
webhook = {{ url = "{url}" }}

[alias."orders@contoso.example"]
destination = "program"
defaults = {{ queue = "night", urgent = true }}

[incoming.mary]
graph = {{ account = "office" }}
"""
Got = list[tuple[dict[str, str], bytes]]


@contextmanager
def program(dies: Callable[[], bool] = lambda: False) -> Iterator[tuple[str, Got]]:
    """A program of the user's, that takes everything. If it `dies`, it has taken the mail, and does not come to say so."""
    got: Got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            if not dies():
                self.send_response(204)
                self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mail", got
    finally:
        server.shutdown()
        server.server_close()


def watched(world: World) -> list[Watched]:
    with world.store() as store:
        return store.watch.all()


def test_a_mail_to_an_alias_reaches_a_program_that_believes_its_signature_and_fetches_it_by_its_link(make_world: MakeWorld) -> None:
    with program() as (url, got):
        world = make_world(environment=PRIVATE).set_up(INCOMING.format(url=url))
        secret = world.gateway.run("destination", "secret", "program").strip()
        assert eventually(lambda: watched(world))
        subject = unique("Order")
        come(world, mail(subject, sender=ANNA, to="orders@contoso.example", text="Twelve, please\r\n"))
        look(world)
        (found,) = fetched(world, subject)
        assert found.delivery.state is State.SENT
        ((headers, body),) = got
        event = Witness(secret).verify(body, headers)
        assert (event["type"], event["data"]["subject"], event["data"]["verdict"]) == ("mail.received", subject, "alias")
        assert event["data"]["defaults"] == {"queue": "night", "urgent": True}
        link = event["data"]["raw_url"].replace("https://mail.contoso.example", world.gateway.web)
        answer = httpx2.get(link)
        assert (answer.status_code, subject.encode() in answer.content) == (200, True)
        assert httpx2.get(link[:-1] + ("0" if link[-1] != "0" else "1")).status_code == 403
