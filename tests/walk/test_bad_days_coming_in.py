"""Bad days of the way in: a dead grant, notifications of strangers, and destinations that die when they have just taken a mail."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace

import httpx2
import pytest

from mailroom.incoming import NOTIFY_PATH
from mailroom_core.model import State
from tests.contract.transports.fake_odoo import DATABASE, KEY, USER, FakeOdoo, fake_odoo
from tests.walk.conftest import QUICK_LOOKS, MakeWorld
from tests.walk.test_destinations import Got, program
from tests.walk.test_grants import connect_app
from tests.walk.test_incoming import come, fetched
from tests.walk.world import ANNA, MARY, TOM, World, eventually, mail, unique

INCOMING = """
[alias_domain."contoso.example"]

[destination.desk]
inbox = {{}}

[destination.program]
webhook = {{ url = "{program}" }}

[destination.odoo]
odoo = {{ url = "{odoo}", database = "{database}", user = "{user}" }}

[alias."help@contoso.example"]
destination = "desk"

[alias."orders@contoso.example"]
destination = "program"

[alias."leads@contoso.example"]
destination = "odoo"

[incoming.mary]
graph = {{ account = "office" }}
every_minutes = 60

[incoming.tom]
graph = {{ account = "app" }}
every_minutes = 60
"""


@dataclass
class Deaths:
    """Of a destination that was asked: before it could answer, as often as is left."""

    left: int = 0

    def __call__(self) -> bool:
        self.left -= 1
        return self.left >= 0


@dataclass
class House:
    """Two mailboxes that are looked at when the provider tells of mail, and once an hour; and three destinations."""

    world: World
    odoo: FakeOdoo
    got: Got
    deaths: Deaths = field(default_factory=Deaths)

    def notify(self, state: str, times: int = 1) -> set[int]:
        """Tell the gateway of new mail, many at once; its answers."""
        body = json.dumps({"value": [{"clientState": state, "changeType": "created"}]}).encode()
        with httpx2.Client(trust_env=False, timeout=60) as client, ThreadPoolExecutor(8) as threads:
            answers = threads.map(lambda _: client.post(self.world.gateway.web + NOTIFY_PATH, content=body).status_code, range(times))
            return set(answers)

    def state(self, server: str) -> str:
        """What the gateway has told the provider to say."""
        told = self.world.emulator.ask("GET", "/subscriptions")["subscriptions"]
        return next(str(each["clientState"]) for each in told if str(each["clientState"]).startswith(f"{server}."))

    def looks(self) -> int:
        return self.world.count("list")


@pytest.fixture(scope="module")
def house(make_world: MakeWorld) -> Iterator[House]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    public = {"MAILROOM_WEB_PORT": str(port), "MAILROOM_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    private = {"MAILROOM_WEBHOOKS_PRIVATE_NETWORKS": "127.0.0.0/8"}
    deaths = Deaths()
    with program(deaths) as (url, got), fake_odoo() as odoo:
        world = make_world(environment={**QUICK_LOOKS, **public, **private})
        connect_app(world)
        world.set_up(INCOMING.format(program=url, odoo=odoo.url, database=DATABASE, user=USER))
        world.gateway.run("destination", "key", "odoo", stdin=f"{KEY}\n")
        world.gateway.run("destination", "secret", "program")
        with world.store() as store:
            store.apply([replace(store.directory().applications["erp"], answers="odoo")], [], by="test")
        assert eventually(lambda: len(world.emulator.ask("GET", "/subscriptions")["subscriptions"]) == 2), "nobody asked to be told"
        yield House(world, odoo, got, deaths)


def test_strangers_who_pretend_to_be_the_provider_have_nothing_looked_at(house: House) -> None:
    eventually(lambda: _all_looked_at(house.world))
    house.world.emulator.ask("DELETE", "/counters")
    real = house.state("mary")
    for state in (real[:-1] + ("0" if real[-1] != "0" else "1"), "mary.", f"tom.{real.partition('.')[2]}"):
        assert house.notify(state, times=100) == {202}
    assert house.notify(real) == {202}
    assert eventually(house.looks), "the true one was not heard"
    assert eventually(lambda: _all_looked_at(house.world))
    assert house.looks() <= 3, "one look at one mailbox"


def test_a_flood_of_notifications_hinders_nobody_and_is_no_flood_for_the_provider(house: House) -> None:
    subject, leaving = unique("In the flood"), unique("Meanwhile")
    house.world.emulator.ask("DELETE", "/counters")
    come(house.world, mail(subject, sender=ANNA, to="help@contoso.example"))
    with ThreadPoolExecutor(1) as beside:
        flood = beside.submit(house.notify, house.state("mary"), 600)
        house.world.submit(mail(leaving))
        assert flood.result() == {202}
    (found,) = fetched(house.world, subject)
    assert (found.delivery.state, found.delivery.server) == (State.SENT, "desk")
    house.world.wait_until_sent(leaving)
    counters = house.world.emulator.ask("GET", "/counters")
    assert "429" not in counters["by_status"]
    assert house.looks() < 300


def test_where_the_grant_of_one_mailbox_dies_the_others_go_on_and_it_comes_back_by_itself(house: House) -> None:
    world, hers, his = house.world, unique("For Mary"), unique("For Tom")
    world.emulator.ask("POST", f"/accounts/{MARY}/revoke", json={"access_tokens": True})
    come(world, mail(hers, sender=ANNA, to="help@contoso.example"))
    reason = world.held(MARY)
    assert "mailroom connect office" in reason
    come(world, mail(his, sender=ANNA, to="help@contoso.example"), mailbox=TOM)
    (found,) = fetched(world, his)
    assert found.delivery.state is State.SENT
    assert world.deliveries(hers) == []
    world.gateway.connect(world.emulator, "office", MARY, "--no-server")
    world.gateway.run("incoming", "fetch", "mary")
    assert [each.delivery.state for each in fetched(world, hers)] == [State.SENT]


def test_a_program_that_died_when_it_had_the_mail_gets_it_again_under_the_same_id(house: House) -> None:
    """Its own store knows by that whether it has it: webhook-id is the idempotency key (docs/api.md)."""
    world, subject = house.world, unique("Order")
    house.deaths.left = 1
    come(world, mail(subject, sender=ANNA, to="orders@contoso.example"))
    _tried_again(world, subject)
    (found,) = fetched(world, subject)
    assert found.delivery.state is State.SENT
    first, second = _of(house, subject)
    assert first == second


def test_an_odoo_that_died_when_it_had_the_mail_has_one_record_of_it(house: House) -> None:
    world, subject, deaths = house.world, unique("Lead"), Deaths(1)
    house.odoo.drop = deaths
    come(world, mail(subject, sender=ANNA, to="leads@contoso.example"))
    _tried_again(world, subject)
    (found,) = fetched(world, subject)
    assert found.delivery.state is State.SENT
    assert deaths.left < 0
    assert [str(each["Subject"]) for each in house.odoo.taken if each["Subject"] == subject] == [subject]


def test_an_answer_that_names_no_mail_reaches_its_record_by_the_providers_conversation(house: House) -> None:
    world, subject = house.world, unique("Quotation")
    world.emulator.switch(conversation_by_subject=True)
    try:
        raw = mail(subject)
        world.submit(raw, ANNA)
        world.wait_until_sent(subject)
        ours = _number(raw)
        house.odoo.parents[ours] = 7
        come(world, mail(subject, sender=ANNA, to=MARY, text="I take it\r\n"))
        (answer,) = fetched(world, subject)
    finally:
        world.emulator.switch(conversation_by_subject=False)
    assert (answer.delivery.state, answer.delivery.server, answer.delivery.remote.remote_id) == (State.SENT, "odoo", "7")
    (taken,) = [each for each in house.odoo.taken if each["Subject"] == subject]
    assert (taken["In-Reply-To"], taken["References"]) == (ours, ours)


def test_an_odoo_hears_that_its_mail_did_not_arrive_though_the_provider_calls_it_otherwise(house: House) -> None:
    world, subject = house.world, unique("To nobody")
    nobody = f"unknown-{subject.rpartition(' ')[2]}@customer.example"
    world.emulator.switch(message_id="replaced_on_send")
    try:
        raw = mail(subject, to=nobody)
        world.submit(raw, nobody)
        assert eventually(lambda: house.odoo.bounced), world.story(subject)
    finally:
        world.calm()
    assert house.odoo.bounced == [(_number(raw), nobody)]
    assert world.states(subject)[nobody] is State.BOUNCED


def _number(raw: bytes) -> str:
    return next(line.partition(b": ")[2].decode() for line in raw.splitlines() if line.startswith(b"Message-ID"))


def _tried_again(world: World, subject: str) -> None:
    """Once its first try has ended without an answer, and without waiting for the next one."""
    assert eventually(lambda: [each for each in world.deliveries(subject) if each.reply and each.state is State.QUEUED]), world.story(
        subject
    )
    world.gateway.run("queue", "send-now", subject)


def _of(house: House, subject: str) -> list[str]:
    """The ids under which a program got a mail."""
    return [head["webhook-id"] for head, body in house.got if subject.encode() in body]


def _all_looked_at(world: World) -> bool:
    """Nobody is looking, and nobody is about to."""
    with world.store() as store:
        return all(each.looked_at and each.due_at > each.looked_at for each in store.watch.all())
