"""What is wrong in an Odoo, and that it is mended and as before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mailroom.cli import main
from mailroom.doctor.odoo.findings import Here, OdooReport
from mailroom.doctor.odoo.report import judge
from mailroom.objects import AliasDomain, Destination, GraphInbox, IncomingServer, OdooTarget
from mailroom.settings import Settings
from mailroom.wiring.parts import object_desk, open_parts
from mailroom_core.providers.odoo.setup import ALIAS, COMPANY, DOMAIN, PARAMETER, SERVER
from mailroom_core.providers.odoo.survey import CRON, FETCHER, MAIL
from tests.unit.gateway.test_cli_odoo import served
from tests.unit.odoo.odoo_records import KEY, Records
from tests.unit.odoo.test_survey import OLD, healthy, look

OURS = AliasDomain(name="contoso.example")
HERE = Here(destination="erp", server="Mailroom", user="odoo-erp", domains={OURS.name: OURS}, mailboxes=frozenset({"info@contoso.example"}))
Spoil = Callable[[dict[str, dict[int, dict[str, Any]]]], object]


def judged(odoo: Records) -> OdooReport:
    return judge(look(odoo), HERE, "https://odoo.example")


def test_a_healthy_odoo_gets_no_finding() -> None:
    report = judged(healthy())
    assert (report.findings, report.unchecked, report.changes, report.harmful) == ((), (), {}, False)
    assert {each.verdict.value for each in report.checks} == {"good"}


@pytest.mark.parametrize(
    ("code", "spoil", "mends"),
    [
        ("odoo-no-server", lambda t: t[SERVER].clear(), False),
        ("odoo-server-archived", lambda t: t[SERVER][1].update(active=False), True),
        ("odoo-server-bypassed", lambda t: t[SERVER].update({9: {"name": "Old", "from_filter": "contoso.example", "active": True}}), True),
        (
            "odoo-servers-overlap",
            lambda t: t[SERVER].update({9: {"name": "Old", "from_filter": "contoso.example", "sequence": 3, "active": True}}),
            False,
        ),
        ("odoo-servers-compete", lambda t: t[SERVER].update({8: {"name": "A", "active": True}, 9: {"name": "B", "active": True}}), False),
        ("odoo-no-from-filter", lambda t: t[SERVER][1].update(from_filter=False), True),
        ("odoo-no-alias-domain", lambda t: t[DOMAIN].clear(), False),
        ("odoo-no-catchall", lambda t: t[DOMAIN][5].update(catchall_alias=False), True),
        ("odoo-domain-differs", lambda t: t[DOMAIN][5].update(catchall_alias="answers"), True),
        ("odoo-domain-not-here", lambda t: t[DOMAIN].update({6: {"name": "other.example", "catchall_alias": "c"}}), False),
        ("odoo-company-without-domain", lambda t: t[COMPANY].update({2: {"name": "East"}}), True),
        ("odoo-aliases-without-domain", lambda t: t[ALIAS].update({8: {"alias_name": "old"}}), True),
        ("odoo-queue-off", lambda t: t[CRON][11].update(active=False), True),
        (
            "odoo-fetch-off",
            lambda t: t[FETCHER].update({1: {"name": "x", "user": "a@b.example", "state": "done", "server_type": "imap"}}),
            True,
        ),
        ("odoo-jobs-stand", lambda t: t[CRON][11].update(nextcall=OLD), False),
        ("odoo-jobs-fail", lambda t: t[CRON][11].update(failure_count=2), False),
        (
            "odoo-failed-mails",
            lambda t: t[MAIL].update({1: {"state": "exception", "failure_reason": "550 5.7.60 x", "create_date": OLD}}),
            False,
        ),
        ("odoo-waiting-mails", lambda t: t[MAIL].update({1: {"state": "outgoing", "create_date": OLD}}), False),
        ("odoo-neutralized", lambda t: t[PARAMETER].update({2: {"key": "database.is_neutralized", "value": "true"}}), False),
        ("odoo-base-url", lambda t: t[PARAMETER][1].update(value="http://localhost:8069"), False),
        ("odoo-mail-catchall-domain", lambda t: t[PARAMETER].update({2: {"key": "mail.catchall.domain", "value": "old.example"}}), False),
        ("odoo-default-from-filter", lambda t: t[PARAMETER].update({2: {"key": "mail.default.from_filter", "value": "x"}}), False),
        ("odoo-fetches-too", lambda t: t[FETCHER].update({1: {"name": "x", "user": "Info@contoso.example", "server_type": "imap"}}), True),
        ("odoo-fetch-error", lambda t: t[FETCHER].update({1: {"name": "x", "error_message": "[Errno 111] Connection refused"}}), False),
    ],
)
def test_each_thing_that_is_wrong_is_found_with_its_evidence(code: str, spoil: Spoil, mends: bool) -> None:
    odoo = healthy()
    odoo.tables |= {FETCHER: {}, MAIL: {}}
    spoil(odoo.tables)
    report = judged(odoo)
    finding = next(each for each in report.findings if each.code == code)
    assert finding.evidence
    assert all((finding.title, finding.why, finding.todo))
    assert (code in report.changes) is mends


OLD_DOMAIN = {"mail.catchall.domain": "contoso.example", "mail.catchall.alias": "catchall", "mail.bounce.alias": "bounce"}


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        ("", ""),
        ("mail.catchall.domain", "odoo-no-alias-domain"),
        ("mail.catchall.alias", "odoo-no-catchall"),
        ("mail.bounce.alias", "odoo-no-bounce"),
    ],
)
def test_before_17_the_alias_domain_is_system_parameters(missing: str, code: str) -> None:
    odoo = healthy()
    odoo.tables["ir.model"] = {}
    kept = {key: value for key, value in OLD_DOMAIN.items() if key != missing}
    odoo.tables[PARAMETER] |= {number: {"key": key, "value": value} for number, (key, value) in enumerate(kept.items(), 20)}
    report = judge(look(odoo, json2=False), HERE, "https://odoo.example")
    assert [each.code for each in report.findings] == ([code] if code else [])
    assert report.unchecked == ()


def test_a_job_that_was_just_switched_on_is_not_late() -> None:
    odoo = healthy()
    odoo.tables[CRON][11] |= {"nextcall": OLD, "write_date": "2026-11-21 11:59:00"}
    assert judged(odoo).findings == ()


def test_failed_mails_are_grouped_by_what_their_errors_mean() -> None:
    odoo = healthy()
    reason = "550 5.7.60 SMTP; Client does not have permissions to send as this sender"
    rows: list[dict[str, Any]] = [{"failure_reason": reason}, {"failure_reason": f"again: {reason}"}, {"failure_type": "mail_bl"}, {}]
    odoo.tables[MAIL] = {number: {"state": "exception", "create_date": OLD, **row} for number, row in enumerate(rows, 1)}
    (finding,) = judged(odoo).findings
    assert finding.title == "4 mails have failed in Odoo, most of them because: Who has signed in may not send as the sender of this mail"
    assert [each.asked for each in finding.evidence] == [
        f"2 of {MAIL}: Who has signed in may not send as the sender of this mail",
        f"1 of {MAIL}: no reason is given",
        f"1 of {MAIL}: the recipient is on Odoo's blacklist",
    ]
    assert "grant Send As" in finding.todo


def test_what_may_not_be_read_is_unchecked_and_never_good() -> None:
    odoo = healthy()
    odoo.refuse = {(SERVER, "fields_get"): "not for you", (PARAMETER, "fields_get"): "not for you"}
    report = judged(odoo)
    assert {each.area for each in report.checks if each.verdict.value == "unchecked"} == {"outgoing servers", "system parameters"}
    assert [each.code for each in report.findings] == ["odoo-few-rights"]


@pytest.fixture
def odoo() -> Records:
    made = healthy()
    made.tables |= {FETCHER: {}, MAIL: {}}
    made.tables[CRON][11]["active"] = False
    made.tables[DOMAIN][5]["catchall_alias"] = "answers"
    return made


@pytest.fixture
def data(odoo: Records, tmp_path: Path) -> Iterator[Path]:
    with served(odoo) as url:
        parts = open_parts(Settings(data=tmp_path))
        made = Destination(name="erp", target=OdooTarget(url=url, database="shop", user="admin"))
        fetched = IncomingServer(name="info", source=GraphInbox(account="", mailbox="info@contoso.example"))
        parts.store.apply([OURS, made, fetched], [], by="test")
        object_desk(parts).set_key(made, KEY, by="test")
        parts.close()
        yield tmp_path


def run(data: Path, *words: str, code: int = 0, answer: str = "") -> str:
    done = CliRunner().invoke(main, ["--data", str(data), "doctor", "odoo", *words], input=answer)
    assert done.exit_code == code, done.output
    return done.output


def test_the_command_looks_shows_what_it_would_change_asks_and_takes_it_back(data: Path, odoo: Records) -> None:
    before = deepcopy(odoo.tables)
    said = run(data, code=1)
    assert "--repair odoo-queue-off" in said
    body = json.loads(run(data, "erp", "--json", code=1))
    assert {each["code"] for each in body["findings"] if each["changes"]} == {"odoo-queue-off", "odoo-domain-differs"}
    assert "catchall_alias: answers -> catchall" in run(data, "erp", "--repair-all", code=1, answer="n\n")
    assert odoo.tables == before
    assert "nothing in Odoo mends odoo-no-server" in run(data, "erp", "--repair", "odoo-no-server", code=1)
    run(data, "erp", "--repair", "odoo-queue-off", "--yes")
    assert (odoo.tables[CRON][11]["active"], odoo.tables[DOMAIN]) == (True, before[DOMAIN])
    run(data, "erp", "--repair-all", answer="y\n")
    assert "Nothing was found that is wrong" in run(data, "erp")
    assert "Nothing was found that can be mended" in run(data, "erp", "--repair-all")
    run(data, "erp", "--undo", "--yes")
    assert odoo.tables == before
    assert "nothing was mended" in run(data, "erp", "--undo", "--yes", code=1)


def test_another_destination_is_no_odoo(data: Path) -> None:
    assert "that is an Odoo" in run(data, "nobody", code=1)
