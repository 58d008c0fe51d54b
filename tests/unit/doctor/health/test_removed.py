"""Objects that go while the installation is looked at."""

from __future__ import annotations

import asyncio

import pytest

from mailroom.doctor.findings import Verdict
from mailroom.doctor.health.looking import Subject
from mailroom.objects import AliasDomain, Application, Destination, InboxTarget, Webhook
from mailroom.observe import events
from mailroom.wiring.health import all_examinations, examination
from mailroom_core.errors import ConfigError
from tests.unit.doctor.health.house import Installation

GOING = (("application", "erp"), ("alias_domain", "contoso.example"), ("webhook", "shop"))


def test_what_was_removed_meanwhile_is_unchecked_and_no_mistake_of_ours(house: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    broke: list[str] = []
    monkeypatch.setattr(events, "request_broke", broke.append)
    house.has(Application(name="erp"), AliasDomain(name="contoso.example"), Webhook(name="shop", url="https://127.0.0.1:9/"))
    begun = [each for each in all_examinations(house.parts) if (each.subject.kind, each.subject.name) in GOING]
    assert len(begun) == len(GOING)
    house.parts.store.apply([], GOING, by="test")
    house.parts.directory.look()
    for each in begun:
        found = asyncio.run(each.look())
        assert (found.look.check.verdict, found.look.findings) == (Verdict.UNCHECKED, ())
        assert "was removed while others were looked at" in found.look.check.text
    assert broke == []
    with pytest.raises(ConfigError, match="there is no application erp"):
        examination(house.parts, Subject("application", "erp"))


def test_what_goes_before_its_look_begins_is_left_out(house: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    house.has(Destination(name="desk", target=InboxTarget()))
    there, gone = house.parts.directory(), type(house.parts.directory())()
    answers = iter([there] * 8)
    monkeypatch.setattr(type(house.parts.directory), "__call__", lambda _: next(answers, gone))
    assert [each.subject.kind for each in all_examinations(house.parts)] == ["installation"]
