"""`kill -9` at each step of a mail's way: after the restart it arrives once.

    accepted | begin | create the draft | note its id | send it | settle

Where the step is a request, the tenant takes its time over it. Where it is a write of ours, another program holds the database's
lock, so that the step before is done and this one is not.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mailroom_core.model import State
from tests.walk.conftest import QUICK_LOOKS, MakeWorld
from tests.walk.world import ANNA, World, eventually, mail, unique

LONG = {"kind": "delay", "seconds": 60}
"""Longer than the gateway lives."""
MOMENT = {"kind": "delay", "seconds": 1.0}
"""Long enough to take the database's lock meanwhile."""


@pytest.fixture(scope="module")
def started(make_world: MakeWorld) -> World:
    return make_world(environment=QUICK_LOOKS).set_up()


@pytest.fixture
def world(started: World) -> World:
    started.calm()
    return started


def test_killed_before_the_attempt_begins(world: World) -> None:
    for worker in world.gateway.workers():
        os.kill(worker, signal.SIGSTOP)
    subject = _submitted(world)
    _kill_and_start(world)
    _arrives_once(world, subject)


def test_killed_while_the_draft_is_being_made(world: World) -> None:
    subject = _submitted_until(world, "createDraft", LONG)
    _kill_and_start(world)
    _arrives_once(world, subject)


def test_killed_between_the_draft_and_the_note_of_its_id(world: World) -> None:
    subject = _submitted_until(world, "createDraft", MOMENT)
    with _database_lock(world):
        assert eventually(lambda: subject in _drafts(world))
        world.gateway.kill()
    world.gateway.start()
    _arrives_once(world, subject)
    assert subject not in _drafts(world), "the draft that nobody knew is swept away"


def test_killed_between_the_note_and_the_send(world: World) -> None:
    subject = _submitted_until(world, "send", LONG)
    _kill_and_start(world)
    _arrives_once(world, subject)
    assert world.count("createDraft") == 1, "the same draft is sent"


def test_killed_between_the_send_and_the_settling(world: World) -> None:
    subject = _submitted_until(world, "send", MOMENT)
    with _database_lock(world):
        assert eventually(lambda: world.arrived(subject))
        world.gateway.kill()
    world.gateway.start()
    _arrives_once(world, subject)
    assert (world.count("createDraft"), world.count("send")) == (1, 1)


def test_killed_twice_while_it_looks(world: World) -> None:
    world.emulator.fault(match={"operation": "send"}, action={"kind": "do_but_answer", "status": 504})
    subject = _submitted_until(world, "getMessage", LONG)
    world.emulator.fault(match={"operation": "getMessage"}, action=LONG)
    _kill_and_start(world)
    assert eventually(lambda: world.faults_left() == 0)
    _kill_and_start(world)
    _arrives_once(world, subject)
    assert (world.count("createDraft"), world.count("send")) == (1, 1)


def test_a_worker_that_dies_alone_is_replaced_and_its_mail_goes_on(world: World) -> None:
    subject = _submitted_until(world, "send", LONG)
    (worker,) = world.gateway.workers()
    os.kill(worker, signal.SIGKILL)
    _arrives_once(world, subject)
    assert world.gateway.process.poll() is None


def test_an_orderly_stop_waits_for_what_is_under_way(world: World) -> None:
    subject = _submitted_until(world, "send", MOMENT)
    assert world.gateway.stop() == 0
    assert world.states(subject) == {ANNA: State.SENT}
    world.gateway.start()


def _submitted(world: World) -> str:
    subject = unique("killed")
    world.submit(mail(subject))
    return subject


def _kill_and_start(world: World) -> None:
    world.gateway.kill()
    world.gateway.start()


def _arrives_once(world: World, subject: str) -> None:
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]


def _drafts(world: World) -> list[str]:
    return [draft["subject"] for draft in world.drafts()]


def _submitted_until(world: World, operation: str, delay: dict[str, Any]) -> str:
    """A mail is on its way, and the tenant takes its time over this request."""
    world.emulator.fault(match={"operation": operation}, action=delay)
    subject = _submitted(world)
    assert eventually(lambda: world.faults_left() == 0, every=0.02)
    return subject


@contextmanager
def _database_lock(world: World) -> Iterator[None]:
    """Nobody else writes while this is held."""
    connection = sqlite3.connect(world.gateway.data / "mailroom.db", isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()
