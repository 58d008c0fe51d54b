"""The way in by the command line: mailboxes, destinations, aliases, a look by hand."""

from __future__ import annotations

import json
import subprocess

import pytest

from mailroom_core.model import State
from tests.walk.conftest import MakeWorld
from tests.walk.test_incoming import come, fetched
from tests.walk.world import ANNA, MARY, World, eventually, mail, unique


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    made = make_world().set_up('[alias_domain."contoso.example"]\n')
    run = made.gateway.run
    assert "mailroom destination add" in run("destination", "list")
    assert "mailroom incoming add" in run("incoming", "list")
    assert "mailroom alias add" in run("alias", "list")
    run("destination", "add", "desk", "--follower", "tom@contoso.example")
    run("alias", "add", "sales@contoso.example", "--destination", "desk", "--domain", "fabrikam.example", "--default", "assignee=tom")
    run("incoming", "add", "mary", "--account", "office")
    return made


def refused(world: World, *words: str) -> str:
    with pytest.raises(subprocess.CalledProcessError) as problem:
        world.gateway.run(*words)
    return str(problem.value.stderr)


def steps(world: World, name: str) -> dict[str, tuple[bool, str]]:
    try:
        said = world.gateway.run("incoming", "test", name, "--json")
    except subprocess.CalledProcessError as failed:
        said = failed.output
    return {step["step"]: (step["ok"], step["said"]) for step in map(json.loads, said.splitlines())}


def test_what_was_added_is_listed(world: World) -> None:
    (alias,) = world.gateway.ask("alias", "list")
    assert (alias["address"], alias["destination"], alias["writers"]) == ("sales@contoso.example", "desk", "everyone")
    assert (alias["domains"], alias["defaults"]) == (["fabrikam.example"], {"assignee": "tom"})
    (destination,) = world.gateway.ask("destination", "list")
    assert (destination["kind"], destination["to"]) == ("inbox", ["tom@contoso.example"])
    assert destination["aliases"] == ["sales@contoso.example"]
    (server,) = eventually(lambda: [each for each in world.gateway.ask("incoming", "list") if each["looked_at"]])
    assert (server["name"], server["mailbox"], server["after"], server["trouble"], server["told"]) == ("mary", MARY, "read", "", "no")


def test_a_look_by_hand_waits_until_it_has_ended_and_says_how_much_was_new(world: World) -> None:
    subject = unique("By hand")
    come(world, mail(subject, sender=ANNA, to="sales@contoso.example"))
    assert "mary: 1 new" in world.gateway.run("incoming", "fetch", "mary")
    assert "mary: 0 new" in world.gateway.run("incoming", "fetch", "--all")
    (found,) = fetched(world, subject)  # the follower's copy of it has the same subject, and a fate of its own
    assert found.delivery.state is State.SENT


def test_a_mailbox_that_cant_be_read_is_said_wherever_one_looks(world: World) -> None:
    world.gateway.run("incoming", "add", "lost", "--account", "office", "--folder", "Inbox/Nowhere")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        world.gateway.run("incoming", "fetch", "lost")
    assert "There is no folder 'Inbox/Nowhere'" in failed.value.output
    assert "The incoming server lost can't fetch: " in world.gateway.run("status")
    assert steps(world, "lost")["read"] == (
        False,
        "there is no folder 'Inbox/Nowhere' in the mailbox; make it there, or name another one in the incoming server",
    )
    world.gateway.run("incoming", "remove", "lost")
    assert [each["name"] for each in world.gateway.ask("incoming", "list")] == ["mary"]


def test_a_test_says_what_it_finds_step_by_step_and_takes_nothing(world: World) -> None:
    world.gateway.run("incoming", "add", "other", "--account", "office", "--mailbox", "tom@contoso.example")
    found = steps(world, "mary")
    assert list(found) == ["token", "read", "mark"]
    assert all(ok for ok, _ in found.values())
    assert f"of {MARY}: " in found["read"][1]
    world.emulator.fault(match={"operation": "createDraft"}, action={"kind": "answer", "status": 403})
    ok, said = steps(world, "mary")["mark"]
    assert not ok
    assert "mailroom connect office --read-write" in said
    world.gateway.run("incoming", "remove", "other")


def test_mistakes_are_refused_with_what_to_do(world: World) -> None:
    assert "NAME = VALUE" in refused(world, "alias", "add", "a@contoso.example", "--destination", "desk", "--default", "tom")
    assert "which does not exist" in refused(world, "alias", "add", "a@contoso.example", "--destination", "nobody")
    assert "there is an alias" in refused(world, "alias", "add", "sales@contoso.example", "--destination", "desk")
    assert "move_to names the folder" in refused(world, "incoming", "add", "x", "--account", "office", "--after", "move")
    assert "is still named" in refused(world, "destination", "remove", "desk")
    assert "mailroom alias list" in refused(world, "alias", "remove", "b@contoso.example")
    assert "mailroom incoming list" in refused(world, "incoming", "fetch", "nobody")
    assert "say --all" in refused(world, "incoming", "fetch")
    assert "mailroom incoming list" in refused(world, "incoming", "test", "nobody")


def test_quarantine_is_counted_in_status(world: World) -> None:
    subject = unique("Counted")
    come(world, mail(subject, sender=ANNA, to="nobody@elsewhere.example"))
    world.gateway.run("incoming", "fetch", "mary")
    assert "In quarantine: 1; see mailroom quarantine list" in world.gateway.run("status")
