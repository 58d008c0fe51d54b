"""Webhooks, from a real gateway to a program that listens."""

from __future__ import annotations

import json
import random
import smtplib
import subprocess
import time
from collections.abc import Iterator
from threading import Event
from urllib.parse import urlsplit

import pytest

from mailroom.notices import Health
from mailroom.store.sql import SqlStore
from tests.walk.conftest import MakeWorld
from tests.walk.listener import Told, told
from tests.walk.world import World, eventually, mail, unique

ALLOWED = {"MAILROOM_WEBHOOKS_PRIVATE_NETWORKS": "127.0.0.0/8", "MAILROOM_LOG_LEVEL": "debug"}
SINK = '[server."sink"]\nsink = {}\n'


@pytest.fixture(scope="module")
def started(make_world: MakeWorld) -> World:
    world = make_world(environment=ALLOWED)
    world.apply(SINK)
    world.add_application("erp", "contoso.example")
    world.gateway.start()
    return world


@pytest.fixture
def listener() -> Iterator[Told]:
    with told() as heard:
        yield heard


@pytest.fixture
def hooked(started: World, listener: Told) -> Iterator[tuple[World, str]]:
    """A world with a webhook to the listener, and its secret."""
    yield started, started.gateway.run("webhook", "add", "shop", listener.url).strip()
    started.gateway.run("webhook", "remove", "shop")


def test_a_mail_is_told_when_it_is_accepted_and_when_it_is_sent(hooked: tuple[World, str], listener: Told) -> None:
    world, secret = hooked
    number = world.submit(mail(unique("told")))
    assert eventually(lambda: listener.ids("accepted", number) and listener.ids("sent", number)), listener.events()
    listener.verify(secret)


def test_no_kill_loses_an_event(started: World, listener: Told) -> None:
    secret = started.gateway.run("webhook", "add", "shop", listener.url).strip()
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    accepted: list[str] = []
    for _ in range(5):
        until = time.monotonic() + chance.uniform(0.2, 1.5)
        while time.monotonic() < until:
            try:
                accepted.append(started.submit(mail(unique("killed"))))
            except (smtplib.SMTPException, OSError):
                break
        started.gateway.kill()
        started.gateway.start()
    try:
        for number in accepted:
            assert eventually(lambda n=number: listener.ids("accepted", n)), f"seed {seed}: accepted {number}"  # type: ignore[misc]
            assert eventually(lambda n=number: listener.ids("sent", n)), f"seed {seed}: sent {number}"  # type: ignore[misc]
            assert len(listener.ids("accepted", number)) == len(listener.ids("sent", number)) == 1
        listener.verify(secret)
    finally:
        started.gateway.run("webhook", "remove", "shop")


def test_what_was_being_told_when_it_died_is_told_again_with_the_same_id(hooked: tuple[World, str], listener: Told) -> None:
    world, secret = hooked
    ended = Event()
    listener.before_answer = lambda: ended.wait(60)
    number = world.submit(mail(unique("half told")))
    assert eventually(lambda: listener.ids("accepted", number) and listener.ids("sent", number))
    before = len(listener.calls)
    world.gateway.kill()
    listener.before_answer = lambda: None
    ended.set()
    world.gateway.start()
    assert eventually(lambda: len(listener.calls) >= before + 2), listener.events()
    assert len(listener.ids("accepted", number)) == len(listener.ids("sent", number)) == 1
    listener.verify(secret)


def test_a_target_that_is_down_is_told_when_it_is_there_again(started: World) -> None:
    with told() as heard:
        port = urlsplit(heard.url).port
        assert port is not None
    secret = started.gateway.run("webhook", "add", "later", heard.url).strip()
    number = started.submit(mail(unique("later")))
    with started.store() as store:  # the next try comes after five seconds, the one after that in five minutes
        assert isinstance(store, SqlStore)
        assert eventually(lambda: store.health().get("later", Health()).failing_since, every=0.02)
    with told(port) as heard:
        assert eventually(lambda: heard.ids("accepted", number) and heard.ids("sent", number))
        heard.verify(secret)
        story = {
            each: started.gateway.ask("webhook", "log", "later", each) for each in heard.ids("accepted", number) | heard.ids("sent", number)
        }
        notice, tries = next((each, tries) for each, tries in story.items() if len(tries) > 1)
        assert [each["status"] for each in tries] == [0, 204]
        assert "no connection" in tries[0]["answer"]
        heard.calls.clear()
        assert started.gateway.run("webhook", "replay", "later", notice) == "1 notice goes out again.\n"
        assert eventually(lambda: heard.ids("accepted", number) | heard.ids("sent", number)) == {notice}
    started.gateway.run("webhook", "remove", "later")


def test_the_test_shows_what_the_target_answers(hooked: tuple[World, str], listener: Told) -> None:
    world, secret = hooked
    assert "204" in world.gateway.run("webhook", "test", "shop")
    assert listener.events()[-1][1]["type"] == "test"
    rotated = world.gateway.run("webhook", "rotate", "shop").strip()
    assert rotated != secret
    listener.status = 500
    with pytest.raises(subprocess.CalledProcessError) as failed:
        world.gateway.run("webhook", "test", "shop")
    assert "500" in failed.value.stdout
    assert "heard" in failed.value.stdout
    for each in (secret, rotated):
        Told(calls=listener.calls[-1:]).verify(each)


@pytest.mark.parametrize("url", ["http://10.1.2.3/", "https://192.168.1.1/", "https://[::1]/", "https://169.254.169.254/latest/meta-data"])
def test_a_private_target_is_refused(started: World, url: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        started.gateway.run("webhook", "add", "inside", url)
    assert "webhooks.private_networks" in refused.value.stderr
    assert started.gateway.ask("webhook", "list") == []


def test_the_secret_is_nowhere_in_clear_text(hooked: tuple[World, str], listener: Told) -> None:
    world, secret = hooked
    number = world.submit(mail(unique("canary")))
    assert eventually(lambda: listener.ids("sent", number))
    listener.status = 500
    world.submit(mail(unique("canary")))
    assert eventually(lambda: any(row["tries"] for row in world.gateway.ask("webhook", "log", "shop") if row["state"] == "waiting"))
    world.gateway.run("webhook", "rotate", "shop")
    shown = world.gateway.run("export") + world.gateway.run("webhook", "list", "--json") + json.dumps(listener.events())
    needle = secret.removeprefix("whsec_")
    assert needle not in shown
    for headers, _ in listener.calls:
        assert needle not in "".join(headers.values())
    looked_at = [path for path in world.folder.rglob("*") if path.is_file()]
    assert any(path.name == "mailroom.db" for path in looked_at)
    assert any(b"webhook_deferred" in path.read_bytes() for path in looked_at if path.suffix == ".log")
    for path in looked_at:
        assert needle.encode() not in path.read_bytes(), path
