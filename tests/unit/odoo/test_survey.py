"""Reading what an Odoo's mail depends on."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from mailroom_core.errors import ConfigError
from mailroom_core.flow import run
from mailroom_core.providers.odoo.records import opened
from mailroom_core.providers.odoo.setup import ALIAS, COMPANY, DOMAIN, PARAMETER, SERVER
from mailroom_core.providers.odoo.survey import CRON, FETCH, FETCHER, MAIL, QUEUE, Survey, surveyed
from tests.unit.odoo.odoo_records import Records
from tests.unit.odoo.test_setup import nothing

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
OLD, NEW, LATER = "2026-11-21 08:00:00", "2026-11-21 11:30:00", "2026-11-22 08:00:00"


def healthy() -> Records:
    """An Odoo in which nothing is wrong."""
    odoo = Records(
        tables={
            "ir.model": {1: {"model": DOMAIN}, 2: {"model": FETCHER}},
            DOMAIN: {
                5: {"name": "contoso.example", "bounce_alias": "bounce", "catchall_alias": "catchall", "default_from": "notifications"}
            },
            COMPANY: {1: {"name": "Contoso", "email": "info@contoso.example", "alias_domain_id": 5}},
            ALIAS: {7: {"alias_name": "leads", "alias_domain_id": 5}},
            SERVER: {1: {"name": "Mailroom", "smtp_user": "odoo-erp", "from_filter": "contoso.example", "sequence": 1, "active": True}},
            "ir.model.data": {
                1: {"module": "mail", "model": CRON, "name": QUEUE, "res_id": 11},
                2: {"module": "mail", "model": CRON, "name": FETCH, "res_id": 12},
            },
            CRON: {
                11: {"active": True, "nextcall": "2126-11-21 12:30:00", "write_date": "2026-11-01 12:30:00", "failure_count": 0},
                12: {"active": False, "nextcall": "2026-11-20 12:30:00", "failure_count": 0},
            },
            PARAMETER: {1: {"key": "web.base.url", "value": "https://erp.contoso.example"}},
        }
    )
    odoo.fields |= {"owner_user_id": []}
    return odoo


def look(odoo: Records, *, json2: bool = True) -> Survey:
    return run(surveyed(run(opened(odoo.login(json2=json2)), odoo.http, nothing), NOW), odoo.http, nothing)


@pytest.mark.parametrize("json2", [True, False])
def test_everything_is_read_over_both_interfaces(json2: bool) -> None:
    odoo = healthy()
    odoo.tables[SERVER] |= {
        2: {"name": "Mary's", "owner_user_id": 9},
        3: {"name": "Last", "sequence": 3},
        4: {"name": "Second", "sequence": 1},
    }
    odoo.tables[ALIAS][8] = {"alias_name": "old", "alias_domain_id": False}
    odoo.tables[MAIL] = {
        1: {"state": "exception", "failure_reason": "no", "create_date": OLD},
        2: {"state": "outgoing", "create_date": OLD},
        3: {"state": "outgoing", "create_date": OLD, "scheduled_date": LATER},
        4: {"state": "outgoing", "create_date": NEW},
        5: {"state": "sent", "create_date": OLD},
    }
    found = look(odoo, json2=json2)
    assert (found.modern, found.unread) == (True, ())
    assert [each["name"] for each in found.servers] == ["Mailroom", "Second", "Last"]
    assert (len(found.failed), found.failures, found.waiting) == (1, 1, 1)
    assert [each["alias_name"] for each in found.homeless] == ["old"]
    assert (found.crons[QUEUE]["active"], found.crons[FETCH]["active"]) == (True, False)
    assert found.parameters == {"web.base.url": "https://erp.contoso.example"}


def test_what_a_user_may_not_read_is_said_and_the_rest_is_there() -> None:
    odoo = healthy()
    odoo.refuse = {
        (SERVER, "search_read"): "no",
        (PARAMETER, "fields_get"): "no",
        (MAIL, "search_count"): "no",
        (CRON, "search_read"): "no",
    }
    found = look(odoo)
    assert [each.what for each in found.unread] == [
        "outgoing servers",
        "scheduled actions",
        "failed mails",
        "waiting mails",
        "system parameters",
    ]
    assert found.missed("outgoing servers")
    assert not found.missed("alias domains")
    assert (found.servers, found.crons, found.parameters, len(found.domains)) == ([], {}, {}, 1)


def test_an_odoo_before_17_has_no_alias_domains() -> None:
    odoo = healthy()
    odoo.tables["ir.model"] = {}
    found = look(odoo, json2=False)
    assert (found.modern, list(found.domains), list(found.homeless)) == (False, [], [])


def test_an_odoo_before_17_may_be_without_incoming_servers_and_has_their_job_elsewhere() -> None:
    odoo = healthy()
    odoo.tables["ir.model"] = {}
    odoo.tables["ir.model.data"][2]["module"] = "fetchmail"
    found = look(odoo, json2=False)
    assert (list(found.fetchers), found.unread) == ([], ())
    assert found.crons[FETCH]["active"] is False


def test_who_is_not_known_reads_nothing() -> None:
    odoo = healthy()
    odoo.refuse = {(COMPANY, "fields_get"): "Access Denied"}
    with pytest.raises(ConfigError, match="Access Denied"):
        look(odoo)
    assert (FETCHER, "search_read") not in odoo.calls
