"""A destination that forwards, in the whole process: each mail goes on once, and its bounce goes back to whom it was from."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from mailroom.ports import Query
from mailroom_core.model import State
from tests.contract.smtp_server import SmtpServer, TakenMail
from tests.unit.gateway.test_onward import bounce
from tests.walk.conftest import MakeWorld
from tests.walk.sink import smtp_sink
from tests.walk.world import ANNA, BOB, MARY, World, eventually, mail, unique

OBJECTS = """
[server.relay]
smarthost = {{ host = "127.0.0.1", port = {port}, security = "none" }}

[server.own]
from_filter = ["contoso.example"]
smarthost = {{ host = "127.0.0.1", port = {port}, security = "none", verp = "always" }}

[alias_domain."contoso.example"]

[alias."sales@contoso.example"]
destination = "partners"

[destination.partners]
forward = {{ to = ["tom@partner.example"] }}
"""


@pytest.fixture(scope="module")
def relay() -> Iterator[SmtpServer]:
    with smtp_sink() as server:
        yield server


@pytest.fixture(scope="module")
def world(make_world: MakeWorld, relay: SmtpServer) -> World:
    made = make_world()
    made.passwords["token"] = made.gateway.run("token", "add", "elsewhere", "--scope", "inbound:write").split()[0]
    made.apply(OBJECTS.format(port=relay.port))
    made.add_application("erp", "contoso.example")
    made.gateway.start()
    return made


def hand_over(world: World, raw: bytes, to: str, sender: str = ANNA) -> str:
    answer = httpx2.post(
        f"{world.gateway.web}/v1/inbound",
        params={"sender": sender, "recipient": to},
        content=raw,
        headers={"Authorization": f"Bearer {world.passwords['token']}", "Content-Type": "message/rfc822"},
        timeout=60,
    )
    assert answer.status_code == 202, answer.text
    verdict: str = answer.json()["verdict"]
    return verdict


def taken(relay: SmtpServer, subject: str) -> list[TakenMail]:
    return [each for each in relay.mails if subject.encode() in each.content]


def applications(world: World, subject: str) -> dict[str, State]:
    """What stands in the store: the mail that came, and each mail that it was forwarded as."""
    with world.store() as store:
        found = store.find(Query(text=subject), limit=10)[0]
    assert len({each.message.application for each in found}) == len(found), "it was forwarded twice"
    return {each.message.application: each.delivery.state for each in found}


def sender_of(mail: TakenMail) -> str:
    """The server notes the whole command."""
    return mail.mail_from.partition("<")[2].partition(">")[0]


def test_each_mail_is_forwarded_once_though_the_gateway_is_killed_and_its_bounce_goes_back(world: World, relay: SmtpServer) -> None:
    subjects = [unique(f"Forward {number}") for number in range(20)]
    for subject in subjects:
        assert hand_over(world, mail(subject, sender=ANNA, to="sales@contoso.example"), "sales@contoso.example") == "alias"
    assert eventually(lambda: len(relay.mails) >= 3, every=0.01)
    world.gateway.kill()
    world.gateway.start()
    for subject in subjects:
        assert eventually(lambda subject=subject: applications(world, subject)[""] is State.SENT), world.story(subject)  # type: ignore[misc]
        assert sorted(applications(world, subject)) == ["", "forward:partners"], world.story(subject)
    (first, *_) = eventually(lambda: taken(relay, subjects[0]))
    way_back = sender_of(first)
    assert (way_back[:5], first.recipients) == ("SRS0=", ["tom@partner.example"])
    assert b'From: "anna via contoso.example" <notifications@contoso.example>' in first.content
    assert f"Reply-To: {ANNA}".encode() in first.content
    back = unique("Bounce")
    assert hand_over(world, bounce(way_back, subject=back), way_back, sender="") == "returned"
    (returned,) = eventually(lambda: taken(relay, back))
    assert (sender_of(returned), returned.recipients) == ("", [ANNA])
    spam = unique("Spam")
    assert hand_over(world, mail(spam, sender=ANNA, to=way_back), way_back) == "quarantined"
    said = world.gateway.run("destination", "test", "partners")
    assert "keeps that sender" in said


def test_a_bounce_to_the_return_address_of_one_delivery_finds_exactly_that_one_and_goes_on_to_its_sender(
    world: World, relay: SmtpServer
) -> None:
    subject = unique("Ours")
    world.submit(mail(subject), ANNA, BOB)
    world.wait_for(subject, State.SENT)
    sent = {each.recipients[0]: sender_of(each) for each in taken(relay, subject)}
    assert sorted(sent) == sorted([ANNA, BOB])
    assert all(address.startswith("bounce+") and address.endswith("@contoso.example") for address in sent.values())
    back = unique("Bounce")
    forged = sent[BOB][:-1].replace("bounce+0", "bounce+1") + "e"
    assert hand_over(world, bounce(forged, subject=back), forged, sender="") == "quarantined"
    assert hand_over(world, bounce(sent[ANNA], subject=back), sent[ANNA], sender="") == "bounce"
    assert world.states(subject) == {ANNA: State.BOUNCED, BOB: State.SENT}, world.story(subject)
    (returned,) = eventually(lambda: taken(relay, back))
    assert (sender_of(returned), returned.recipients) == ("", [MARY])
