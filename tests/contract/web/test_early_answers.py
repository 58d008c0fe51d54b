"""An answer that comes before the whole body was read: the client must be able to read it, not find the connection reset (RFC 9112 9.6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.contract.web.server import LARGE, connect, rest, running

PIECE = b"x" * 65536


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with running(hear_out=0.05) as found:
        yield found


def send_everything(address: tuple[str, int], head: bytes, chunked: bool = False) -> bytes:
    """A client that does not listen before it has said everything."""
    with connect(address) as client:
        client.sendall(head + b"\r\n")
        for _ in range(LARGE // len(PIECE)):
            client.sendall(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
        if chunked:
            client.sendall(b"0\r\n\r\n")
        return rest(client)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_who_sends_everything_first_reads_the_answer(address: tuple[str, int], version: str) -> None:
    head = f"POST /early HTTP/{version}\r\nHost: x\r\nConnection: close\r\nContent-Length: {LARGE}\r\n".encode()
    answers = [send_everything(address, head) for _ in range(20)]
    assert [each.split(b"\r\n")[0] for each in answers] == [b"HTTP/1.1 401 Unauthorized"] * 20
    assert all(each.endswith(b"\r\n\r\nno") for each in answers)


def test_a_connection_is_not_kept_for_the_rest_of_a_body(address: tuple[str, int]) -> None:
    with connect(address) as client:
        client.sendall(f"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\nbeginning".encode())
        said = rest(client)
        client.sendall(PIECE)
    assert said.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nconnection: close\r\n" in said


def test_who_waits_to_be_asked_for_the_body_is_answered_at_once() -> None:
    with running(hear_out=600) as address, connect(address) as client:
        client.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
        assert rest(client).startswith(b"HTTP/1.1 401 ")


def test_a_connection_is_kept_when_the_body_comes_after_all() -> None:
    with running(hear_out=600) as address, connect(address) as client:
        for _ in range(3):
            client.sendall(f"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n".encode())
            for _ in range(LARGE // len(PIECE)):
                client.sendall(PIECE)
            said = client.recv(65536)
            while not said.endswith(b"no"):
                said += client.recv(65536)
            assert b"connection: close" not in said


def test_a_body_without_a_length_is_read_to_its_end(address: tuple[str, int]) -> None:
    answer = send_everything(
        address, b"POST /early HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n", chunked=True
    )
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_what_is_no_request_is_told_so_even_if_more_follows(address: tuple[str, int]) -> None:
    answer = send_everything(address, b"This is no HTTP\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_the_answer_comes_while_the_body_is_still_on_its_way(address: tuple[str, int]) -> None:
    with connect(address) as client:
        client.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbeginning")
        assert rest(client).endswith(b"no"), "the server has said everything, and says so"


def test_a_connection_is_kept_when_the_body_has_come_whole(address: tuple[str, int]) -> None:
    with connect(address) as client:
        for _ in range(2):
            client.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
            said = client.recv(65536)
            while not said.endswith(b"no"):
                said += client.recv(65536)
            assert b"connection: close" not in said


def test_a_body_that_never_ends_is_not_read_for_ever() -> None:
    with running(hear_out=0.05, linger_bytes=LARGE) as address, connect(address) as client:
        client.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionResetError, BrokenPipeError):
            while True:
                client.sendall(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
