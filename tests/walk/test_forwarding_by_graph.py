"""Mail out of a watched mailbox is forwarded through Microsoft Graph, once, and what Exchange cannot deliver goes back to its author."""

from __future__ import annotations

from email import message_from_bytes

from mailroom.ports import Query
from mailroom_core.model import State
from tests.walk.conftest import QUICK_LOOKS, MakeWorld
from tests.walk.sink import smtp_sink
from tests.walk.world import ANNA, MARY, SALES, World, eventually, mail, unique

PARTNER = "tom@partner.example"
OBJECTS = """
[server.relay]
priority = 90
smarthost = {{ host = "127.0.0.1", port = {port}, security = "none" }}

[alias_domain."contoso.example"]
default_from = "mary@contoso.example"

[alias."sales@contoso.example"]
destination = "partners"

[destination.partners]
forward = {{ to = ["tom@partner.example"] }}

[incoming.mary]
graph = {{ account = "office" }}
"""


def test_a_mail_goes_on_once_though_the_gateway_is_killed_and_a_late_report_reaches_its_author(make_world: MakeWorld) -> None:
    with smtp_sink() as relay:
        world = make_world(environment=QUICK_LOOKS).set_up(OBJECTS.format(port=relay.port))
        subject = unique("Goes on")
        world.emulator.fault(match={"operation": "send"}, action={"kind": "do_but_answer", "status": 504})
        world.emulator.deliver(MARY, mail(subject, sender=ANNA, to=SALES))
        look(world)
        assert eventually(lambda: world.faults_left() == 0, every=0.02)  # it has left, and nobody here knows that yet
        world.gateway.kill()
        world.gateway.start()
        _settled(world, subject, State.SENT)
        assert world.arrived(subject) == [PARTNER]
        (copy,) = map(message_from_bytes, world.copies(subject))
        assert copy["From"] == f'"anna via contoso.example" <{MARY}>'
        assert copy["Reply-To"] == ANNA
        assert not relay.mails, "a mail that leaves through Graph leaves there alone"

        late = unique("Comes back")
        world.emulator.ask("POST", "/bounces", json={"address": PARTNER, "diagnostic": "550 5.1.1 User unknown"})
        world.emulator.deliver(MARY, mail(late, sender=ANNA, to=SALES))
        look(world)
        _settled(world, late, State.SENT, State.BOUNCED)
        assert eventually(lambda: _has_come_back(world, late), every=0.5), world.story(late)
        (report,) = eventually(lambda: relay.mails)
        assert report.recipients == [ANNA]
        assert "<>" in report.mail_from
        assert PARTNER.encode() in report.content
        look(world)
        assert len(relay.mails) == 1


def _has_come_back(world: World, subject: str) -> bool:
    look(world)
    return _states(world, subject).get("forward:partners") is State.BOUNCED


def look(world: World) -> None:
    with world.store() as store:
        store.watch.now(["mary"])


def _states(world: World, subject: str) -> dict[str, State]:
    """By application: none for the mail that came in, and the one that each mail was forwarded as."""
    with world.store() as store:
        found = [each for each in store.find(Query(text=subject), limit=10)[0] if each.message.subject == subject]
    assert len({each.message.application for each in found}) == len(found), "it was forwarded twice"
    return {each.message.application: each.delivery.state for each in found}


def _settled(world: World, subject: str, *states: State) -> None:
    assert eventually(lambda: _states(world, subject).get("forward:partners") in states), world.story(subject)
