"""`mailroom odoo`: against an Odoo that has records, over a real connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailroom.cli import main
from mailroom.objects import AliasDomain, Application, Destination, GraphInbox, InboxTarget, IncomingServer, OdooTarget
from mailroom.settings import Settings
from mailroom.vault import credentials
from mailroom.wiring.parts import credential_key, object_desk, open_parts
from mailroom_core.flow import Request
from mailroom_core.providers.odoo.setup import COMPANY, DOMAIN, SERVER
from tests.unit.odoo.odoo_records import KEY, Records
from tests.unit.odoo.test_setup import modern


@contextmanager
def served(odoo: Records) -> Iterator[str]:
    """Its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = odoo.http(Request("POST", f"https://odoo.example{self.path}", headers, body))
            self.send_response(said.status)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def odoo() -> Records:
    return modern()


@pytest.fixture
def data(odoo: Records, tmp_path: Path) -> Iterator[Path]:
    with served(odoo) as url:
        parts = open_parts(Settings(data=tmp_path))
        made = Destination(name="erp", target=OdooTarget(url=url, database="shop", user="admin"))
        parts.store.apply([AliasDomain(name="contoso.example"), made, Destination(name="desk", target=InboxTarget())], [], by="test")
        object_desk(parts).set_key(made, KEY, by="test")
        parts.close()
        yield tmp_path


def run(data: Path, *words: str, code: int = 0, answer: str = "") -> str:
    done = CliRunner().invoke(main, ["--data", str(data), "odoo", *words], input=answer)
    assert done.exit_code == code, done.output
    return done.output


def applications(data: Path) -> dict[str, Application]:
    parts = open_parts(Settings(data=data))
    try:
        return dict(parts.directory().applications)
    finally:
        parts.close()


def test_it_asks_first_and_what_it_did_can_be_undone(data: Path, odoo: Records) -> None:
    before = deepcopy(odoo.tables)
    said = run(data, "setup", "erp", code=1, answer="n\n")
    assert "Add the outgoing server “Mailroom”" in said
    assert "smtp_pass: a new one" in said
    assert "keeps its other outgoing servers: Old relay" in said
    assert odoo.tables == before
    assert applications(data) == {}

    run(data, "setup", "erp", answer="y\n")
    made = applications(data)["odoo-erp"]
    assert (made.senders, made.alias_domain, made.answers) == (("contoso.example",), "contoso.example", "erp")
    server = odoo.tables[SERVER][max(odoo.tables[SERVER])]
    parts = open_parts(Settings(data=data))
    assert credentials.matches(credential_key(parts), server["smtp_pass"], made.key)
    parts.close()
    assert server["smtp_pass"] not in said
    assert "Nothing is to be done" in run(data, "setup", "erp", "--yes")

    run(data, "undo", "erp", code=1, answer="n\n")
    assert "“Mailroom” is removed" in run(data, "undo", "erp", "--yes")
    assert (odoo.tables[SERVER], odoo.tables[DOMAIN]) == (before[SERVER], before[DOMAIN])
    assert applications(data) == {}
    assert "nothing was set up" in run(data, "undo", "erp", "--yes", code=1)


def test_setting_up_once_more_keeps_what_was_before_the_first_time(data: Path, odoo: Records) -> None:
    odoo.tables[DOMAIN] = {5: {"name": "contoso.example", "bounce_alias": "b", "catchall_alias": "c", "default_from": "d"}}
    before = deepcopy(odoo.tables[DOMAIN])
    run(data, "setup", "erp", "--yes")
    parts = open_parts(Settings(data=data))
    parts.store.apply([AliasDomain(name="contoso.example", catchall="answers")], [], by="test")
    parts.close()
    assert "catchall -> answers" in run(data, "setup", "erp", "--yes", "--port", "2587")
    assert odoo.tables[DOMAIN][5]["catchall_alias"] == "answers"
    run(data, "undo", "erp", "--yes")
    assert odoo.tables[DOMAIN] == before


def test_what_was_done_before_it_broke_can_be_taken_back(data: Path, odoo: Records) -> None:
    odoo.refuse = {(SERVER, "create"): "no"}
    assert "refuses to create ir.mail_server" in run(data, "setup", "erp", "--yes", code=1)
    assert odoo.tables[DOMAIN]
    odoo.refuse = {}
    run(data, "undo", "erp", "--yes")
    assert odoo.tables[DOMAIN] == {}


def test_what_is_missing_here_is_said(data: Path) -> None:
    assert "that is an Odoo" in run(data, "setup", "desk", code=1)
    assert "that is an Odoo" in run(data, "undo", "nobody", "--yes", code=1)
    assert "no alias domain 'x.example'" in run(data, "setup", "erp", "--domain", "x.example", code=1)
    parts = open_parts(Settings(data=data))
    parts.store.apply([AliasDomain(name="other.example")], [], by="test")
    assert "contoso.example, other.example" in run(data, "setup", "erp", code=1)
    parts.store.apply([], [("alias_domain", "other.example"), ("alias_domain", "contoso.example")], by="test")
    assert "add one first" in run(data, "setup", "erp", code=1)
    parts.close()


def test_it_warns_of_what_would_not_work(data: Path, odoo: Records) -> None:
    odoo.tables[DOMAIN] = {5: {"name": "old.example"}}
    odoo.tables[COMPANY] = {1: {"name": "Contoso", "alias_domain_id": 5}}
    said = run(data, "setup", "erp", code=1, answer="n\n")
    assert "keep their own alias domain, and write with it: Contoso" in said
    assert "no incoming server hands" in said
    parts = open_parts(Settings(data=data))
    parts.store.apply([IncomingServer(name="info", source=GraphInbox(account="office"), destination="erp")], [], by="test")
    parts.close()
    assert "no incoming server hands" not in run(data, "setup", "erp", code=1, answer="n\n")
