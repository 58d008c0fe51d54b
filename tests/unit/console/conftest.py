"""The console's pages over a real store, without sign-in: each request comes from whom the test says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI, HTTPException, Request
from starlette.testclient import TestClient

from mailroom.blobs.files import FileBlobs
from mailroom.console.app import make_console
from mailroom.console.door import Door
from mailroom.console.house import House
from mailroom.console.visitor import Visitor, protected, visitor
from mailroom.objects import Role
from mailroom.ports import Blobs, Store
from mailroom.settings import Settings
from mailroom.signin.admission import Admission, Rules
from mailroom.signin.keys import Keyed
from mailroom.signin.passwords import Passwords
from mailroom.signin.provider import Provider
from mailroom.signin.reception import Present, Reception
from mailroom.signin.record import Record
from mailroom.signin.staff import Staff
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom.transports.guarded import Caller, Policy
from mailroom.users import Session, User
from mailroom.vault.expiry import Expiry
from mailroom.webhooks.desk import WebhookDesk
from mailroom.wiring.accounts import Accounts
from mailroom.wiring.parts import open_parts
from mailroom.wiring.ways import servers_of
from tests.contract.store.makers import FakeClock, Maker

CSRF = "test-token"


def door_of(store: Store, clock: FakeClock, *, url: str = "http://testserver", provider: Provider | None = None, **rules: Any) -> Door:
    """People can sign in, with passwords that cost little. Secrets lie in memory."""
    kept: dict[str, Mapping[str, str]] = {}
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    keyed, passwords = Keyed(b"k" * 32), Passwords(hasher)

    def seal(name: str, secret: Mapping[str, str] | None) -> None:
        kept.pop(name, None)
        if secret is not None:
            kept[name] = secret

    known: Any = {
        "users": store.users,
        "open_secret": kept.get,
        "keyed": keyed,
        "clock": clock,
        "passwords": passwords,
        "record": Record(store.audit),
    }
    return Door(
        reception=Reception(**known, idle=timedelta(hours=8), absolute=timedelta(days=7)),
        staff=Staff(**known, seal=seal),
        clock=clock,
        provider=provider,
        admission=Admission(Rules(**rules), store.users, Record(store.audit)) if provider else None,
        provider_name="Contoso",
        public_url=url,
    )


def desk_of(store: SqlStore, clock: FakeClock) -> WebhookDesk:
    """Webhooks may be on this machine. Secrets lie in memory."""
    kept: dict[str, Mapping[str, str]] = {}

    def seal(name: str, secret: Mapping[str, str] | None) -> None:
        kept[name] = secret or {}

    caller = Caller(Policy(["127.0.0.0/8"]))
    return WebhookDesk(notices=store, store=store, seal=seal, unseal=kept.get, caller=caller, ids=Maker(clock).ids, clock=clock)


@dataclass
class Pages:
    """A console with its store; `as_` says who visits it."""

    app: FastAPI
    store: Store
    blobs: Blobs
    clock: FakeClock
    make: Maker
    nudges: list[str] = field(default_factory=list)
    ends: list[Expiry] = field(default_factory=list)
    role: Role = Role.ADMIN

    def __post_init__(self) -> None:
        async def somebody() -> Visitor:
            user = User(name="mary@contoso.example", role=self.role)
            session = Session(key="", user=user.name, created_at=self.clock(), seen_at=self.clock(), agent="", address="")
            return Visitor(user.name, user.role, CSRF, Present(user, session, CSRF))

        async def checked(request: Request) -> None:
            request.state.visitor = await somebody()
            if request.method != "GET" and request.headers.get("x-csrf-token") != CSRF:
                raise HTTPException(403, "no token")

        self.app.dependency_overrides |= {visitor: somebody, protected: checked}
        self.client = TestClient(self.app, headers={"X-CSRF-Token": CSRF}, follow_redirects=False)

    def get(self, path: str, status: int = 200, **headers: str) -> str:
        answer = self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        assert answer.status_code == status, answer.text
        return answer.text


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    clock = FakeClock()
    store, blobs, nudges = open_store(tmp_path / "mail.db", clock=clock), FileBlobs(tmp_path / "blobs"), list[str]()
    parts = open_parts(Settings(data=tmp_path / "accounts"))
    ends = list[Expiry]()
    app = make_console(
        House(
            store=store,
            blobs=blobs,
            directory=store.directory,
            look=lambda: True,
            servers_of=lambda lane: servers_of(store.directory(), lane),
            notify=lambda: nudges.append("nudge"),
            webhooks=desk_of(store, clock),
            accounts=Accounts(parts),
            ends=lambda: ends,
            clock=clock,
        ),
        door_of(store, clock),
    )
    yield Pages(app, store, blobs, clock, Maker(clock), nudges, ends)
    store.close()
    parts.close()
