"""`mailroom connect`: what an account may do is found out, and a working secret is not lost to a wrong one."""

from __future__ import annotations

import subprocess

import httpx
import pytest

from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT
from tests.walk.conftest import MakeWorld
from tests.walk.world import MARY, NOTIFICATIONS, TOM, World


@pytest.fixture(scope="module")
def started(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture
def world(started: World) -> World:
    started.calm()
    return started


def app_only(world: World, name: str, *options: str, secret: str = "") -> str:
    words = ["connect", name, "--app-only", "--client-id", CONFIDENTIAL_CLIENT, "--tenant", TENANT, *options]
    words += ["--login-url", world.emulator.url, "--graph-url", world.emulator.url, *(["--secret"] if secret else [])]
    return world.gateway.run(*words, stdin=f"{secret}\n")


def sends_only(world: World, name: str) -> bool:
    section = world.gateway.run("export").partition(f"[account.{name}]")[2].partition("\n[")[0]
    return "read_write = false" in section


def test_an_account_that_may_only_send_is_known_as_such_until_it_may_more(world: World) -> None:
    world.emulator.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", json={"roles": ["Mail.Send"]})
    said = app_only(world, "tom", "--mailbox", TOM, secret=CONFIDENTIAL_SECRET)
    assert "It may only send" in said
    assert sends_only(world, "tom")
    assert "as you chose" in app_only(world, "tom")
    world.emulator.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", json={"roles": ["Mail.Send", "Mail.ReadWrite"]})
    said = app_only(world, "tom", "--read-write")
    assert "look before a mail is sent again" in said
    assert not sends_only(world, "tom")
    assert world.arrived("") == []


def test_trouble_of_the_provider_takes_no_right_away(world: World) -> None:
    world.emulator.fault(match={"operation": "createDraft"}, action={"kind": "answer", "status": 503})
    assert "could not be found out" in app_only(world, "busy", "--mailbox", TOM, secret=CONFIDENTIAL_SECRET)
    assert not sends_only(world, "busy")


def test_a_person_who_signs_in_for_sending_alone_can_sign_in_for_more(world: World) -> None:
    world.gateway.connect(world.emulator, "mary", MARY, "--no-server", "--send-only")
    assert sends_only(world, "mary")
    world.gateway.connect(world.emulator, "mary", MARY, "--no-server", "--read-write")
    assert not sends_only(world, "mary")


def test_a_wrong_secret_replaces_no_working_one(world: World) -> None:
    app_only(world, "kept", "--mailbox", TOM, secret=CONFIDENTIAL_SECRET)
    with pytest.raises(subprocess.CalledProcessError):
        app_only(world, "kept", secret="mistyped")
    assert "kept is connected" in app_only(world, "kept")


def test_app_only_without_a_mailbox_is_refused_with_what_to_do(world: World) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        app_only(world, "nobody", secret=CONFIDENTIAL_SECRET)
    assert "--mailbox" in refused.value.stderr
    assert "no mailbox is named" in app_only(world, "nobody", "--no-server", secret=CONFIDENTIAL_SECRET)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        world.gateway.run("server", "add-graph", "way", "--account", "nobody")
    assert "no mailbox to send from" in refused.value.stderr
    world.gateway.run("server", "add-graph", "way", "--account", "nobody", "--mailbox", "sender")


def test_an_account_can_be_led_back_from_app_only_to_a_persons_sign_in(world: World) -> None:
    """Also with another app registration, which knows nothing of the first one's secret."""
    world.emulator.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", json={"roles": ["Mail.Send"]})
    app_only(world, "back", "--mailbox", TOM, "--no-server", secret=CONFIDENTIAL_SECRET)
    assert sends_only(world, "back")
    world.gateway.connect(world.emulator, "back", TOM, "--no-server", "--delegated")
    exported = world.gateway.run("export").partition("[account.back]")[2].partition("\n[")[0]
    assert 'grant = "application"' not in exported
    assert "read_write = false" not in exported
    world.emulator.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", json={"roles": ["Mail.Send", "Mail.ReadWrite"]})
    said = app_only(world, "back", "--no-server", secret=CONFIDENTIAL_SECRET)
    assert "look before a mail is sent again" in said


def test_where_only_an_administrator_may_consent_the_link_for_one_is_given(world: World) -> None:
    world.emulator.ask("POST", "/switches", json={"user_consent": False})
    with pytest.raises(subprocess.CalledProcessError) as refused:
        world.gateway.connect(world.emulator, "strict", NOTIFICATIONS, "--no-server", "--tenant", TENANT)
    link = str(refused.value.output).partition("The link for an administrator: ")[2].split()[0]
    assert link.startswith(f"{world.emulator.url}/{TENANT}/adminconsent?client_id=")
    assert "admin_consent=True" in httpx.get(f"{link}&emulator_auto=1").headers["location"]
    world.gateway.connect(world.emulator, "strict", NOTIFICATIONS, "--no-server", "--tenant", TENANT)
