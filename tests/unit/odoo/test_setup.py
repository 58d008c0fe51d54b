"""Setting an Odoo up, and taking it back: against one that has records."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from mailroom_core.errors import ConfigError
from mailroom_core.flow import run
from mailroom_core.providers.odoo.records import Session, create, opened, read
from mailroom_core.providers.odoo.setup import (
    ALIAS,
    COMPANY,
    DOMAIN,
    PARAMETER,
    SERVER,
    Change,
    Wanted,
    carried_out,
    found,
    planned,
    settled,
    taken_back,
)
from tests.unit.odoo.odoo_records import Records

WANTED = Wanted(
    name="Mailroom",
    host="mail.contoso.example",
    port=587,
    tls="starttls",
    validated=True,
    user="odoo-erp",
    password="s3cret",
    from_filter=("contoso.example", "boss@other.example"),
    domain="contoso.example",
    catchall="answers",
    bounce="returns",
    default_from="notifications",
)
Done = list[tuple[Change, int]]


def nothing(_: object) -> None: ...


def modern(**more: Any) -> Records:
    """Odoo 17 and later, as it is after its installation: a server of its own, two companies, aliases."""
    tables: dict[str, dict[int, dict[str, Any]]] = {
        "ir.model": {1: {"model": DOMAIN}},
        SERVER: {1: {"name": "Old relay", "smtp_host": "relay.example", "sequence": 3, "active": True}},
        COMPANY: {1: {"name": "Contoso"}, 2: {"name": "Contoso East"}},
        ALIAS: {7: {"alias_name": "leads"}},
        DOMAIN: {},
    }
    return Records(tables=tables | more)


def session(odoo: Records, *, json2: bool = True) -> Session:
    return run(opened(odoo.login(json2=json2)), odoo.http, nothing)


def set_up(odoo: Records, wanted: Wanted = WANTED, *, json2: bool = True) -> Done:
    """What was done, with the number of what is new."""
    who = session(odoo, json2=json2)
    done: Done = []
    for change in planned(run(found(who), odoo.http, nothing), wanted):
        first = next((number for each, number in done if each.model == DOMAIN), 0)
        done.append((settled(change, first), run(carried_out(who, settled(change, first)), odoo.http, nothing)))
    return done


def take_back(odoo: Records, done: Done, *, json2: bool = True) -> list[str]:
    who = session(odoo, json2=json2)
    return [run(taken_back(who, change, made), odoo.http, nothing) for change, made in reversed(done)]


@pytest.mark.parametrize("json2", [True, False])
def test_a_fresh_odoo_gets_its_domain_and_server_and_is_as_before_when_it_is_taken_back(json2: bool) -> None:
    odoo = modern()
    before = deepcopy(odoo.tables)
    done = set_up(odoo, json2=json2)
    (domain,) = odoo.tables[DOMAIN].values()
    assert domain == {"name": "contoso.example", "bounce_alias": "returns", "catchall_alias": "answers", "default_from": "notifications"}
    assert {each["alias_domain_id"] for each in odoo.tables[COMPANY].values()} == set(odoo.tables[DOMAIN])
    server = odoo.tables[SERVER][max(odoo.tables[SERVER])]
    assert (server["smtp_host"], server["smtp_port"], server["smtp_encryption"]) == ("mail.contoso.example", 587, "starttls_strict")
    assert (server["smtp_user"], server["smtp_pass"]) == ("odoo-erp", "s3cret")
    assert server["from_filter"] == "contoso.example,boss@other.example"
    assert server["sequence"] == 2, "it is asked before the one that was there"

    odoo.tables[ALIAS][7]["alias_domain_id"] = next(iter(odoo.tables[DOMAIN]))  # Odoo gives the first domain to all aliases by itself
    said = take_back(odoo, done, json2=json2)
    assert all("is removed" in each or "is as before" in each for each in said)
    for table in (odoo.tables[COMPANY], odoo.tables[ALIAS]):
        for row in table.values():
            if not row.get("alias_domain_id"):
                row.pop("alias_domain_id", None)
    assert odoo.tables == before


def test_what_is_there_already_is_left_alone() -> None:
    odoo = modern()
    set_up(odoo)
    assert set_up(odoo, replace(WANTED, password="")) == []
    (change, made) = set_up(odoo, replace(WANTED, password="", port=2587))[0]
    assert (change.after, change.before, made) == ({"smtp_port": 2587}, {"smtp_port": 587}, 0)
    assert list(change.lines()) == ["smtp_port: 587 -> 2587"]


def test_a_domain_that_is_there_gets_our_addresses_and_its_own_ones_back() -> None:
    tables = {5: {"name": "Contoso.example", "bounce_alias": "bounce", "catchall_alias": "catchall", "default_from": "notifications"}}
    odoo = modern(**{DOMAIN: deepcopy(tables), COMPANY: {1: {"name": "Contoso", "alias_domain_id": 5}, 2: {"name": "East"}}})
    done = set_up(odoo)
    assert odoo.tables[DOMAIN][5]["catchall_alias"] == "answers"
    assert odoo.tables[COMPANY][2]["alias_domain_id"] == 5
    take_back(odoo, done)
    assert odoo.tables[DOMAIN] == tables
    assert not odoo.tables[COMPANY][2]["alias_domain_id"]
    assert odoo.tables[COMPANY][1]["alias_domain_id"] == 5


def test_an_older_odoo_has_system_parameters_and_only_the_fields_that_it_knows() -> None:
    odoo = Records(
        tables={PARAMETER: {1: {"key": "mail.catchall.alias", "value": "catchall"}, 2: {"key": "mail.bounce.alias", "value": "returns"}}},
        fields={
            name: ["none", "starttls", "ssl"] if name == "smtp_encryption" else [] for name in ("name", "smtp_host", "smtp_encryption")
        },
    )
    before = deepcopy(odoo.tables)
    done = set_up(odoo, json2=False)
    values = {each["key"]: each["value"] for each in odoo.tables[PARAMETER].values()}
    assert values == {
        "mail.catchall.alias": "answers",
        "mail.bounce.alias": "returns",
        "mail.catchall.domain": "contoso.example",
        "mail.default.from": "notifications",
    }
    (server,) = odoo.tables[SERVER].values()
    assert server == {"name": "Mailroom", "smtp_host": "mail.contoso.example", "smtp_encryption": "starttls", "smtp_pass": "s3cret"}
    take_back(odoo, done, json2=False)
    assert odoo.tables[PARAMETER] == before[PARAMETER]
    assert odoo.tables[SERVER] == {}


@pytest.mark.parametrize(
    ("tls", "validated", "word"), [("implicit", False, "ssl"), ("implicit", True, "ssl_strict"), ("none", True, "none")]
)
def test_it_is_as_strict_as_our_certificate_allows(tls: str, validated: bool, word: str) -> None:
    odoo = modern()
    set_up(odoo, replace(WANTED, tls=tls, validated=validated))
    assert odoo.tables[SERVER][max(odoo.tables[SERVER])]["smtp_encryption"] == word


def test_people_are_shown_what_changes_and_no_secret() -> None:
    odoo = modern()
    lines = [line for change in planned(run(found(session(odoo)), odoo.http, nothing), WANTED) for line in change.lines()]
    assert "smtp_pass: a new one" in lines
    assert "alias_domain_id: nothing -> the new one" in lines
    assert "smtp_host: mail.contoso.example" in lines
    assert not any("s3cret" in line for line in lines)
    assert "s3cret" not in repr(WANTED)


def test_what_somebody_has_changed_since_is_theirs() -> None:
    tables = {5: {"name": "contoso.example", "bounce_alias": "bounce", "catchall_alias": "catchall", "default_from": "notifications"}}
    odoo = modern(**{DOMAIN: tables, COMPANY: {}})
    done = set_up(odoo)
    odoo.tables[DOMAIN][5]["catchall_alias"] = "office"
    del odoo.tables[SERVER][max(odoo.tables[SERVER])]
    said = take_back(odoo, done)
    assert "is gone already" in said[0]
    assert "left, because somebody has changed it since: catchall_alias" in said[1]
    assert (odoo.tables[DOMAIN][5]["catchall_alias"], odoo.tables[DOMAIN][5]["bounce_alias"]) == ("office", "bounce")
    odoo.tables[DOMAIN][5]["bounce_alias"] = "elsewhere"
    assert "bounce_alias, catchall_alias" in take_back(odoo, done)[1]


def test_a_domain_that_others_use_by_now_stays() -> None:
    odoo = modern()
    done = set_up(odoo)
    odoo.refuse = {(DOMAIN, "unlink"): "another model requires the record being deleted"}
    assert "stays: Odoo refuses to unlink mail.alias.domain" in take_back(odoo, done)[-1]


@pytest.mark.parametrize("json2", [True, False])
def test_what_odoo_refuses_says_what_to_do(json2: bool) -> None:
    odoo = modern()
    who = session(odoo, json2=json2)
    odoo.refuse = {(SERVER, "create"): "smtp_port: no"}
    with pytest.raises(ConfigError, match=r"refuses to create ir.mail_server: .*smtp_port: no"):
        run(create(who, SERVER, {}), odoo.http, nothing)
    odoo.dead = True
    with pytest.raises(ConfigError, match="look whether it is running"):
        run(create(who, SERVER, {}), odoo.http, nothing)


def test_who_is_not_known_gets_nowhere() -> None:
    odoo = modern()
    with pytest.raises(ConfigError, match="does not know admin"):
        run(opened(odoo.login(json2=False, key="wrong")), odoo.http, nothing)
    with pytest.raises(ConfigError, match="does not know this key"):
        run(found(Session(odoo.login(key="wrong"))), odoo.http, nothing)
    odoo.dead = True
    with pytest.raises(ConfigError, match="is it running"):
        run(opened(odoo.login(json2=False)), odoo.http, nothing)


@pytest.mark.parametrize("nonsense", [[], 7, "x", [["no", "record"]], {}, [{"id": "x"}], None])
def test_answers_that_make_no_sense_are_no_records(nonsense: object) -> None:
    odoo = modern()
    odoo.call = lambda *_: nonsense  # type: ignore[method-assign]
    who = session(odoo)
    rows = run(read(who, SERVER, [], ["name"]), odoo.http, nothing)
    assert all(isinstance(each, dict) for each in rows)
    state = run(found(who), odoo.http, nothing)
    assert planned(state, WANTED)
    if nonsense != 7:
        with pytest.raises(ConfigError, match="did not say which"):
            run(create(who, SERVER, {}), odoo.http, nothing)
