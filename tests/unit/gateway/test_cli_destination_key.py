"""`mailroom destination key --add-on` and `destination test`, against an Odoo with the add-on over a real connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailroom.cli import main
from mailroom.objects import Destination, OdooApi, OdooTarget
from mailroom.settings import Settings
from mailroom.wiring.parts import open_parts
from mailroom_core.model import LaneName
from tests.contract.transports.fake_odoo import ADD_ON_KEY, DATABASE, USER, FakeOdoo, fake_odoo

Run = Callable[..., str]


@pytest.fixture
def odoo() -> Iterator[FakeOdoo]:
    with fake_odoo() as made:
        made.add_on = True
        yield made


@pytest.fixture
def run(odoo: FakeOdoo, tmp_path: Path) -> Run:
    parts = open_parts(Settings(data=tmp_path))
    for name, api in (("erp", OdooApi.ADD_ON), ("stock", OdooApi.JSON2)):
        target = OdooTarget(url=odoo.url, database=DATABASE, user=USER, api=api)
        parts.store.apply([Destination(name=name, target=target)], [], by="test")
    parts.store.hold_lane(LaneName("destination:erp"), "the add-on does not know this key")
    parts.close()

    def call(*words: str, code: int = 0, answer: str = "") -> str:
        done = CliRunner().invoke(main, ["--data", str(tmp_path), "destination", *words], input=answer)
        assert done.exit_code == code, done.output
        return done.output

    return call


def test_the_add_on_is_tried_with_its_own_key(run: Run, odoo: FakeOdoo) -> None:
    assert "mailroom destination key erp --add-on" in run("test", "erp", code=1)
    assert "mail that waited for it goes on" in run("key", "erp", "--add-on", answer=f"{ADD_ON_KEY}\n")
    assert "takes mail with this key" in run("test", "erp")
    run("key", "erp", answer="another-one\n")
    assert "takes mail with this key" in run("test", "erp")
    odoo.add_on = False
    assert "is not in this database" in run("test", "erp", code=1)
    assert not odoo.taken


def test_a_destination_without_the_add_on_has_no_key_of_it(run: Run) -> None:
    assert 'api = "add-on"' in run("key", "stock", "--add-on", answer="x\n", code=1)
