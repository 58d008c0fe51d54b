from __future__ import annotations

import json

from tests.api.conftest import Api, problem


def test_a_program_sees_how_the_house_stands_as_the_command_line_does(api: Api) -> None:
    number = api.send()
    api.arrived(number)
    found = api["objects"].get("/status").json()
    assert found["way_out"] is True
    assert found["deliveries"]["sent"] >= 1
    told = json.loads(api.gateway.run("status", "--json"))
    assert (found["incoming"], found["quarantine"], found["ending"]) == ([], told["quarantine"], [])
    assert [lane["held"] for lane in found["lanes"] if lane["name"] == "sink:sink"] == [""]
    assert told.keys() == found.keys()
    assert "objects:read" in problem(api["erp"].get("/status"), 403)
