"""An Odoo hears that mail of its own did not arrive, whoever says so and in whatever words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailroom.intake.bounces import Bounces, hears_of_bounces
from mailroom.objects import Application, Destination, InboxTarget, OdooTarget
from mailroom.ports import Found, Job
from mailroom.transports.reported import reports
from mailroom_core.model import State
from mailroom_core.policy import bounces
from tests.contract.transports.fake_odoo import FakeOdoo
from tests.contract.transports.jobs import job
from tests.unit.gateway.test_fetch import Office, sent_mail
from tests.unit.gateway.test_onward import bounce

pytestmark = pytest.mark.anyio
OURS = "<1@shop.example>"
TO = "tom@partner.example"
ODOO = OdooTarget(url="https://odoo.example", database="shop", user="admin")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    made.store.apply([Destination(name="erp", target=ODOO), Application(name="odoo", answers="erp")], [], by="test")
    told = Bounces(made.store, bounces.Settings(), told=lambda about: hears_of_bounces(made.store.directory(), about))
    object.__setattr__(made.fetch, "intake", replace(made.fetch.intake, bounces=told))
    yield made
    made.store.close()


async def come(office: Office, *raws: bytes) -> list[Found]:
    """The deliveries of these reports, oldest first."""
    for number, raw in enumerate(raws):
        office.source.mails = {f"report {number}": raw}
        assert (await office.look()).trouble == ""
    return [each for each in reversed(office.found()) if each.message.source]


def asked(office: Office, found: Found) -> Job:
    message = office.store.read(found.message.id)
    assert message is not None
    return replace(job(raw=message.raw or b""), message=message, recipients={found.delivery.id: found.delivery.recipient})


async def test_it_reads_a_report_that_names_its_mail_as_it_knows_it_and_the_same_at_each_try(office: Office) -> None:
    sent_mail(office, OURS)
    (found,) = await come(office, bounce("mary@contoso.example", subject="back"))
    assert (found.delivery.server, found.delivery.state, found.delivery.recipient) == ("erp", State.QUEUED, TO)
    odoo = FakeOdoo()
    for _ in range(2):
        ((number, said),) = reports(asked(office, found), office.store).items()
        assert number == found.delivery.id
        odoo.message_process(False, b"".join(said.mail.chunks()))
    assert odoo.bounced == [(OURS, TO)] * 2
    assert not odoo.taken


async def test_however_many_reports_say_it_it_is_told_once(office: Office) -> None:
    sent_mail(office, OURS)
    found = await come(office, bounce("mary@contoso.example", subject="one"), bounce("mary@contoso.example", subject="two"))
    assert [each.delivery.state for each in found] == [State.QUEUED, State.IGNORED]


async def test_a_report_about_mail_of_others_and_one_whose_mail_is_of_an_inbox_is_told_to_nobody(office: Office) -> None:
    (strange,) = await come(office, bounce("mary@contoso.example", subject="strange"))
    assert (strange.delivery.server, strange.delivery.state) == ("", State.HELD)
    office.store.apply([Destination(name="erp", target=InboxTarget())], [], by="test")
    sent_mail(office, OURS)
    *_, found = await come(office, bounce("mary@contoso.example", subject="strange"), bounce("mary@contoso.example", subject="ours"))
    assert (found.delivery.server, found.delivery.state) == ("", State.IGNORED)


async def test_what_is_no_report_is_handed_over_as_it_is(office: Office) -> None:
    sent_mail(office, OURS)
    raw = f"From: Tom <{TO}>\r\nSubject: Re: Offer\r\nIn-Reply-To: {OURS}\r\nMessage-ID: <2@x>\r\n\r\nYes\r\n".encode()
    (found,) = await come(office, raw)
    assert found.delivery.server == "erp"
    assert reports(asked(office, found), office.store) == {}
