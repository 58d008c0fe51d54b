"""The console's pages over a real store, without sign-in: each request comes from whom the test says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from fastapi import FastAPI, HTTPException, Request
from starlette.testclient import TestClient

from mailroom.blobs.files import FileBlobs
from mailroom.console.app import make_console
from mailroom.console.exporting import Exports
from mailroom.console.house import House
from mailroom.console.visitor import Visitor, protected, visitor
from mailroom.objects import Role
from mailroom.ports import Blobs, Store
from mailroom.settings import Settings
from mailroom.signin.reception import Present
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom.support.desk import SupportDesk
from mailroom.users import Session, User
from mailroom.vault.expiry import Expiry
from mailroom.wiring.accounts import Accounts
from mailroom.wiring.parts import open_parts
from mailroom.wiring.ways import servers_of
from tests.contract.store.makers import FakeClock, Maker
from tests.unit.console.desks import ENTRANCE, cutover_of, desk_of, doctor_of, door_of, objects_of, supported, way_in_of
from tests.unit.console.site import MARY, PASSWORD, Site, made

CSRF = "test-token"


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
    sealed: dict[str, Mapping[str, str] | None] = field(default_factory=dict)

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
        self.app.state.admit = AsyncMock()
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
    sealed: dict[str, Mapping[str, str] | None] = {}
    app = make_console(
        House(
            store=store,
            blobs=blobs,
            directory=store.directory,
            look=lambda: True,
            servers_of=lambda lane: servers_of(store.directory(), lane),
            notify=lambda: nudges.append("nudge"),
            webhooks=desk_of(store, clock),
            objects=objects_of(store, sealed),
            doctor=doctor_of(store, clock),
            cutover=cutover_of(store, clock),
            support=SupportDesk(made=supported),
            entrance=ENTRANCE,
            exports=Exports(tmp_path / "exports", clock),
            way_in=way_in_of(store, blobs, clock, tmp_path / "spool"),
            accounts=Accounts(parts),
            ends=lambda: ends,
            clock=clock,
        ),
        door_of(store, clock),
    )
    yield Pages(app, store, blobs, clock, Maker(clock), nudges, ends, sealed=sealed)
    store.close()
    parts.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[SqlStore]:
    opened = open_store(tmp_path / "mailroom.db", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def empty(store: SqlStore, clock: FakeClock, tmp_path: Path) -> Site:
    return made(store, clock, tmp_path)


@pytest.fixture
def site(empty: Site) -> Site:
    empty.door.staff.set_up(empty.door.staff.set_up_token(), MARY, PASSWORD)
    return empty
