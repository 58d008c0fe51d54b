"""The pages about destinations and aliases, and what would happen to a mail."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest

from mailroom.objects import (
    Alias,
    AliasDomain,
    Destination,
    DoctorTarget,
    ForwardTarget,
    GraphInbox,
    InboxTarget,
    IncomingServer,
    OdooApi,
    OdooTarget,
    Role,
    WebhookTarget,
    Writers,
)
from mailroom_core.model import LaneName
from tests.unit.console.conftest import Pages
from tests.unit.console.test_object_pages import beside, post, put

ODOO: dict[str, Any] = {
    "url": "https://odoo.example.com",
    "database": "prod",
    "user": "admin",
    "api": "json-2",
    "model": "",
    "active": "on",
}
ALIAS: dict[str, Any] = {"destination": "desk", "writers": "known", "refusal": "Ask sales", "active": "on"}


# ---- destinations


def test_empty_lists_say_what_to_do(pages: Pages) -> None:
    assert "No destination yet" in pages.get("/destinations")
    text = pages.get("/aliases")
    assert "No alias yet" in text
    assert "Add a destination" in text


def test_an_inbox_is_added_changed_and_removed(pages: Pages) -> None:
    post(pages, "/destinations/save/inbox", name="desk", followers="tom@example.com\n", active="on")
    assert pages.store.directory().destinations["desk"] == Destination(name="desk", target=InboxTarget(followers=("tom@example.com",)))
    assert "followed by tom@example.com" in pages.get("/destinations")
    assert "tom@example.com" in pages.get("/destinations/of/desk")
    post(pages, "/destinations/save/inbox?old=desk", followers="")
    changed = pages.store.directory().destinations["desk"]
    assert (changed.target, changed.active) == (InboxTarget(), False)
    put(pages, Alias(name="a@example.com", destination="desk"))
    assert "still needed" in post(pages, "/destinations/remove", 409, name="desk")
    pages.store.apply([], [("alias", "a@example.com")], by="test")
    post(pages, "/destinations/remove", name="desk")
    assert pages.store.directory().destinations == {}
    post(pages, "/destinations/remove", 404, name="desk")
    assert pages.nudges


def test_an_odoos_key_is_kept_sealed_and_never_shown(pages: Pages) -> None:
    post(pages, "/destinations/save/odoo", name="erp", key="hunter2", **ODOO)
    target = pages.store.directory().destinations["erp"].target
    assert target == OdooTarget(url="https://odoo.example.com", database="prod", user="admin", api=OdooApi.JSON2)
    assert pages.sealed["destination:erp"] == {"key": "hunter2"}
    shown = pages.get("/destinations") + pages.get("/destinations/of/erp") + pages.get("/audit")
    assert "hunter2" not in shown
    assert "new key" in shown
    post(pages, "/destinations/save/odoo?old=erp", key="", **{**ODOO, "model": "crm.lead"})
    assert pages.sealed["destination:erp"] == {"key": "hunter2"}


def test_the_add_ons_key_is_one_of_its_own(pages: Pages) -> None:
    post(pages, "/destinations/save/odoo", name="erp", key="", add_on_key="g4te", **{**ODOO, "api": "add-on"})
    target = pages.store.directory().destinations["erp"].target
    assert isinstance(target, OdooTarget)
    assert target.api is OdooApi.ADD_ON
    assert pages.sealed == {"add-on:erp": {"key": "g4te"}}
    wrong = post(pages, "/destinations/save/odoo?old=erp", 422, key="", add_on_key="g4te", **{**ODOO, "url": "odoo/web"})
    assert "g4te" not in wrong + pages.get("/destinations/of/erp") + pages.get("/audit")
    assert "new key of the add-on" in pages.get("/audit")
    post(pages, "/destinations/save/odoo?old=erp", key="", add_on_key="", **{**ODOO, "url": "https://other.example"})
    assert pages.sealed == {"add-on:erp": None, "destination:erp": None}


def test_a_new_key_lets_go_on_what_waited_for_it(pages: Pages) -> None:
    post(pages, "/destinations/save/odoo", name="erp", key="old", **ODOO)
    pages.store.put([pages.make.message(lane="destination:erp")])
    pages.store.hold_lane(LaneName("destination:erp"), "Odoo does not know this key (any more)")
    text = pages.get("/destinations")
    assert "erp takes nothing" in text
    assert "1 mail waits" in text
    post(pages, "/destinations/save/odoo?old=erp", key="new", **ODOO)
    assert "takes nothing" not in pages.get("/destinations")


def test_a_webhooks_secret_is_shown_once_and_can_be_made_anew(pages: Pages) -> None:
    text = post(pages, "/destinations/save/webhook", 200, name="shop", url="https://shop.example/in", active="on")
    (first,) = re.findall(r'value="(whsec_[^"]+)"', text)
    assert pages.store.directory().destinations["shop"].target == WebhookTarget(url="https://shop.example/in")
    assert first not in pages.get("/destinations/of/shop")
    again = post(pages, "/destinations/secret", 200, name="shop")
    assert re.findall(r'value="(whsec_[^"]+)"', again) != [first]
    post(pages, "/destinations/save/inbox", name="desk", active="on")
    assert "has no secret" in post(pages, "/destinations/secret", 409, name="desk")


def test_mail_is_passed_on_to_addresses(pages: Pages) -> None:
    post(pages, "/destinations/save/forward", name="boss", to="boss@example.org\n", active="on")
    assert pages.store.directory().destinations["boss"].target == ForwardTarget(to=("boss@example.org",))
    assert "needed" in beside(post(pages, "/destinations/save/forward", 422, name="x", to="", active="on"), "to")


def test_the_doctor_can_be_one(pages: Pages) -> None:
    post(pages, "/destinations/save/doctor", name="reports", active="on")
    assert pages.store.directory().destinations["reports"].target == DoctorTarget()
    assert "/destinations/test" not in pages.get("/destinations")


def test_mistakes_stand_beside_their_fields_and_what_was_entered_stays(pages: Pages) -> None:
    text = post(pages, "/destinations/save/odoo", 422, name="erp", key="hunter2", **{**ODOO, "url": "odoo/web"})
    assert "is none of an Odoo" in beside(text, "url")
    assert 'value="prod"' in text
    assert "hunter2" not in text
    assert pages.store.directory().destinations == {}
    put(pages, Destination(name="erp", target=InboxTarget()))
    assert "already" in beside(post(pages, "/destinations/save/odoo", 422, name="erp", key="", **ODOO), "name")
    assert "of another kind" in post(pages, "/destinations/save/odoo?old=erp", 422, key="", **ODOO)
    pages.get("/destinations/new?kind=pigeon", 404)
    pages.get("/destinations/of/nobody", 404)


def test_a_test_shows_each_step_and_what_was_said(pages: Pages) -> None:
    text = post(pages, "/destinations/test", 200, name="erp")
    assert "erp is Odoo 19.0" in text
    assert "nobody <b>there</b> knows the key" in text  # unescaped by `post`
    raw: Any = pages.client.post("/destinations/test", data={"name": "erp"})
    assert "&lt;b&gt;there" in raw.text
    assert "Back to the destinations" in raw.text


# ---- setting an Odoo up


def test_it_shows_what_will_change_does_it_and_takes_it_back(pages: Pages) -> None:
    post(pages, "/destinations/save/odoo", name="erp", key="k", **ODOO)
    assert "/odoo/of/erp" in pages.get("/destinations/of/erp")
    text = pages.get("/odoo/of/erp")
    assert "smtp_host: &lt;here&gt;" in text
    assert "smtp_pass: a new one" in text
    assert "s3cret" not in text
    assert "It is far away." in text
    assert "Take it back" not in text
    text = post(pages, "/odoo/setup", 200, name="erp", host="mail.contoso.example", domain="contoso.example")
    assert "Set up by user:mary@contoso.example" in text
    assert "Odoo has it all" in text
    assert 'value="mail.contoso.example"' in text
    text = post(pages, "/odoo/undo", 200, name="erp")
    assert "One thing is as before" in text
    again = post(pages, "/odoo/undo", 422, name="erp")
    assert "nothing was set up" in again
    assert "One thing is as before" in again


def test_why_an_odoo_can_not_be_set_up_is_said(pages: Pages) -> None:
    desk: Any = pages.app.state.house.way_in.odoo
    desk.broken = "Odoo does not know this key"
    assert "does not know this key" in pages.get("/odoo/of/erp", 422)
    assert "does not know this key" in post(pages, "/odoo/setup", 422, name="erp")
    pages.role = Role.OPERATOR
    pages.get("/odoo/of/erp", 403)


# ---- aliases


def test_an_alias_is_added_changed_and_removed(pages: Pages) -> None:
    put(pages, Destination(name="desk", target=InboxTarget()))
    post(pages, "/aliases/save", name="sales@example.com", **ALIAS)
    made = pages.store.directory().aliases["sales@example.com"]
    assert made == Alias(name="sales@example.com", destination="desk", writers=Writers.KNOWN, refusal="Ask sales")
    text = pages.get("/aliases")
    assert "Whom we have written to" in text
    assert "No mailbox is read" in text
    assert '<option value="known" selected>' in pages.get("/aliases/of/sales@example.com")
    post(pages, "/aliases/save?old=sales@example.com", **{**ALIAS, "any_domain": "on", "authenticated": "on"})
    changed = pages.store.directory().aliases["sales@example.com"]
    assert (changed.any_domain, changed.authenticated) == (True, True)
    assert "in every domain" in pages.get("/aliases")
    post(pages, "/aliases/remove", name="sales@example.com")
    assert pages.store.directory().aliases == {}
    post(pages, "/aliases/remove", 404, name="sales@example.com")


def test_an_alias_has_further_domains_and_values_for_what_it_opens(pages: Pages) -> None:
    put(pages, Destination(name="erp", target=OdooTarget(url="https://o.example", database="x", user="y", model="crm.lead")))
    given: dict[str, Any] = {
        "destination": "erp",
        "writers": "everyone",
        "automatic": "on",
        "domains": "example.org\nexample.net",
        "active": "on",
    }
    text = 'team_id = 3\npriority = "2"\ndescription = By mail\ntag_ids = [[6, 0, [1, 2]]]'
    post(pages, "/aliases/save", name="sales@example.com", defaults=text, **given)
    made = pages.store.directory().aliases["sales@example.com"]
    assert (made.automatic, made.domains) == (True, ("example.org", "example.net"))
    assert made.defaults == {"team_id": 3, "priority": "2", "description": "By mail", "tag_ids": [[6, 0, [1, 2]]]}
    assert "also in example.org, example.net" in pages.get("/aliases")
    shown = unescape(pages.get("/aliases/of/sales@example.com"))
    assert 'team_id = 3\npriority = "2"\ndescription = "By mail"\ntag_ids = [[6, 0, [1, 2]]]' in shown
    assert "with team_id = 3" in unescape(post(pages, "/routing", 200, sender="a@b.example", to="sales@example.net", subject=""))
    assert "write NAME = VALUE" in beside(post(pages, "/aliases/save", 422, name="b@example.com", defaults="team_id", **given), "defaults")
    assert "32 bits" in beside(
        post(pages, "/aliases/save", 422, name="b@example.com", defaults="team_id = 99999999999", **given), "defaults"
    )
    assert "every domain already" in beside(post(pages, "/aliases/save", 422, name="b@example.com", any_domain="on", **given), "domains")


def test_what_is_wrong_with_an_alias_is_said(pages: Pages) -> None:
    assert "does not exist" in post(pages, "/aliases/save", 422, name="sales@example.com", **ALIAS)
    put(pages, Destination(name="desk", target=InboxTarget()), Alias(name="a@example.com", destination="desk"))
    assert "is no address" in post(pages, "/aliases/save", 422, name="sales", **ALIAS)
    assert "already" in beside(post(pages, "/aliases/save", 422, name="a@example.com", **ALIAS), "name")
    pages.role = Role.OPERATOR
    pages.get("/aliases", 403)
    pages.get("/destinations", 403)


# ---- what would happen?


@pytest.fixture
def house(pages: Pages) -> Pages:
    put(
        pages,
        AliasDomain(name="example.com"),
        Destination(name="desk", target=InboxTarget()),
        Alias(name="sales@example.com", destination="desk"),
        Alias(name="closed@example.com", destination="desk", writers=Writers.KNOWN, refusal="Ask sales first"),
        IncomingServer(name="info", source=GraphInbox(account="office"), destination="desk"),
    )
    return pages


def test_the_decision_is_shown_with_every_rule_that_was_asked(house: Pages) -> None:
    text = post(house, "/routing", 200, sender="Anna <anna@customer.example>", to="sales@example.com", subject="Hello")
    assert "To <strong>desk</strong> through sales@example.com: it opens something new" in text
    assert "(this one has decided)" in text
    assert 'value="sales@example.com"' in text
    assert house.store.counts() == dict.fromkeys(house.store.counts(), 0), "nothing is stored"


def test_it_says_what_a_sender_would_be_told(house: Pages) -> None:
    assert "Ask sales first" in post(house, "/routing", 200, sender="anna@customer.example", to="closed@example.com", subject="")


def test_a_file_or_a_source_is_explained_as_if_it_had_come_by_a_server_or_for_somebody(house: Pages) -> None:
    raw = "From: anna@customer.example\nTo: nobody@example.com\nSubject: Hi\n\nHello"
    assert "waits in quarantine" in post(house, "/routing", 200, source=raw)
    assert "goes where the incoming server says" in unescape(post(house, "/routing", 200, source=raw, incoming="info")).lower()
    answer: Any = house.client.post("/routing", data={"recipient": "sales@example.com"}, files={"file": ("a.eml", raw.encode())})
    assert "through sales@example.com" in answer.text


def test_what_makes_no_sense_is_said(house: Pages) -> None:
    assert "Say from whom to whom" in post(house, "/routing", 422)
    assert "'anna' is no address" in post(house, "/routing", 422, sender="anna", to="sales@example.com")
    assert "no incoming server" in post(house, "/routing", 422, sender="a@b.example", to="sales@example.com", incoming="gone")
    assert "is no address" in post(house, "/routing", 422, sender="a@b.example", to="sales@example.com", recipient="me")
    assert "quarantine" in post(house, "/routing", 200, source="\x00" * 10)
    house.role = Role.VIEWER
    house.get("/routing", 403)
