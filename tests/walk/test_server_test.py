"""`mailroom server test`: a real mail, and each step with what the other side said."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.contract.smtp_server import Script
from tests.walk.conftest import MakeWorld
from tests.walk.sink import smtp_sink
from tests.walk.world import ANNA, MARY, World


@pytest.fixture(scope="module")
def started(make_world: MakeWorld) -> World:
    world = make_world()
    world.gateway.connect(world.emulator, "office", MARY)
    return world


@pytest.fixture
def world(started: World) -> World:
    started.calm()
    return started


def steps(world: World, name: str, *options: str) -> list[tuple[str, bool, str]]:
    try:
        said = world.gateway.run("server", "test", name, "--to", ANNA, "--json", *options)
    except subprocess.CalledProcessError as failed:
        said = failed.output
    return [(step["step"], step["ok"], step["said"]) for step in map(json.loads, said.splitlines())]


def test_graph_shows_token_rights_draft_and_send(world: World) -> None:
    found = steps(world, "office")
    assert [(name, ok) for name, ok, _ in found] == [("token", True), ("rights", True), ("draft", True), ("send", True)]
    assert found[0][2].startswith("valid until")
    assert "202" in found[-1][2]
    assert world.arrived("A test of Mailroom") == [ANNA]


def test_what_graph_refuses_is_the_last_step_and_says_what_to_do(world: World) -> None:
    world.emulator.fault(match={"operation": "createDraft"}, times=None, action={"kind": "answer", "status": 403})
    found = steps(world, "office")
    assert found[-1][1] is False
    assert "403" in found[-1][2]


def test_a_dead_grant_ends_the_test_with_the_command_that_mends_it(world: World) -> None:
    world.gateway.connect(world.emulator, "dead", MARY, "--no-server")
    world.gateway.run("server", "add-graph", "dead", "--account", "dead")
    world.emulator.ask("POST", f"/accounts/{MARY}/revoke", json={"access_tokens": True})
    world.emulator.fault(match={"operation": "sendMail"}, action={"kind": "answer", "status": 401})
    *_, (name, ok, said) = steps(world, "dead")
    assert (name, ok) == ("rights", False)
    assert said.endswith("run: mailroom connect dead")


def test_smtp_shows_every_answer(world: World) -> None:
    with smtp_sink() as server:
        world.gateway.run("server", "add-smarthost", "relay", "--host", "127.0.0.1", "--port", str(server.port), "--security", "none")
        found = steps(world, "relay", "--from", MARY)
        assert [name for name, _, _ in found] == ["connect", "MAIL", "RCPT", "DATA", "content", "result"]
        assert all(ok for _, ok, _ in found)
        assert "queued as 4711" in found[-1][2]
        (mail,) = server.mails
        assert mail.recipients == [ANNA]


def test_smtp_that_refuses_shows_where(world: World) -> None:
    with smtp_sink(Script({"RCPT": b"550 5.1.1 no such user\r\n"})) as server:
        world.gateway.run("server", "add-smarthost", "strict", "--host", "127.0.0.1", "--port", str(server.port), "--security", "none")
        found = steps(world, "strict", "--from", MARY)
        assert ("RCPT", False, "550 5.1.1 no such user") in found
        assert found[-1][:2] == ("result", False)
        assert server.mails == []
    refused = steps(world, "strict", "--from", MARY)
    assert refused[-1][1] is False
    assert "look at host, port and the firewall" in refused[-1][2]


def test_what_can_not_be_tried_is_said_at_once(world: World) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        world.gateway.run("server", "test", "nowhere", "--to", ANNA)
    assert "there is no outgoing server" in refused.value.stderr
