"""What no rule could place is judged again when somebody says so, by the objects of then."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mailroom.ports import Found, Query
from mailroom_core.model import State
from tests.walk.conftest import MakeWorld
from tests.walk.test_incoming import INCOMING, come, conversation, fetched, look
from tests.walk.world import ANNA, World, eventually, mail, unique

LATER = """
[alias."late@contoso.example"]
destination = "desk"
"""


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    made = make_world().set_up(INCOMING)
    assert eventually(lambda: watched(made)), "nobody looks at the mailbox"
    return made


def watched(world: World) -> bool:
    with world.store() as store:
        return bool(store.watch.all())


def lost(world: World, to: str) -> str:
    """The subject of a mail that waits in quarantine."""
    subject = unique("Lost")
    come(world, mail(subject, sender=ANNA, to=to))
    look(world)
    (found,) = fetched(world, subject)
    assert (found.delivery.state, found.delivery.server) == (State.HELD, "")
    return subject


def all_of(world: World, subject: str) -> list[Found]:
    with world.store() as store:
        return store.find(Query(text=subject), limit=10)[0]


def places(world: World, subject: str) -> set[tuple[str, State]]:
    return {(each.delivery.server, each.delivery.state) for each in all_of(world, subject)}


def test_a_mail_in_quarantine_goes_where_todays_objects_say_and_one_without_a_place_waits_again(world: World) -> None:
    placed, unplaced = lost(world, "late@contoso.example"), lost(world, "never@contoso.example")
    world.apply(LATER)
    assert {row["subject"] for row in world.gateway.ask("quarantine", "list")} == {placed, unplaced}
    assert "2 deliveries" in world.gateway.run("quarantine", "retry")
    assert eventually(lambda: places(world, placed) == {("", State.SENT), ("desk", State.SENT)}), world.story(placed)
    (handed,) = [each for each in all_of(world, placed) if each.delivery.server]
    assert eventually(lambda: [entry.message_id for entry in conversation(world, placed)[1]] == [handed.message.id])
    again = world.wait_for(unplaced, State.HELD)
    assert "no alias, no reply, no fallback" in str(again[0].reply)
    assert "1 delivery" in world.gateway.run("queue", "retry", unplaced)
    assert [row["subject"] for row in eventually(lambda: world.gateway.ask("quarantine", "list"))] == [unplaced]


def test_what_would_become_of_a_mail_is_explained_rule_by_rule_and_changes_nothing(world: World, tmp_path: Path) -> None:
    file = tmp_path / "mail.eml"
    file.write_bytes(mail("Question", sender=ANNA, to="sales@contoso.example"))
    said = world.gateway.run("route", "explain", str(file), "--incoming", "mary")
    assert "* aliases" in said
    assert "to desk through sales@contoso.example: opens something new" in said
    (found,) = json.loads(world.gateway.run("route", "explain", str(file), "--recipient", "other@contoso.example", "--json"))
    assert (found["verdict"], found["routes"]) == ("quarantined", [])
    assert all_of(world, "Question") == []
    with pytest.raises(subprocess.CalledProcessError) as refused:
        world.gateway.run("route", "explain", str(file), "--incoming", "nobody")
    assert "mailroom incoming list" in refused.value.stderr
