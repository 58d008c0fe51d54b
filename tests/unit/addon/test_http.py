"""The add-on's HTTP: over a real socket, against a server that does what it is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from driver.http import Http

from mailroom_core.flow import NoResponse, Request, Response, Streamed


class Server(ThreadingHTTPServer):
    """Answers 401 to tokens that it does not know, hangs up at /hang-up, redirects at /elsewhere, and else echoes what came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self.server.seen.append((self.path, headers, body))
        if self.path == "/hang-up":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status = 401 if headers.get("authorization") == "Bearer old" else 302 if self.path == "/elsewhere" else 200
        self.send_response(status)
        self.send_header("Location", "/other")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_refused_token_is_replaced_once(server: Server) -> None:
    asked: list[str] = []

    def token(refused: str) -> str:
        asked.append(refused)
        return "new" if refused else "old"

    assert Http(token)(Request("POST", f"{server.url}/send", body=b"mail")).status == 200
    assert asked == ["", "old"]
    assert [headers["authorization"] for _, headers, _ in server.seen] == ["Bearer old", "Bearer new"]


def test_a_token_that_stays_refused_is_the_answer(server: Server) -> None:
    assert Http(lambda refused: "old")(Request("POST", f"{server.url}/send")).status == 401
    assert len(server.seen) == 2


def test_no_token_goes_where_none_belongs(server: Server) -> None:
    Http(lambda refused: "token")(Request("POST", f"{server.url}/upload", auth=False))
    assert "authorization" not in server.seen[0][1]


def test_a_streamed_body_says_its_length_and_is_read_again_for_the_second_try(server: Server) -> None:
    body = Streamed(6, lambda: iter([b"one", b"two"]))
    answer = Http(lambda refused: "new" if refused else "old")(Request("POST", f"{server.url}/send", body=body))
    assert answer == Response(200, answer.headers, b"onetwo")
    assert [(headers["content-length"], raw) for _, headers, raw in server.seen] == [("6", b"onetwo")] * 2
    assert all("transfer-encoding" not in headers for _, headers, _ in server.seen)


def test_a_post_without_a_body_says_so(server: Server) -> None:
    Http()(Request("POST", f"{server.url}/send"))
    assert server.seen[0][1]["content-length"] == "0"


def test_a_redirection_is_an_answer_and_nothing_is_sent_elsewhere(server: Server) -> None:
    assert Http()(Request("POST", f"{server.url}/elsewhere", body=b"mail")).status == 302
    assert len(server.seen) == 1


def test_a_large_answer_goes_to_a_file(server: Server, tmp_path: Path) -> None:
    into = tmp_path / "answer"
    answer = Http()(Request("POST", f"{server.url}/value", body=b"x" * 1_000_000, into=str(into)))
    assert (answer.status, answer.body) == (200, b"")
    assert into.read_bytes() == b"x" * 1_000_000


def test_a_connection_that_is_cut_after_the_request_may_have_sent_it(server: Server) -> None:
    with pytest.raises(NoResponse) as caught:
        Http(lambda refused: "s3cret")(Request("POST", f"{server.url}/hang-up", body=b"mail"))
    assert caught.value.sent
    assert "s3cret" not in caught.value.why
    assert "hang-up" not in caught.value.why


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/"])
def test_where_nobody_listens_nothing_was_sent(url: str) -> None:
    with pytest.raises(NoResponse) as caught:
        Http()(Request("POST", url, body=b"mail"))
    assert not caught.value.sent
