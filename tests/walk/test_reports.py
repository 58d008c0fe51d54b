"""A mailbox that only sends is read for reports about our mail; all other mail in it is nobody's business."""

from __future__ import annotations

import pytest

from mailroom.ports import Query
from mailroom_core.model import State
from tests.unit.gateway.test_onward import bounce
from tests.walk.conftest import MakeWorld
from tests.walk.world import ANNA, MARY, eventually, mail, unique


@pytest.mark.parametrize("rights", [(), ("--send-only", "--read")])
def test_a_report_finds_its_mail_and_everything_in_the_mailbox_stays_as_it_is(make_world: MakeWorld, rights: tuple[str, ...]) -> None:
    world = make_world().set_up(connect=rights)
    private, foreign, subject = unique("Private"), unique("Undeliverable"), unique("To nobody")
    nobody = f"unknown-{subject.rpartition(' ')[2]}@customer.example"
    world.emulator.deliver(MARY, mail(private, sender=ANNA, to=MARY))
    world.emulator.deliver(MARY, bounce(MARY, subject=foreign))
    world.submit(mail(subject, to=nobody), nobody)

    def looked() -> bool:
        with world.store() as store:
            store.watch.now([each.name for each in store.watch.all()])
        return world.states(subject).get(nobody) is State.BOUNCED

    assert eventually(looked, every=0.5), world.story(subject)
    assert "no such mailbox" in world.story(subject)
    with world.store() as store:
        (watched,) = store.watch.all()
        came = [each.message for each in store.find(Query(), limit=100)[0] if each.message.source]
    assert (watched.name, watched.trouble) == (f"reports of {MARY} (office)", "")
    assert len(came) == 1, "of all mail in the mailbox, the report alone is kept"
    inbox = world.emulator.folder(MARY, "inbox")
    assert {private, foreign} < {each["subject"] for each in inbox}
    assert not any(each["is_read"] for each in inbox)
    read = [each for each in world.emulator.ask("GET", "/requests", params={"limit": 2000}) if each["path"].endswith("/$value")]
    assert len({each["path"] for each in read}) == 2, "what can be no report is not even read"
