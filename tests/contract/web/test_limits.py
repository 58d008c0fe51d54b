"""Clients that are slow, many, or say too much: they are cut off, and the others are served."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.contract.web.server import answer, app, connect, rest, running


def get(address: tuple[str, int], path: str = "/whole") -> bytes:
    with connect(address) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return rest(client)


def status(said: bytes) -> bytes:
    return said.split(b"\r\n")[0].removeprefix(b"HTTP/1.1 ")


@pytest.mark.parametrize("beginning", [b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX: y"])
def test_a_head_that_does_not_end_in_time_is_refused(beginning: bytes) -> None:
    with running(head=0.2, linger_idle=0.2) as address, connect(address) as client:
        client.sendall(beginning)
        assert status(rest(client)) == b"408 Request Timeout"


@pytest.mark.parametrize("head", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX y\r\n\r\n", b"GET / HTTP/1.1\r\nX: a\0b\r\n\r\n"])
def test_what_is_no_http_is_told_so_in_the_form_of_all_errors(head: bytes) -> None:
    with running(linger_idle=0.2) as address, connect(address) as client:
        client.sendall(head)
        said = rest(client)
    assert status(said) == b"400 Bad Request"
    assert b"\r\nContent-Type: application/problem+json\r\n" in said
    assert json.loads(said.partition(b"\r\n\r\n")[2])["status"] == 400


def test_a_head_is_late_however_often_a_line_of_it_comes() -> None:
    with running(head=0.2, linger_idle=0.2) as address, connect(address) as client:
        client.settimeout(0.02)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        said = b""
        for _ in range(1000):
            client.sendall(b"X: y\r\n")
            try:
                said = client.recv(4096)
                break
            except TimeoutError:
                continue
        assert status(said) == b"408 Request Timeout"


def test_who_says_nothing_is_disconnected() -> None:
    with running(head=0.2) as address, connect(address) as client:
        assert rest(client) == b""


@pytest.mark.parametrize("beginning", [b"", b"x" * 100])
def test_a_body_that_does_not_come_is_refused(beginning: bytes) -> None:
    with running(body=0.2, linger_idle=0.2) as address, connect(address) as client:
        client.sendall(b"POST /whole HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + beginning)
        assert status(rest(client)) == b"408 Request Timeout"


def test_a_body_that_drips_is_refused() -> None:
    with running(body=0.3, rate=1_000_000, linger_idle=0.2) as address, connect(address) as client:
        client.settimeout(0.02)
        client.sendall(b"POST /whole HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        said = b""
        for _ in range(1000):
            client.sendall(b"x")
            try:
                said = client.recv(4096)
                break
            except TimeoutError:
                continue
        assert status(said) == b"408 Request Timeout"


def test_a_body_is_in_time_as_long_as_it_keeps_its_pace() -> None:
    pauses = threading.Event()
    with running(body=0.5, rate=1) as address, connect(address) as client:
        client.sendall(b"POST /whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            pauses.wait(0.1)  # in all longer than a client may say nothing
            client.sendall(b"x")
        assert rest(client).endswith(b"\r\n\r\n10")


def test_it_is_not_the_clients_fault_if_we_do_not_listen() -> None:
    listen = threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(listen.wait, 30)
        await app(scope, receive, send)

    with running(slow, body=0.2) as address, connect(address) as client:
        client.settimeout(0.1)
        client.sendall(b"POST /whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4000000\r\n\r\n")
        left = memoryview(b"x" * 4_000_000)
        waited = 0
        while waited < 10:
            try:
                left = left[client.send(left) :]
            except TimeoutError:
                waited += 1
        listen.set()
        client.settimeout(30)
        client.sendall(left)
        assert rest(client).endswith(b"\r\n\r\n4000000")


def test_who_does_not_take_the_answer_is_disconnected() -> None:
    done = threading.Event()

    async def talkative(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        done.set()
        await send({"type": "http.response.body", "body": b""})

    with running(talkative, answer=0.2, answer_rate=10_000_000) as address, connect(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert done.wait(20), "nobody writes any more"
        assert len(rest(client)) < 200 * 65536


@pytest.mark.parametrize("end", ["a field that does not end", "a trailer that does not end", "an extension that does not end", "fields"])
def test_what_is_around_a_body_is_small(end: str) -> None:
    chunked = b"POST /whole HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    beginning, piece = {
        "a field that does not end": (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"x" * 1000),
        "a trailer that does not end": (chunked + b"1\r\nx\r\n0\r\nX: ", b"x" * 1000),
        "an extension that does not end": (chunked + b"1;x=", b"x" * 1000),
        "fields": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n" * 100),
    }[end]
    with running() as address, connect(address) as client:
        client.sendall(beginning + piece * 200)
        assert status(rest(client)) == b"431 Request Header Fields Too Large"


def test_small_chunks_are_a_body_like_any_other() -> None:
    with running() as address, connect(address) as client:
        head = b"POST /whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.sendall(head + b"1\r\nx\r\n" * 100_000 + b"0\r\nTrailer: this\r\n\r\n")
        assert rest(client).endswith(b"\r\n\r\n100000")


def test_four_hundred_who_never_ask_keep_nobody_out() -> None:
    with running() as address, ExitStack() as attack:
        slow = [attack.enter_context(connect(address)) for _ in range(400)]
        for each in slow:
            each.sendall(b"GET /whole HTTP/1.1\r\nX: ")
        for _ in range(20):
            assert status(get(address)) == b"200 OK"
        assert rest(slow[0]) == b"", "the one who has waited for the longest time had to go"


class Waiting:
    """`/wait` answers when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.began = threading.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            self.began.release()
            while not self.go.is_set():
                await asyncio.sleep(0.01)
        await answer(send, 200, b"here")


def test_when_all_are_at_work_only_supervisors_are_answered() -> None:
    waiting = Waiting()
    with running(waiting, connections=5) as address, ExitStack() as clients:
        try:
            busy: list[socket.socket] = []
            for _ in range(5):
                client = clients.enter_context(connect(address))
                client.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert waiting.began.acquire(timeout=20)
                busy.append(client)
            refused = get(address)
            assert status(refused) == b"503 Service Unavailable"
            assert b"\r\nretry-after: 5\r\n" in refused
            idle: list[Any] = [clients.enter_context(connect(address)) for _ in range(100)]
            assert [status(get(address, path)) for path in ("/health", "/ready")] == [b"200 OK"] * 2
        finally:
            waiting.go.set()
        assert [status(rest(each)) for each in busy] == [b"200 OK"] * 5, "who is at work is never put out"
        assert status(get(address)) == b"200 OK"
        assert idle
