"""A look at a domain over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import Api, problem
from tests.dns.world import healthy, microsoft, txt
from tests.dns_server import dns_server


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A gateway whose name server knows some domains."""
    records = [*microsoft(), *healthy(), "desk.example. MX 10 mx.healthy.test.", txt("desk.example", "v=spf1 +all")]
    with dns_server(Path(tmp_path_factory.mktemp("dns")), "\n".join(records)) as server:
        made = Api(tmp_path_factory.mktemp("doctor"), server.address)
        yield made
        made.stop()


def test_a_domain_is_looked_at_and_ours_are_kept(looking: Api) -> None:
    objects = looking["objects"]
    found = objects.get("/doctor/healthy.test").json()
    assert (found["harmful"], found["findings"]) == (False, [])
    assert objects.get("/doctor/desk.example", params={"selector": "mine"}).status_code == 200
    assert objects.get("/doctor").json() == {"domains": []}, "a look with further selectors is nobody else's"
    ours = objects.get("/doctor/desk.example").json()
    everybody = next(each for each in ours["findings"] if each["code"] == "spf-all-pass")
    assert (everybody["harm"], everybody["add"][0]["full_name"]) == ("harmful", "desk.example.")
    assert [each["domain"] for each in objects.get("/doctor").json()["domains"]] == ["desk.example"]
    told = json.loads(looking.gateway.run("doctor", "healthy.test", "--json"))
    assert told["checks"] == found["checks"]


def test_what_can_not_be_looked_at_says_why(looking: Api) -> None:
    assert "is no domain" in problem(looking["objects"].get("/doctor/nonsense"), 422)
    assert "objects:read" in problem(looking["erp"].get("/doctor/healthy.test"), 403)
