"""A look at a domain over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import Api, eventually, problem
from tests.dns.world import healthy, microsoft, txt
from tests.dns_server import dns_server
from tests.unit.doctor.reports import brought, packed, report


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A gateway whose name server knows some domains."""
    records = [*microsoft(), *healthy(), "desk.example. MX 10 mx.healthy.test.", txt("desk.example", "v=spf1 +all")]
    with dns_server(Path(tmp_path_factory.mktemp("dns")), "\n".join(records)) as server:
        made = Api(tmp_path_factory.mktemp("doctor"), server.address, {"MAILROOM_DOCTOR_EVERY": "1s"})
        yield made
        made.stop()


def test_our_domains_are_looked_at_by_themselves(looking: Api) -> None:
    (found,) = eventually(lambda: looking["objects"].get("/doctor").json()["domains"])
    assert (found["domain"], "spf-all-pass" in {each["code"] for each in found["findings"]}) == ("desk.example", True)


def test_a_domain_is_looked_at_and_ours_are_kept(looking: Api) -> None:
    objects = looking["objects"]
    found = objects.get("/doctor/healthy.test").json()
    assert (found["harmful"], found["findings"]) == (False, [])
    assert objects.get("/doctor/desk.example", params={"selector": "mine"}).status_code == 200
    ours = objects.get("/doctor/desk.example").json()
    everybody = next(each for each in ours["findings"] if each["code"] == "spf-all-pass")
    assert (everybody["harm"], everybody["add"][0]["full_name"]) == ("harmful", "desk.example.")
    assert [each["domain"] for each in objects.get("/doctor").json()["domains"]] == ["desk.example"]
    told = json.loads(looking.gateway.run("doctor", "healthy.test", "--json"))
    assert told["checks"] == found["checks"]


def test_the_installation_is_looked_at_and_the_last_look_is_kept(looking: Api) -> None:
    objects = looking["objects"]
    found = objects.get("/doctor/installation").json()
    assert {each["kind"] for each in found["objects"]} >= {"installation", "server", "application", "alias_domain"}
    assert [each["kind"] for each in found["objects"] if each["verdict"] == "unchecked"] == ["installation"], "its port is any that is free"
    assert found["findings"] == []
    kept = objects.get("/doctor").json()["installation"]
    assert [each["name"] for each in kept["objects"]] == [each["name"] for each in found["objects"]]
    health = objects.get("/status").json()["health"]
    assert (health["harmful"], health["findings"]) == (False, 0)
    assert "objects:read" in problem(looking["erp"].get("/doctor/installation"), 403)


def test_whether_we_may_send_as_an_address(looking: Api) -> None:
    objects = looking["objects"]
    found = objects.get("/doctor/send-as", params={"address": "anybody@desk.example"}).json()
    assert (found["may"], "delivers nothing" in found["why"]) == ("no", True)
    assert "is no address" in problem(objects.get("/doctor/send-as", params={"address": "nonsense"}), 422)
    assert "no application" in problem(objects.get("/doctor/send-as", params={"address": "a@desk.example", "application": "x"}), 422)


def test_reports_that_come_in_say_who_sends(looking: Api) -> None:
    add = looking.gateway.run
    add("destination", "add-doctor", "doctor")
    add("alias", "add", "dmarc-reports@desk.example", "--destination", "doctor")
    raw = brought(packed(report(domain="desk.example", begins=int(time.time()) - 86400)), to="dmarc-reports@desk.example")

    def put() -> bool:
        """Before the gateway knows the alias, within a second, the mail has no place."""
        answer = looking["inbound"].post(
            "/inbound",
            params={"recipient": "dmarc-reports@desk.example", "sender": "noreply@google.com"},
            content=raw,
            headers={"Content-Type": "message/rfc822"},
        )
        assert answer.status_code == 202, answer.text
        return bool(answer.json()["verdict"] == "alias")

    assert eventually(put)
    found = eventually(lambda: (answer := looking["objects"].get("/doctor/desk.example/senders").json())["sources"] and answer)
    assert [(each["address"], each["both"]) for each in found["sources"]] == [("192.0.2.1", 3)]
    assert "After 14 days" in looking.gateway.run("doctor", "senders", "desk.example")
    assert "is no domain" in problem(looking["objects"].get("/doctor/nonsense/senders"), 422)


def test_what_can_not_be_looked_at_says_why(looking: Api) -> None:
    assert "is no domain" in problem(looking["objects"].get("/doctor/nonsense"), 422)
    assert "objects:read" in problem(looking["erp"].get("/doctor/healthy.test"), 403)
