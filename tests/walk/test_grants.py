"""A grant that dies, and what brings it back. Nothing fails meanwhile; a person sees why, and then it goes on by itself."""

from __future__ import annotations

import pytest

from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT
from mailroom_core.model import State
from tests.walk.conftest import QUICK_LOOKS, MakeWorld
from tests.walk.world import ANNA, BOB, MARY, TOM, World, mail, unique

APP = """
[server."app"]
from_filter = ["tom@contoso.example"]
graph = { account = "app" }
"""


@pytest.fixture(scope="module")
def started(make_world: MakeWorld) -> World:
    """Mary by her own sign-in; Tom's mailbox by an app-only account with a client secret."""
    world = make_world(environment=QUICK_LOOKS)
    connect_app(world)
    return world.set_up(APP)


@pytest.fixture
def world(started: World) -> World:
    started.calm()
    return started


def test_a_revoked_grant_holds_the_lane_until_it_is_connected_again(world: World) -> None:
    world.emulator.ask("POST", f"/accounts/{MARY}/revoke", json={"access_tokens": True})
    subject = unique("revoked")
    world.submit(mail(subject), ANNA)
    reason = world.held(MARY)
    world.submit(mail(subject), BOB)
    for told in (reason, " ".join(world.gateway.run("status").split()), world.story(subject)):
        assert "Connect the account again: its owner signs in once; run: mailroom connect office" in told
    assert set(world.states(subject).values()) == {State.QUEUED}
    assert world.count("token") == 1, "a dead grant is not tried again and again"
    world.gateway.connect(world.emulator, "office", MARY, "--no-server")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA, BOB]


def test_an_expired_client_secret_holds_only_its_own_lane(world: World) -> None:
    world.emulator.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", json={"expire_secrets": True})
    world.emulator.fault(match={"operation": "createDraft", "mailbox": TOM}, action={"kind": "answer", "status": 401})
    subject, other = unique("expired secret"), unique("other lane")
    world.submit(mail(subject, sender=TOM), sender=TOM)
    reason = world.held(TOM)
    assert "Make a new secret" in reason
    assert reason.endswith("then run: mailroom connect app --secret")
    world.submit(mail(other))
    world.wait_until_sent(other)
    assert world.states(subject) == {ANNA: State.QUEUED}
    world.emulator.ask("PATCH", f"/apps/{CONFIDENTIAL_CLIENT}", json={"secret": "a-new-secret"})
    connect_app(world, "a-new-secret")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]


def test_a_token_that_graph_never_takes_is_refreshed_once_and_the_lane_waits_for_a_person(world: World) -> None:
    world.emulator.fault(match={"operation": "createDraft"}, times=None, action={"kind": "answer", "status": 401})
    subject = unique("never taken")
    world.submit(mail(subject))
    assert world.held(MARY).endswith("the command is: mailroom connect office")
    assert (world.count("token"), world.count("createDraft")) == (1, 2)
    assert world.states(subject) == {ANNA: State.QUEUED}
    world.calm()
    world.gateway.run("queue", "free", f"graph:office:{MARY}")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]


def test_a_mail_whose_send_lost_its_answer_while_the_grant_died_is_not_sent_twice(world: World) -> None:
    """It stays unsure as long as nobody can look, and is found when somebody can."""
    world.emulator.fault(match={"operation": "send"}, action={"kind": "do_but_answer", "status": 504})
    world.emulator.fault(match={"operation": "getMessage"}, times=None, action={"kind": "answer", "status": 401})
    subject = unique("unsure and revoked")
    world.submit(mail(subject))
    world.held(MARY)
    assert world.states(subject) == {ANNA: State.UNSURE}
    world.emulator.ask("DELETE", "/faults")
    world.gateway.connect(world.emulator, "office", MARY, "--no-server")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert world.count("createDraft") == 2, "one is the mail's, one showed what the account may do when it was connected"


def connect_app(world: World, secret: str = CONFIDENTIAL_SECRET) -> None:
    """Tom's mailbox as the app-only account `app`."""
    urls = ("--login-url", world.emulator.url, "--graph-url", world.emulator.url)
    options = ("--app-only", "--secret", "--client-id", CONFIDENTIAL_CLIENT, "--tenant", TENANT, "--mailbox", TOM, "--no-server")
    world.gateway.run("connect", "app", *options, *urls, stdin=f"{secret}\n")
