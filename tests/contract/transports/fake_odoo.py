"""An Odoo that answers as the real one does: addons/rpc/controllers/ and message_process of Odoo 19.0, and our add-on."""

from __future__ import annotations

import json
import threading
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY, DATABASE, USER, UID = "an-api-key", "shop", "admin", 2
ADD_ON_KEY = "the-key-of-the-add-on"


class AccessDenied(Exception):
    pass


class NotFound(Exception):
    pass


@dataclass
class FakeOdoo:
    """`aliases` are the addresses that make a record; `parents` the Message-IDs that it has sent, and their records."""

    aliases: set[str] = field(default_factory=lambda: {"leads@contoso.example"})
    parents: dict[str, int] = field(default_factory=dict)
    taken: list[EmailMessage] = field(default_factory=list)
    bounced: list[tuple[str, str]] = field(default_factory=list)
    """What a report was about: the Message-ID of the mail, and who was not reached."""
    values: list[object] = field(default_factory=list)
    """The `custom_values` of each call, None where there were none."""
    calls: int = 0
    add_on: bool = False
    pushed: dict[str, dict[str, object]] = field(default_factory=dict)
    """The add-on's answers, by the names that the gateway gave."""
    drop: Callable[[], bool] = lambda: False
    """Whether this call's answer is lost, after the work was done."""
    url: str = ""
    key_ends: str = ""
    """When the key ends, as Odoo writes it; empty: never."""

    def message_process(self, model: object, message: bytes, custom_values: object = None) -> int | bool | None:
        self.values.append(custom_values)
        mail = message_from_bytes(message, policy=policy.SMTP)
        assert isinstance(mail, EmailMessage)
        if mail.get_content_type() == "multipart/report":
            self.bounced.append(_bounced(mail))
            return False
        number = str(mail["Message-ID"] or "").strip()
        if number in {str(each["Message-ID"]).strip() for each in self.taken}:
            return False
        known = f"{mail['In-Reply-To'] or ''} {mail['References'] or ''}".split()
        if any("-loop-detection-bounce-email@" in each for each in known):
            return None
        to = {address for name in ("Delivered-To", "To") for each in mail.get_all(name, []) for address in str(each).split(", ")}
        record = next((self.parents[each] for each in known if each in self.parents), 0)
        if not record and not (to & self.aliases) and not model:
            raise ValueError(f"No possible route found for incoming message from {mail['From']} to {to} (Message-Id {number}:).")
        self.taken.append(mail)
        return record or 100 + len(self.taken)

    # -- the add-on: its controllers/inbound.py and models/microsoft_graph_pushed.py

    def push(self, headers: Any, body: bytes) -> tuple[int, object]:
        if not self.add_on or headers["X-Odoo-Database"] != DATABASE:
            return 404, None
        if headers["Authorization"] != f"Bearer {ADD_ON_KEY}":
            return 401, {"result": "error", "text": "The key is wrong. Make a new one in Settings, General Settings, Microsoft Graph"}
        if headers["Content-Type"] != "message/rfc822":
            return 415, {"result": "error", "text": "Send one mail as message/rfc822"}
        if known := self.pushed.get(headers["Idempotency-Key"]):
            return 200, {**known, "result": "duplicate"}
        mail = message_from_bytes(body, policy=policy.SMTP)
        del mail["Delivered-To"]
        for each in headers["X-Envelope-To"].split(","):
            mail["Delivered-To"] = each.strip()
        if str(mail["Message-ID"]).strip() in {str(each["Message-ID"]).strip() for each in self.taken}:
            answer: dict[str, object] = {"result": "duplicate"}
        else:
            try:
                record = self.message_process(headers["X-Fallback-Model"], mail.as_bytes(), _values(headers["X-Default-Values"]))
            except ValueError:
                return 422, {"result": "no_route", "text": "No alias, no record and no fallback model takes this mail"}
            if record is None:
                return 200, {"result": "loop"}
            answer = {"result": "updated" if record in self.parents.values() else "created", "model": "crm.lead", "id": record}
        self.pushed[headers["Idempotency-Key"]] = answer
        return 200, answer

    # -- JSON-2

    def json2(self, path: str, headers: Any, body: bytes) -> tuple[int, object]:
        if headers["X-Odoo-Database"] != DATABASE:
            return 404, None
        if headers["Authorization"] != f"bearer {KEY}":
            return 401, _serialized("werkzeug.exceptions.Unauthorized", "Invalid apikey")
        arguments = json.loads(body)
        try:
            if path in (asked := self._records()):
                return 200, asked[path]
            if path == "/json/2/mail.thread/message_process":
                return 200, self.message_process(arguments.pop("model"), arguments.pop("message").encode("utf-8"), **arguments)
        except ValueError as problem:
            return 500, _serialized("builtins.ValueError", str(problem))
        return 404, _serialized("werkzeug.exceptions.NotFound", f"the model {path.split('/')[3]!r} does not exist")

    def _records(self) -> dict[str, object]:
        """What an administrator with this key reads."""
        key = {"id": 1, "name": "Mailroom", "expiration_date": self.key_ends or False}
        return {
            "/json/2/res.users/search": [UID],
            "/json/2/ir.mail_server/search_count": 0,
            "/json/2/res.users.apikeys/search_read": [key],
        }

    # -- XML-RPC

    def xml_rpc(self, service: str, body: bytes) -> bytes:
        parameters, method = xmlrpc.client.loads(body)
        try:
            result: Any = self._common(method or "", *parameters) if service == "common" else self._object(*parameters)
            return xmlrpc.client.dumps((result,), methodresponse=True).encode()
        except AccessDenied:
            fault = xmlrpc.client.Fault(3, "Access Denied")
        except Exception as problem:  # noqa: BLE001  # as Odoo does
            fault = xmlrpc.client.Fault(1, f"Traceback (most recent call last):\n  File ...\n{type(problem).__name__}: {problem}\n")
        return xmlrpc.client.dumps(fault, methodresponse=True).encode()

    def _common(self, method: str, *parameters: Any) -> object:
        if method == "version":
            return {"server_version": "19.0", "server_version_info": [19, 0, 0, "final", 0, ""], "protocol_version": 1}
        assert method == "authenticate"
        _of_database(parameters[0])
        return UID if parameters[1:3] == (USER, KEY) else False

    def _object(self, database: Any, uid: Any, key: Any, model: Any, method: Any, arguments: Any) -> object:
        _of_database(database)
        if (uid, key) != (UID, KEY):
            raise AccessDenied
        assert (model, method) == ("mail.thread", "message_process")
        return self.message_process(arguments[0], arguments[1].data, *arguments[2:])


def _bounced(mail: EmailMessage) -> tuple[str, str]:
    """`_message_parse_extract_bounce` reads the second block of the status, and the first head that came back."""
    status = next(part for part in mail.walk() if part.get_content_type() == "message/delivery-status")
    about = next(part for part in mail.walk() if part.get_content_type() == "text/rfc822-headers")
    assert isinstance(about, EmailMessage)
    blocks = status.get_payload()
    assert isinstance(blocks, list)
    recipient = str(blocks[1]["Final-Recipient"]).partition(";")[2].strip()  # type: ignore[index]  # a message
    head = message_from_string(about.get_content(), policy=policy.SMTP)
    return str(head["Message-ID"]).strip(), recipient


def _values(header: str | None) -> object:
    return None if header is None else json.loads(header)


def _of_database(name: object) -> None:
    if name != DATABASE:
        raise ConnectionError(f'connection failed: FATAL:  database "{name}" does not exist')


def _serialized(name: str, message: str) -> object:
    return {"name": name, "message": message, "arguments": [message], "context": {}, "debug": "Traceback ..."}


@contextmanager
def fake_odoo() -> Iterator[FakeOdoo]:
    odoo = FakeOdoo()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            odoo.calls += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/xmlrpc/2/"):
                status, kind, said = 200, "text/xml", odoo.xml_rpc(self.path.rpartition("/")[2], body)
            else:
                pushed = self.path == "/microsoft_graph_mail/inbound"
                status, value = odoo.push(self.headers, body) if pushed else odoo.json2(self.path, self.headers, body)
                html = status == 404 and value is None
                kind, said = ("text/html", b"<!doctype html>") if html else ("application/json", json.dumps(value).encode())
            if odoo.drop():
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    odoo.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield odoo
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
