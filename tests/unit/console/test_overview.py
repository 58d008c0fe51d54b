"""What the first page says of each situation."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mailroom.audit import Wanted
from mailroom.console.kept import SHARE, Kept
from mailroom.objects import Account, Application, GraphRoute, OutgoingServer, Role, SinkRoute, SmarthostRoute
from mailroom.ports import CameBack, Query, Store
from mailroom.vault.expiry import Expiry
from mailroom_core.model import LaneName, Reply, State
from tests.contract.store.makers import claim_one
from tests.unit.console.conftest import Pages

GONE = LaneName("smarthost:gone")
LANE = LaneName("graph:office:mary@contoso.example")


@pytest.fixture
def office(pages: Pages) -> Pages:
    """One mailbox, one application."""
    account = Account(name="office", mailbox="mary@contoso.example")
    server = OutgoingServer(name="office", route=GraphRoute(account="office"))
    pages.store.apply([account, server, Application(name="erp")], [], by="test")
    return pages


def now(pages: Pages) -> str:
    pages.app.state.overview.now.forget()
    return pages.get("/")


def waiting(pages: Pages, count: int = 3) -> None:
    pages.store.put([pages.make.message(lane=LANE) for _ in range(count)])


def send(store: Store, pages: Pages, state: State, *, limit: int = 100) -> None:
    lane = claim_one(store)
    attempts = pages.make.begun(store, lane, store.due(lane, limit=limit))
    store.settle([pages.make.settled(each, state) for each in attempts])
    store.release("worker", [lane])


def test_an_empty_house_says_what_to_do_first(pages: Pages) -> None:
    text = now(pages)
    assert "There is no way out yet" in text
    assert "Connect an account" in text
    assert 'href="/applications/new"' in text
    assert "No outgoing server" not in text, "said once"


def test_the_first_steps_go_when_the_first_mail_has_left(office: Pages) -> None:
    text = now(office)
    assert text.count('class="done"') == 2
    waiting(office, 1)
    assert "First steps" in now(office)
    send(office.store, office, State.SENT)
    assert "First steps" not in now(office)


def test_the_limit_that_the_accounts_of_a_tenant_share_is_a_bar(office: Pages) -> None:
    account = Account(name="office", mailbox="mary@contoso.example", tenant="contoso.example", external_recipients_per_day=9500)
    office.store.apply([account], [], by="test")
    office.store.budgets.take("tenant:contoso.example", 40, 9500, timedelta(days=1))
    text = now(office)
    assert "External recipients of the tenant in 24 hours" in text
    assert "40 of 9,500" in text


def test_an_idle_house_is_well(office: Pages) -> None:
    text = now(office)
    assert "No mail has left yet" in text
    assert "Nothing waits" in text
    assert "mary@contoso.example" in text
    assert "0 of 10,000" in text
    assert "notice" not in text.split("<main")[1].split('class="panel')[0].replace("notice-", "")


def test_what_waits_says_when_it_is_done(office: Pages) -> None:
    waiting(office, 10)
    send(office.store, office, State.SENT, limit=4)
    text = now(office)
    assert "Mail is leaving" in text
    assert "<strong>6</strong> waiting, done at" in text
    assert "4 of 10,000" in text


def test_a_held_lane_comes_first_with_its_reason_and_is_freed_by_operators(office: Pages) -> None:
    waiting(office)
    office.store.hold_lane(LANE, "the grant has ended; connect the account again")
    text = now(office)
    assert "Some mail waits for you" in text
    assert "mary@contoso.example waits, with 3 mails" in text
    assert "The grant has ended" in text
    office.role = Role.VIEWER
    assert "/overview/free" not in now(office)
    assert office.client.post("/overview/free", data={"lane": LANE}).status_code == 403
    office.role = Role.OPERATOR
    assert office.client.post("/overview/free", data={"lane": LANE}).status_code == 303
    assert office.nudges == ["nudge"]
    assert [(each.kind, each.name, each.by) for each in office.store.audited(Wanted(), limit=1)[0]] == [
        ("lane", LANE, "user:mary@contoso.example")
    ]
    assert "Some mail waits" not in office.get("/")
    assert office.client.post("/overview/free", data={"lane": "graph:nothing:x"}).status_code == 422


def test_what_is_held_goes_by_another_server(office: Pages) -> None:
    waiting(office)
    office.store.hold_lane(LANE, "the outgoing server does not exist any more")
    assert "/overview/move" not in now(office)
    relay = OutgoingServer(name="relay", from_filter=("nobody.example",), route=SmarthostRoute(host="relay.example"))
    office.store.apply([relay], [], by="test")
    assert "<option>relay</option>" in now(office)
    form = {"lane": LANE, "server": "relay"}
    assert office.client.post("/overview/move", data=form).status_code == 422
    office.store.apply([replace(relay, from_filter=())], [], by="test")
    office.role = Role.VIEWER
    assert "/overview/move" not in now(office)
    assert office.client.post("/overview/move", data=form).status_code == 403
    office.role = Role.OPERATOR
    assert office.client.post("/overview/move", data=form).status_code == 303
    assert {each.delivery.server for each in office.store.find(Query(), limit=10)[0]} == {"relay"}
    assert [each.held for each in office.store.lanes() if each.name == LANE] == ["the outgoing server does not exist any more"], "it does"
    office.store.hold_lane(GONE, "the outgoing server does not exist any more")
    office.store.put([office.make.message(lane=GONE)])
    assert office.client.post("/overview/move", data={"lane": GONE, "server": "relay"}).status_code == 303
    assert [each.held for each in office.store.lanes() if each.name == GONE] == [""], "nobody uses it any more"
    assert office.nudges == ["nudge", "nudge"]


def test_mail_that_nobody_delivers_is_noticed(office: Pages) -> None:
    waiting(office)
    assert "Mail is leaving" in now(office)
    office.clock.go_on(minutes=3)
    assert "Mail is not leaving" in now(office)


def test_mail_that_needs_a_person_is_counted_by_state(office: Pages) -> None:
    for state, words in (
        (State.FAILED, "1 mail failed in the last day"),
        (State.HELD, "1 mail held until a person decides"),
    ):
        waiting(office, 1)
        send(office.store, office, state)
        assert words in now(office)
    office.clock.go_on(hours=25)
    assert "failed in the last day" not in now(office)


def test_mail_that_came_back_needs_a_person(office: Pages) -> None:
    mail = office.make.message("ann@customer.example", lane=LANE)
    office.store.put([mail])
    send(office.store, office, State.SENT)
    assert "came back" not in now(office)
    back = CameBack(
        message_id=mail.id,
        recipient="ann@customer.example",
        at=office.clock(),
        name="bounced",
        text="there is no such mailbox",
        reply=Reply(550, "User unknown", "5.1.1"),
        reason="NO_SUCH_MAILBOX",
        permanent=True,
        hard=True,
    )
    office.store.came_back([back])
    text = now(office)
    assert "1 mail came back in the last day" in text
    assert 'href="/messages?state=bounced"' in text


def test_what_ends_by_itself_is_told_a_month_before(office: Pages) -> None:
    office.ends[:] = [
        Expiry("office", "client secret", office.clock() + timedelta(days=12, hours=1), "Make a new one"),
        Expiry("office", "sign-in", office.clock() + timedelta(days=40), "Send with it"),
        Expiry("old", "certificate", office.clock() - timedelta(days=1), "Upload a new one"),
    ]
    text = now(office)
    assert "The client secret of office ends in 12 days" in text
    assert "The certificate of old has ended" in text
    assert "sign-in" not in text


def test_every_kind_of_way_out_is_named(office: Pages) -> None:
    servers = [
        OutgoingServer(name="relay", route=SmarthostRoute(host="mail.example.org", port=587), per_minute=30),
        OutgoingServer(name="trial", route=SinkRoute()),
        OutgoingServer(name="own", route=GraphRoute(account="office", mailbox="sender")),
    ]
    office.store.apply(servers, [], by="test")
    text = now(office)
    assert "mail.example.org:587" in text
    assert "0 of 30" in text
    assert "Delivers nothing" in text


def test_nothing_is_sent_to_those_who_have_seen_it(office: Pages) -> None:
    seen = now(office).split("/overview/live?seen=")[1].split('"')[0]
    assert office.client.get(f"/overview/live?seen={seen}").status_code == 204
    office.store.hold_lane(LANE, "something new")
    office.app.state.overview.now.forget()
    answer = office.client.get(f"/overview/live?seen={seen}")
    assert (answer.status_code, "Something new" in answer.text) == (200, True)


def test_the_chart_counts_each_hour_once(office: Pages) -> None:
    waiting(office, 3)
    send(office.store, office, State.SENT, limit=2)
    hours = office.app.state.overview.hours()
    assert len(hours) == 24
    assert hours[-1].counts == (2, 1, 0, 0)
    assert sum(sum(hour.counts) for hour in hours) == 3
    assert hours[-1].begins - hours[0].begins == timedelta(hours=23)
    assert 'data-value="2"' in office.get("/overview/chart")


def test_an_answer_is_kept_for_longer_the_dearer_it_is() -> None:
    seconds, asked = [0.0], []

    def ask() -> int:
        asked.append(seconds[0])
        seconds[0] += 1
        return len(asked)

    kept = Kept(ask, least=2, clock=lambda: seconds[0])
    assert kept() == kept() == 1
    seconds[0] += SHARE - 0.5
    assert kept() == 1
    seconds[0] += 1
    assert kept() == 2
    kept.forget()
    assert kept() == 3
