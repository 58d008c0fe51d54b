"""One running gateway for all tests of the API; what it sends lands in a folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest

from demo.processes import Gateway
from mailroom.objects import (
    Alias,
    AliasDomain,
    Application,
    Destination,
    InboxTarget,
    Object,
    OutgoingServer,
    Scope,
    SinkRoute,
    Token,
)
from mailroom.settings import Settings
from mailroom.vault import credentials
from mailroom.wiring.parts import credential_key, open_parts

T = TypeVar("T")
MARY = "mary@contoso.example"
ANNA = "anna@customer.example"


def eventually(what: Callable[[], T], *, patience: float = 60.0) -> T:
    """Ask until the answer is true; then that answer, or the last one."""
    until = time.monotonic() + patience
    while not (answer := what()) and time.monotonic() < until:
        time.sleep(0.05)
    return answer


class Api:
    """A gateway, its sink, and clients with tokens."""

    def __init__(self, folder: Path, resolver: str = "127.0.0.1:9", environment: Mapping[str, str] | None = None) -> None:
        self.gateway = Gateway(folder / "gateway", {"MAILROOM_DOCTOR_RESOLVER": resolver, **(environment or {})})
        self.sink = folder / "sink"
        self.sink.mkdir()
        self.tokens: dict[str, str] = {}
        self._set_up()
        self.gateway.start()
        self._clients: dict[str, httpx2.Client] = {}

    def _set_up(self) -> None:
        """Not by commands, each of which starts a process."""
        parts = open_parts(Settings(data=self.gateway.data))
        key = credential_key(parts)
        objects: list[Object] = [
            OutgoingServer(name="sink", route=SinkRoute(directory=str(self.sink))),
            OutgoingServer(name="special", from_filter=("unused.example",), route=SinkRoute(directory=str(self.sink))),
            OutgoingServer(name="desk", from_filter=("desk.example",), route=SinkRoute(directory=str(self.sink))),
            AliasDomain(name="desk.example"),
            Destination(name="desk", target=InboxTarget()),
            Destination(name="repairs", target=InboxTarget()),
            Destination(name="help", target=InboxTarget(followers=("tom@contoso.example", MARY))),
            Alias(name="help@desk.example", destination="help"),
            Alias(name="sales@desk.example", destination="desk"),
            Alias(name="repairs@desk.example", destination="repairs"),
            Application(name="erp", senders=("contoso.example",), answers="desk"),
            Application(name="shop", senders=("shop.example",)),
        ]
        mail = (Scope.SEND, Scope.READ, Scope.ACT)
        talk = (Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE)
        scopes = {
            "erp": mail,
            "shop": mail,
            "inbound": (Scope.INBOUND_WRITE,),
            "talk": (*talk, Scope.READ),
            "reader": mail[1:2],
            "actor": mail[1:],
            "objects": (Scope.OBJECTS_READ, Scope.OBJECTS_WRITE),
        }
        for name, may in scopes.items():
            self.tokens[name] = credentials.TOKEN + credentials.generate()
            application = name if Scope.SEND in may else ""
            objects.append(Token(name=name, key=credentials.digest(key, self.tokens[name]), scopes=may, application=application))
        parts.store.apply(objects, [], by="test")
        parts.close()

    def add_token(self, name: str, *scopes: str, application: str = "", more: tuple[str, ...] = ()) -> str:
        words = ["token", "add", name, *(word for scope in scopes for word in ("--scope", scope)), *more]
        self.tokens[name] = self.gateway.run(*words, *(("--application", application) if application else ())).strip()
        return self.tokens[name]

    def __getitem__(self, token: str) -> httpx2.Client:
        """A client with the token of this name; an empty name is no token."""
        if token not in self._clients:
            headers = {"Authorization": f"Bearer {self.tokens[token]}"} if token else {}
            self._clients[token] = httpx2.Client(base_url=f"{self.gateway.web}/v1", headers=headers, timeout=30, trust_env=False)
        return self._clients[token]

    def send(self, token: str = "erp", *, sender: Any = MARY, **mail: Any) -> str:
        """A mail as JSON, with whatever it lacks; its id."""
        answer = self[token].post("/messages", json={"from": sender, "to": [ANNA], "subject": "Hello", "text": "Hi\n", **mail})
        assert answer.status_code == 202, answer.text
        number: str = answer.json()["id"]
        return number

    def arrived(self, number: str) -> bytes:
        """The bytes that left for the next hop."""
        path = self.sink / f"{number}.eml"
        assert eventually(path.exists), self["reader"].get(f"/messages/{number}").text
        return path.read_bytes()

    def forget_clients(self) -> None:
        """The gateway has started again, at another port."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def stop(self) -> None:
        self.forget_clients()
        self.gateway.stop()


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    made = Api(tmp_path_factory.mktemp("api"))
    yield made
    made.stop()


def problem(answer: httpx2.Response, status: int) -> str:
    """The detail of an error, which is a problem document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["detail"]
    return str(body["detail"]) + "".join(f" {each['where']}: {each['what']}" for each in body.get("errors", ()))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
