"""The page of mail that has no place, and what the overview says of the way in."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

from mailroom.objects import Account, GraphInbox, IncomingServer, Role
from mailroom.ports import NewMessage, Query
from mailroom_core.model import LaneName, Reply, State, show_id
from tests.unit.console.conftest import Pages
from tests.unit.console.test_object_pages import post, put

WHY = "no alias, no reply, no fallback <b>knows</b> it"
LANE = LaneName("graph:office:info@example.com")


def lost(pages: Pages, subject: str = "Where to?", lane: str = "destination:") -> NewMessage:
    """One mail in quarantine."""
    mail = pages.make.message("nobody@example.com", lane=lane, state=State.HELD, subject=subject, sender="anna@customer.example")
    (delivery,) = mail.deliveries
    mail = replace(mail, source="mary", deliveries=(replace(delivery, server=lane.partition(":")[2], reply=Reply(0, WHY)),))
    pages.store.put([mail])
    return mail


def states(pages: Pages) -> list[State]:
    return sorted((each.delivery.state for each in pages.store.find(Query(came_in=True), limit=99)[0]), key=str)


def test_an_empty_quarantine_says_what_it_is_for(pages: Pages) -> None:
    pages.store.put([pages.make.message(state=State.HELD)])
    assert "Nothing is in quarantine" in pages.get("/quarantine")
    assert "in quarantine" not in pages.get("/")


def test_each_mail_says_why_it_waits_with_its_bytes_a_click_away(pages: Pages) -> None:
    mail = lost(pages)
    lost(pages, "Refused there", "destination:odoo")
    text = pages.get("/quarantine")
    assert "&lt;b&gt;knows&lt;/b&gt;" in text
    assert "for odoo, came by mary" in text
    assert f"/messages/{show_id(mail.id)}" in text
    assert "Refused there" not in pages.get("/quarantine?text=where")
    assert "No mail matches" in pages.get("/quarantine?text=nowhere+at+all")
    (seen,) = re.findall(r'data-version="([0-9a-f]+)"', text)
    assert pages.get(f"/quarantine/list?seen={seen}", 204) == ""
    assert "Send again" not in pages.get(f"/messages/{show_id(mail.id)}"), "it was never sent"


def test_it_has_pages(pages: Pages) -> None:
    for number in range(51):
        lost(pages, f"Number {number}.")
    first = pages.get("/quarantine")
    (after,) = set(re.findall(r"after=([0-9]+)", first))
    assert "Number 0." in pages.get(f"/quarantine?after={after}")
    assert "This is the end" in pages.get("/quarantine?after=1")


def test_one_is_tried_again(pages: Pages) -> None:
    mail = lost(pages)
    lost(pages, "Another")
    number = show_id(mail.deliveries[0].id)
    post(pages, "/quarantine/retry", delivery=number)
    assert states(pages) == [State.HELD, State.QUEUED]
    assert pages.nudges == ["nudge"]
    assert "judged anew" in pages.get("/quarantine?did=retry")
    post(pages, "/quarantine/retry", 404, delivery=number)
    post(pages, "/quarantine/retry", 404, delivery="???")


def test_one_is_deleted_after_a_question_and_can_be_taken_back(pages: Pages) -> None:
    mail = lost(pages)
    number = show_id(mail.deliveries[0].id)
    assert "Delete this mail?" in pages.get(f"/quarantine/delete/{number}")
    assert states(pages) == [State.HELD]
    post(pages, "/quarantine/delete", delivery=number)
    assert states(pages) == [State.CANCELLED]
    text = pages.get(f"/messages/{show_id(mail.id)}")
    assert "Deleted" in text
    assert "Try again" in text
    post(pages, f"/messages/{show_id(mail.id)}/act", action="retry", delivery=number)
    assert states(pages) == [State.QUEUED]


def test_what_is_held_on_its_way_out_is_not_touched_from_here(pages: Pages) -> None:
    mail = pages.make.message(state=State.HELD)
    pages.store.put([mail])
    number = show_id(mail.deliveries[0].id)
    post(pages, "/quarantine/delete", 404, delivery=number)
    pages.get(f"/quarantine/delete/{number}", 404)


def test_all_of_it_is_tried_again_or_deleted_in_steps_and_nothing_else(pages: Pages) -> None:
    for _ in range(3):
        lost(pages)
    lost(pages, "Stays")
    pages.store.put([pages.make.message(state=State.HELD, subject="Where to, on its way out?")])
    text = pages.get("/quarantine?text=where")
    for action, left in (("retry", State.QUEUED), ("cancel", State.CANCELLED)):
        (path,) = [unescape(each) for each in re.findall(r'href="(/messages/all\?[^"]+)"', text) if f"action={action}" in each]
        asked = pages.get(path)
        assert "/quarantine?text=where" in asked, "back to where one came from"
        if action == "retry":
            assert "Try again" in asked
            query = unescape(re.findall(r'name="query" value="([^"]*)"', asked)[0])
            pages.clock.go_on(seconds=1)
            done = post(pages, "/messages/all", 200, action=action, query=query)
            assert "3 recipients" in done
            assert states(pages) == [State.HELD, left, left, left]


def test_a_viewer_looks_and_does_nothing(pages: Pages) -> None:
    mail = lost(pages)
    pages.role = Role.VIEWER
    text = pages.get("/quarantine")
    assert "Where to?" in text
    assert "Try again" not in text
    pages.get(f"/quarantine/delete/{show_id(mail.deliveries[0].id)}", 403)


def test_messages_can_be_narrowed_to_what_came_in(pages: Pages) -> None:
    lost(pages)
    pages.store.put([pages.make.message(subject="On its way out")])
    assert "On its way out" not in pages.get("/messages?came=in")
    text = pages.get("/messages?came=sideways")
    assert "makes no sense" in text
    assert "On its way out" in text


def test_the_overview_counts_what_is_in_quarantine_apart_from_what_is_held(pages: Pages) -> None:
    lost(pages)
    lost(pages)
    pages.store.put([pages.make.message(state=State.HELD)])
    text = pages.get("/")
    assert "2 mails in quarantine" in text
    assert 'href="/quarantine"' in text
    assert "1 mail held" in text


def test_the_overview_says_since_when_a_mailbox_is_not_read_with_the_button_that_solves_it(pages: Pages) -> None:
    put(
        pages,
        Account(name="office", mailbox="info@example.com"),
        IncomingServer(name="info", source=GraphInbox(account="office")),
    )
    pages.store.watch.over({"info": LANE})
    (lane,) = pages.store.claim("me", want=1, ttl=timedelta(hours=1))
    for minutes, shown in ((0, False), (11, True)):
        pages.clock.go_on(minutes=minutes)
        (seen,) = pages.store.watch.all()
        pages.store.watch.looked(lane, seen, next_at=pages.clock(), trouble="the folder is gone")
        pages.app.state.overview.now.forget()
        assert ("No mail is fetched by info since 2026-03-01 12:00" in pages.get("/")) is shown
    text = pages.get("/")
    assert "The folder is gone" in text
    assert "/accounts/reconnect" in text
    assert "/incoming/look" in text
    pages.role = Role.OPERATOR
    assert "/accounts/reconnect" not in pages.get("/")


def test_a_dead_sign_in_is_told_at_once(pages: Pages) -> None:
    put(pages, Account(name="office"), IncomingServer(name="info", source=GraphInbox(account="office")))
    pages.store.watch.over({"info": LANE})
    pages.store.hold_lane(LANE, "the sign-in of office has ended")
    assert "No mail is fetched by info" in pages.get("/")
