"""The console as a browser meets it: nobody is signed in until somebody signs in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pyotp
from fastapi import FastAPI
from starlette.testclient import TestClient

from mailroom.blobs.files import FileBlobs
from mailroom.console.app import make_console
from mailroom.console.door import Door
from mailroom.console.exporting import Exports
from mailroom.console.house import House
from mailroom.objects import Role
from mailroom.settings import Settings
from mailroom.store.sql import SqlStore
from mailroom.support.desk import SupportDesk
from mailroom.wiring.accounts import Accounts
from mailroom.wiring.parts import open_parts
from tests.contract.store.makers import FakeClock
from tests.unit.console.desks import ENTRANCE, cutover_of, desk_of, doctor_of, door_of, objects_of, supported, way_in_of

MARY, PAUL, PASSWORD = "mary@example.com", "paul@example.com", "four horses in a kitchen"
CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
ADDRESS = "http://testserver"


@dataclass
class Site:
    store: SqlStore
    clock: FakeClock
    door: Door
    app: FastAPI
    browsers: list[TestClient] = field(default_factory=list)

    def browser(self, **headers: str) -> TestClient:
        """One with cookies of its own, which follows no redirect by itself."""
        base = self.door.public_url or "http://127.0.0.1:8020"
        return TestClient(self.app, base_url=base, headers=headers, follow_redirects=False)

    def person(self, name: str, role: Role) -> None:
        self.door.staff.choose_password(self.door.staff.invite(name, role, by="test"), PASSWORD)

    def signed_in(self, name: str = MARY, **headers: str) -> TestClient:
        made = self.browser(**headers)
        answer = sign_in(made, name)
        assert answer.status_code == 303, answer.text
        return made


def made(store: SqlStore, clock: FakeClock, tmp_path: Path, **more: Any) -> Site:
    door = door_of(store, clock, **more)
    house = House(
        store=store,
        blobs=FileBlobs(tmp_path / "blobs"),
        directory=store.directory,
        look=lambda: True,
        servers_of=lambda _: [],
        notify=lambda: None,
        webhooks=desk_of(store, clock),
        doctor=doctor_of(store, clock),
        cutover=cutover_of(store, clock),
        support=SupportDesk(made=supported),
        objects=objects_of(store),
        entrance=ENTRANCE,
        exports=Exports(tmp_path / "exports", clock),
        way_in=way_in_of(store, FileBlobs(tmp_path / "blobs"), clock, tmp_path / "spool"),
        accounts=Accounts(open_parts(Settings(data=tmp_path / "accounts"))),
        clock=clock,
    )
    return Site(store, clock, door, make_console(house, door))


def token(answer: httpx2.Response) -> str:
    found = CSRF.search(answer.text)
    assert found, answer.text
    return found[1]


def post(browser: TestClient, path: str, page: str = "", **fields: str) -> httpx2.Response:
    """Fill in the form of a page (else of the path itself) and send it."""
    sent: httpx2.Response = browser.post(path, data={"csrf": token(browser.get(page or path)), **fields})
    return sent


def sign_in(browser: TestClient, name: str = MARY, password: str = PASSWORD, **more: str) -> httpx2.Response:
    return post(browser, "/signin", name=name, password=password, **more)


def cookies(answer: httpx2.Response) -> Sequence[str]:
    return answer.headers.get_list("set-cookie")


def code(site: Site, totp: pyotp.TOTP) -> str:
    site.clock.go_on(seconds=30)
    return totp.at(site.clock())


def with_second_factor(site: Site, browser: TestClient) -> tuple[pyotp.TOTP, list[str]]:
    page = post(browser, "/me/second-factor", "/me")
    assert "<svg" in page.text
    found = re.search(r'id="secret">([A-Z2-7]{32})<', page.text)
    assert found
    totp = pyotp.TOTP(found[1])
    wrong = browser.post("/me/second-factor/on", data={"csrf": token(page), "code": "nonsense"})
    assert wrong.status_code == 422
    assert found[1] in wrong.text
    shown = browser.post("/me/second-factor/on", data={"csrf": token(page), "code": code(site, totp)})
    codes = re.findall(r"^(?:.*>)?([a-z2-9]{6}-[a-z2-9]{6})", shown.text, re.MULTILINE)
    assert len(codes) == 10
    assert not any(each in browser.get("/me").text for each in codes), "they are shown once"
    return totp, codes
