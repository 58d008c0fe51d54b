"""`mailroom doctor` alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mailroom.cli import main
from mailroom.objects import Account, GraphRoute, OutgoingServer
from tests.unit.doctor.health.house import Installation
from tests.walk.sink import smtp_sink


@pytest.fixture(autouse=True)
def _a_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Something answers where the gateway would."""
    with smtp_sink() as listening:
        (tmp_path / "mailroom.toml").write_text(f"[[listener]]\nport = {listening.port}\n")
        monkeypatch.setenv("MAILROOM_CONFIG", str(tmp_path / "mailroom.toml"))
        yield


def doctor(house: Installation, *words: str) -> Any:
    return CliRunner().invoke(main, ["--data", str(house.parts.settings.data), "doctor", *words], catch_exceptions=False)


def test_a_house_that_is_well_ends_with_zero_and_one_that_is_not_with_one(house: Installation) -> None:
    house.person()
    house.has(OutgoingServer(name="office", route=GraphRoute(account="office")))
    well = doctor(house)
    assert well.exit_code == 0, well.output
    assert "Nothing was found that is wrong." in well.output
    assert "permission tier: Mail.ReadWrite" in well.output
    assert "sign-in  office" in well.output
    house.has(Account(name="shop", client_id="x"), OutgoingServer(name="shop", route=GraphRoute(account="shop")))
    ill = doctor(house)
    assert ill.exit_code == 1
    assert "HARMFUL: The account shop is not connected  [account shop: not-connected]" in ill.output
    assert "To connect it again: mailroom connect shop" in ill.output


def test_a_program_gets_the_same_as_json(house: Installation) -> None:
    house.has(Account(name="shop", client_id="x"))
    for words in (("--json",), ("health", "--json")):
        told = json.loads(doctor(house, *words).stdout)
        (finding,) = told["findings"]
        assert (finding["kind"], finding["name"], finding["code"]) == ("account", "shop", "not-connected")
        assert finding["repairs"][0] == {"label": "connect it again", "command": "mailroom connect shop", "page": "/accounts/of/shop"}
        assert [(each["kind"], each["verdict"]) for each in told["objects"]] == [("installation", "good"), ("account", "see findings")]
