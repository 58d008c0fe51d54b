"""An installation beside an emulated tenant, in this process: objects in a real store, grants in a real vault."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import httpx2

from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, PUBLIC_CLIENT, TENANT
from mailroom.cli import main
from mailroom.doctor.findings import Finding
from mailroom.doctor.health.looking import Examined, Subject
from mailroom.objects import Account, GrantType, Object
from mailroom.settings import Settings
from mailroom.vault import consent
from mailroom.wiring import connecting
from mailroom.wiring.health import examination
from mailroom.wiring.parts import Parts, open_parts
from mailroom_emulator.server import Options, Running, in_thread

MARY, TOM, SALES = "mary@contoso.example", "tom@contoso.example", "sales@contoso.example"
BACK = "http://localhost"
T0 = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Installation:
    """No gateway runs; what is looked at is asked as the command line does."""

    parts: Parts
    tenant: Running

    def has(self, *objects: Object) -> None:
        self.parts.store.apply(list(objects), [], by="test")
        self.parts.directory.look()

    def app(self, name: str = "app", mailbox: str = TOM, **fields: Any) -> Account:
        """App-only, with a client secret."""
        account = self._account(name, mailbox, CONFIDENTIAL_CLIENT, tenant=TENANT, grant=GrantType.APPLICATION, **fields)
        proof = {"secret": CONFIDENTIAL_SECRET}
        signed = asyncio.run(connecting.app_only(account, self.parts.vault.app(account, proof)))
        return self._kept(account, signed, proof)

    def person(self, name: str = "office", mailbox: str = MARY, **fields: Any) -> Account:
        """Signed in by a browser."""
        account = self._account(name, mailbox, PUBLIC_CLIENT, **fields)
        started = consent.begin(account, self.parts.vault.app(account), BACK)
        answer = httpx2.get(started.url, headers={"x-emulator-auto": "1"}, trust_env=False, follow_redirects=False)
        back = dict(httpx2.URL(answer.headers["location"]).params)
        return self._kept(account, asyncio.run(connecting.answered(started, back)), None)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """The emulator's control API."""
        answer = httpx2.request(method, f"{self.tenant.url}/_emulator{path}", json=body, trust_env=False)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def look(self, kind: str, name: str) -> Examined:
        return asyncio.run(examination(self.parts, Subject(kind, name)).look())

    def forget_token(self, name: str) -> None:
        """As when its hour is over."""
        kept = self.parts.vault.open(f"account:{name}") or {}
        self.parts.vault.seal(f"account:{name}", {key: kept[key] for key in kept if not key.endswith(("access_token", "expires_at"))})
        self.parts.vault.forget()

    def _account(self, name: str, mailbox: str, client: str, **fields: Any) -> Account:
        return Account(name=name, mailbox=mailbox, client_id=client, login_url=self.tenant.url, graph_url=self.tenant.url, **fields)

    def _kept(self, account: Account, signed: connecting.Signed, proof: dict[str, str] | None) -> Account:
        done = asyncio.run(connecting.connected(self.parts, account, signed, proof, with_server=False, by="test"))
        self.parts.directory.look()
        return done.account


@contextmanager
def installation(folder: Path, **settings: Any) -> Iterator[Installation]:
    with in_thread(Options()) as tenant:
        parts = open_parts(Settings(data=folder, **settings))
        try:
            yield Installation(parts, tenant)
        finally:
            parts.close()


def codes(found: Examined) -> list[str]:
    return [each.code for each in found.look.findings]


def facts_of(found: Examined) -> dict[str, str]:
    return {each.name: each.said for each in found.facts}


def only(found: Examined) -> Finding:
    """The one finding that there is: nothing is said without evidence, and each command exists."""
    (finding,) = found.look.findings
    assert all(each.asked and each.said for each in finding.evidence)
    assert finding.evidence
    assert finding.why
    assert finding.todo
    for repair in finding.repairs:
        assert repair.command or repair.page, repair
        if repair.command:
            exists(repair.command)
    return finding


def exists(command: str) -> None:
    program, *words = shlex.split(command)
    assert program == "mailroom"
    here: click.Command = main
    while isinstance(here, click.Group) and words and not words[0].startswith("-"):
        here = here.commands[words.pop(0)]
    known = {option for each in here.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    assert {each for each in words if each.startswith("-")} <= known, command
