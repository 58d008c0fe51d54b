"""Secrets at rest, and tokens that are refreshed once."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from mailroom.changing import carry_out
from mailroom.objects import Account
from mailroom.settings import Settings
from mailroom.store.open import open_store
from mailroom.vault import credentials
from mailroom.vault.keys import VARIABLE, KeyRing, Keys, add_key, load_keys
from mailroom.vault.vault import ONE_ANSWER, SealedVault
from mailroom.wiring.parts import open_parts
from mailroom_core.errors import VaultError
from mailroom_core.flow import Request, Response
from mailroom_core.oauth.microsoft import App, Grant, Secret
from mailroom_core.oauth.scopes import Resource

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OFFICE = Account(name="office", client_id="c", tenant="t", smtp=True)


class Login:
    """Microsoft's token endpoint: every refresh gives a new pair, and a refresh token works once."""

    def __init__(self) -> None:
        self.valid = "refresh-0"
        self.refreshes = 0
        self.asked = 0
        self.answer: Response | None = None
        self.pause: asyncio.Event | None = None
        self.scopes: list[str] = []

    async def __call__(self, request: Request) -> Response:
        self.asked += 1
        if self.pause:
            await self.pause.wait()
        if self.answer:
            return self.answer
        assert isinstance(request.body, bytes)
        form = parse_qs(request.body.decode())
        given = form["refresh_token"][0]
        self.scopes += form["scope"]
        if given != self.valid:
            return Response(400, {}, b'{"error": "invalid_grant", "error_description": "AADSTS70008: expired", "error_codes": [70008]}')
        self.refreshes += 1
        self.valid = f"refresh-{self.refreshes}"
        grant = {"access_token": f"access-{self.refreshes}", "expires_in": 3599, "refresh_token": self.valid, "token_type": "Bearer"}
        return Response(200, {}, json.dumps(grant).encode())


class House:
    """Vaults of several processes over one database."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.login = Login()
        self.account = OFFICE
        self.ring = KeyRing(folder / "vault.key", first=True)
        self.path = folder / "db"
        self.one = self.vault("one")
        self.one.keep("office", Grant("access-0", timedelta(seconds=3599), "refresh-0"))

    def vault(self, owner: str) -> SealedVault:
        store = open_store(self.path, clock=lambda: self.now)
        return SealedVault(self.ring, store, lambda name: self.account, self.login, lambda: self.now, owner)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.anyio
async def test_a_fresh_token_is_not_refreshed_and_one_with_less_than_ten_seconds_is(house: House) -> None:
    house.now += timedelta(seconds=3588)
    assert await house.one.token("office") == "access-0"
    house.now += timedelta(seconds=1)
    assert await house.one.token("office") == "access-1"
    assert house.login.refreshes == 1


@pytest.mark.anyio
async def test_a_refused_token_is_refreshed_once_by_all_who_meet_the_refusal(house: House) -> None:
    other = house.vault("two")
    tokens = await asyncio.gather(*(vault.token("office", refused="access-0") for vault in (house.one, other) for _ in range(5)))
    assert set(tokens) == {"access-1"}
    assert house.login.refreshes == 1


@pytest.mark.anyio
async def test_the_new_refresh_token_is_stored_before_the_new_access_token_is_used(house: House) -> None:
    token = await house.one.token("office", refused="access-0")
    kept = house.vault("after a crash").open("account:office")
    assert kept is not None
    assert (token, kept["access_token"], kept["refresh_token"]) == ("access-1", "access-1", "refresh-1")
    assert await house.vault("after a crash").token("office", refused="access-1") == "access-2"


@pytest.mark.anyio
async def test_each_resource_has_a_token_of_its_own_and_all_share_the_refresh_token(house: House) -> None:
    assert await house.one.token("office", resource=Resource.SMTP) == "access-1"
    assert house.login.scopes[-1] == "offline_access openid https://outlook.office.com/SMTP.Send"
    assert await house.one.token("office") == "access-0"
    other = house.vault("another process")
    assert (await other.token("office"), await other.token("office", resource=Resource.SMTP)) == ("access-0", "access-1")
    assert await other.token("office", refused="access-0") == "access-2"
    assert "SMTP" not in house.login.scopes[-1]
    assert await house.one.token("office", resource=Resource.SMTP) == "access-1"
    assert house.login.refreshes == 2


@pytest.mark.anyio
async def test_imap_and_pop_are_asked_for_by_themselves_and_need_their_consent(house: House) -> None:
    for resource, option, scope in ((Resource.IMAP, "imap", "IMAP"), (Resource.POP, "pop", "POP")):
        house.account = replace(OFFICE, imap=False, pop=False)
        with pytest.raises(VaultError, match=rf"run: mailroom connect office --{option}$"):
            await house.one.token("office", resource=resource)
        house.account = replace(OFFICE, imap=True, pop=True)
        assert await house.one.token("office", resource=resource)
        assert house.login.scopes[-1] == f"offline_access openid https://outlook.office.com/{scope}.AccessAsUser.All"


@pytest.mark.anyio
async def test_a_new_sign_in_leaves_no_token_of_the_one_before(house: House) -> None:
    await house.one.token("office", resource=Resource.SMTP)
    await house.one.connected("office", Grant("other", timedelta(seconds=3599), "refresh-1"))
    assert await house.one.token("office", resource=Resource.SMTP) == "access-2"


@pytest.mark.anyio
async def test_who_was_not_asked_for_smtp_is_told_the_command_and_microsoft_is_not_asked(house: House) -> None:
    house.account = replace(OFFICE, smtp=False)
    with pytest.raises(VaultError, match=r"run: mailroom connect office --smtp$"):
        await house.one.token("office", resource=Resource.SMTP)
    assert house.login.refreshes == 0


@pytest.mark.anyio
async def test_a_dead_grant_says_what_to_do_and_trouble_of_theirs_is_transient(house: House) -> None:
    house.login.valid = "revoked"
    with pytest.raises(VaultError, match=r"run: mailroom connect office$") as dead:
        await house.one.token("office", refused="access-0")
    assert not dead.value.transient
    house.now += ONE_ANSWER
    house.login.answer = Response(503, {}, b"")
    with pytest.raises(VaultError) as busy:
        await house.one.token("office", refused="access-0")
    assert busy.value.transient
    assert "mailroom connect" not in str(busy.value)


@pytest.mark.anyio
async def test_a_dead_grant_is_asked_for_once_by_all_who_meet_its_end_until_it_is_new_or_a_while_has_passed(house: House) -> None:
    house.login.valid = "revoked"
    met = await asyncio.gather(*(house.one.token("office", refused="access-0") for _ in range(5)), return_exceptions=True)
    with pytest.raises(VaultError, match=r"run: mailroom connect office$") as later:
        await house.one.token("office", refused="access-0")
    assert {(type(each), str(each)) for each in met} == {(VaultError, str(later.value))}
    assert house.login.asked == 1
    house.now += ONE_ANSWER
    with pytest.raises(VaultError):
        await house.one.token("office", refused="access-0")
    assert house.login.asked == 2
    await house.vault("connect").connected("office", Grant("signed-in", timedelta(seconds=3599), "revoked"))
    assert await house.one.token("office", refused="access-0") == "signed-in"
    assert await house.one.token("office", refused="signed-in") == "access-1"


@pytest.mark.anyio
async def test_trouble_that_passes_is_asked_about_again_at_once(house: House) -> None:
    house.login.answer = Response(503, {}, b"")
    with pytest.raises(VaultError):
        await house.one.token("office", refused="access-0")
    house.login.answer = None
    assert await house.one.token("office", refused="access-0") == "access-1"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("code", "command"), [("7000222", "then run: mailroom connect office --secret"), ("53003", "then run: mailroom connect office")]
)
async def test_what_an_administrator_mends_ends_with_a_command_as_well(house: House, code: str, command: str) -> None:
    house.login.answer = Response(400, {}, json.dumps({"error": "invalid_client", "error_description": f"AADSTS{code}: no"}).encode())
    with pytest.raises(VaultError) as refused:
        await house.one.token("office", refused="access-0")
    assert str(refused.value).endswith(command)


@pytest.mark.anyio
async def test_an_account_that_was_never_connected_says_so(house: House) -> None:
    with pytest.raises(VaultError, match="mailroom connect"):
        await house.one.token("other")


@pytest.mark.anyio
async def test_after_a_new_sign_in_elsewhere_the_old_token_is_not_used_any_more(house: House) -> None:
    assert await house.one.token("office") == "access-0"
    await house.vault("connect").connected("office", Grant("other-rights", timedelta(seconds=3599), "refresh-0"))
    house.one.forget()
    assert await house.one.token("office") == "other-rights"
    assert house.login.refreshes == 0


@pytest.mark.anyio
async def test_a_sign_in_is_kept_when_the_refresh_that_is_under_way_has_ended(house: House) -> None:
    house.login.pause = asyncio.Event()
    refresh = asyncio.create_task(house.one.token("office", refused="access-0"))
    other = house.vault("connect")
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(_leased, house):
            await asyncio.sleep(0)
        sign_in = asyncio.create_task(other.connected("office", Grant("signed-in", timedelta(seconds=3599), "new"), {"secret": "s"}))
        await asyncio.sleep(0)
        house.login.pause.set()
        assert await refresh == "access-1"
        await sign_in
    kept = other.open("account:office")
    assert kept is not None
    assert (kept["access_token"], kept["refresh_token"]) == ("signed-in", "new")
    assert other.open("app:office") == {"secret": "s"}


MOVED = replace(OFFICE, login_url="https://login.elsewhere.example")


async def started(house: House) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(_leased, house):
            await asyncio.sleep(0)


def move(house: House) -> None:
    """What `mailroom apply` does, in another process."""
    other = house.vault("apply")
    store = open_store(house.path, clock=lambda: house.now)
    carry_out(store, other.seal, {("account", "office"): OFFICE}, [MOVED], [], by="test")
    house.account = MOVED
    store.close()


@pytest.mark.anyio
async def test_an_account_moves_when_the_refresh_that_is_under_way_has_ended(house: House) -> None:
    house.login.pause = asyncio.Event()
    refresh = asyncio.create_task(house.one.token("office", refused="access-0"))
    await started(house)
    moving = asyncio.create_task(asyncio.to_thread(move, house))
    await asyncio.wait([moving], timeout=0.5)
    assert not moving.done(), "a refresh would store the old grant again"
    house.login.pause.set()
    assert await refresh == "access-1"
    await moving
    assert house.vault("after").open("account:office") is None


@pytest.mark.anyio
async def test_a_refresh_that_takes_longer_than_its_lease_stores_no_grant_of_a_place_that_was_left(house: House) -> None:
    house.login.pause = asyncio.Event()
    refresh = asyncio.create_task(house.one.token("office", refused="access-0"))
    await started(house)
    house.now += timedelta(seconds=61)
    await asyncio.to_thread(move, house)
    house.login.pause.set()
    with pytest.raises(VaultError, match="was changed while its token was refreshed"):
        await refresh
    assert house.vault("after").open("account:office") is None


def test_a_token_is_forgotten_before_anybody_sees_that_its_account_has_moved(tmp_path: Path) -> None:
    parts, other = open_parts(Settings(data=tmp_path)), open_parts(Settings(data=tmp_path))
    parts.store.apply([OFFICE], [], by="test")
    parts.directory.look()
    parts.vault.keep("office", Grant("access-0", timedelta(seconds=3599), "refresh-0"))
    assert asyncio.run(parts.vault.token("office")) == "access-0"
    carry_out(other.store, other.vault.seal, {("account", "office"): OFFICE}, [MOVED], [], by="test")
    assert parts.directory.look()
    with pytest.raises(VaultError, match="is not connected"):
        asyncio.run(parts.vault.token("office"))
    parts.close()
    other.close()


def _leased(house: House) -> bool:
    """Whether somebody refreshes right now."""
    store = open_store(house.path, clock=lambda: house.now)
    try:
        if store.lease("token:office", "asker", timedelta(seconds=60)):
            store.unlease("token:office", "asker")
            return False
        return True
    finally:
        store.close()


@pytest.mark.parametrize("token", ["", "two words", "line\r\nend", "caf\u00e9"])
def test_a_token_that_can_not_stand_in_a_header_is_not_kept(house: House, token: str) -> None:
    with pytest.raises(VaultError, match="sign in again"):
        house.one.keep("office", Grant(token, timedelta(seconds=3599), "refresh-9"))


def test_a_proof_is_tried_before_it_is_kept(house: House) -> None:
    house.one.seal("app:office", {"secret": "works"})
    tried, kept = house.one.app(OFFICE, {"secret": "new"}), house.one.app(OFFICE)
    assert isinstance(tried, App)
    assert isinstance(kept, App)
    assert (tried.proof, kept.proof) == (Secret("new"), Secret("works"))


def test_the_database_alone_opens_nothing(house: House) -> None:
    files = [path for path in house.path.parent.iterdir() if path.name.startswith("db")]
    assert files
    for path in files:
        assert b"refresh-0" not in path.read_bytes()
        assert b"access-0" not in path.read_bytes()


def test_a_sealed_secret_cannot_be_moved_to_another_name(house: House) -> None:
    keys = house.ring()
    sealed = keys.seal("a", b"x")
    assert keys.open("a", sealed) == b"x"
    for name, changed in (("b", sealed), ("a", sealed[:-1] + bytes([sealed[-1] ^ 1])), ("a", b"\x02" + sealed[1:]), ("a", b"")):
        with pytest.raises(VaultError, match="vault key"):
            keys.open(name, changed)


def test_rotation_seals_anew_and_a_running_process_follows(house: House, tmp_path: Path) -> None:
    running = house.vault("running")
    add_key(tmp_path / "vault.key")
    assert house.one.reseal() == 1
    assert house.one.reseal() == 0
    add_key(tmp_path / "vault.key")
    house.one.reseal()
    opened = running.open("account:office")
    assert opened is not None
    assert opened["refresh_token"] == "refresh-0"
    assert len(load_keys(tmp_path / "vault.key", {}).ring) == 2


@pytest.mark.parametrize("ended", [False, True])
def test_what_changes_while_secrets_are_sealed_anew_is_neither_lost_nor_back_again(house: House, tmp_path: Path, ended: bool) -> None:
    running = house.vault("running")
    add_key(tmp_path / "vault.key")
    changes = [Grant("access-1", timedelta(seconds=3599), "refresh-1")]

    def keys() -> Keys:
        while changes:
            running.keep("office", changes.pop())
            if ended:
                running.seal("account:office", None)
        return house.ring()

    store = open_store(house.path, clock=lambda: house.now)
    assert SealedVault(keys, store, lambda name: house.account, house.login, lambda: house.now, "rotating").reseal() == 0
    opened = house.one.open("account:office")
    assert (opened or {}).get("refresh_token") == (None if ended else "refresh-1")


def test_the_key_file_is_made_for_its_owner_only_and_refused_if_others_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "vault.key"
    made = load_keys(path, {}, first=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_keys(path, {}) == made
    os.chmod(path, 0o640)
    with pytest.raises(VaultError, match="chmod 600"):
        load_keys(path, {})


def test_a_lost_key_is_missed_and_no_other_is_made_beside_what_it_sealed(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    parts = open_parts(settings)
    parts.vault.seal("account:office", {"access_token": "x"})
    parts.close()
    key = tmp_path / "vault.key"
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(VaultError, match="put your copy of it back"):
        open_parts(settings)
    assert not key.exists()
    key.touch(mode=0o600)
    key.write_bytes(kept)
    parts = open_parts(settings)
    assert parts.vault.open("account:office") == {"access_token": "x"}
    parts.close()


def test_a_running_process_keeps_its_keys_when_their_file_is_lost(house: House, tmp_path: Path) -> None:
    (tmp_path / "vault.key").unlink()
    assert house.one.open("account:office") is not None
    assert not (tmp_path / "vault.key").exists()


def test_keys_may_come_from_the_environment_and_must_be_keys(tmp_path: Path) -> None:
    keys = load_keys(tmp_path / "none", {VARIABLE: "a" * 43 + "=" + "," + "b" * 43 + "="})
    assert len(keys.ring) == 2
    assert not (tmp_path / "none").exists()
    with pytest.raises(VaultError, match="openssl rand"):
        load_keys(tmp_path / "none", {VARIABLE: "secret"})


def test_a_credential_matches_only_itself_and_only_with_our_key() -> None:
    made = credentials.generate()
    assert len(made) == 26
    stored = credentials.digest(b"key", made)
    assert made not in stored
    assert credentials.matches(b"key", made, stored)
    assert not credentials.matches(b"other", made, stored)
    assert not credentials.matches(b"key", made + "x", stored)
    assert not credentials.matches(b"key", "", "")
