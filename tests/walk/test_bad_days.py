"""The provider's bad days: answers that get lost, come late, are wrong, or ask us to wait."""

from __future__ import annotations

import base64
import os
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from mailroom_core.model import State
from tests.emulator.client import IMMUTABLE, Tenant
from tests.walk.conftest import QUICK_LOOKS, MakeWorld
from tests.walk.world import ANNA, BOB, MARY, NOTIFICATIONS, World, eventually, mail, unique

LOST = {"kind": "do_but_answer", "status": 504}
"""Done, and nobody hears of it."""
STRANGE_SENDER = NOTIFICATIONS
"""Mary has no right to send as this one."""


@pytest.fixture(scope="module")
def started(make_world: MakeWorld) -> World:
    return make_world(environment=QUICK_LOOKS).set_up('[alias_domain."contoso.example"]\ndefault_from = "mary"\n')


@pytest.fixture
def world(started: World) -> World:
    started.calm()
    return started


def test_a_mail_that_was_sent_with_a_504_is_found_and_not_sent_again(world: World) -> None:
    world.emulator.fault(match={"operation": "send"}, action=LOST)
    subject = _submitted(world, "504 but sent")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert (world.count("createDraft"), world.count("send")) == (1, 1)


def test_a_mail_that_is_sent_two_minutes_after_its_504_arrives_once(world: World) -> None:
    later = {"kind": "answer_and_do_later", "status": 504, "seconds": 120}
    world.emulator.fault(match={"operation": "send"}, action=later)
    subject = _submitted(world, "sent later")
    world.wait_until_sent(subject)
    world.emulator.ask("POST", "/clock", json={"advance": 130})
    assert world.count("createDraft") == 1, "a second draft would have been a second mail"
    assert eventually(lambda: world.count("send") >= 2)
    assert world.arrived(subject) == [ANNA]


def test_a_draft_that_is_made_after_the_504_for_it_is_never_sent(world: World) -> None:
    later = {"kind": "answer_and_do_later", "status": 504, "seconds": 120}
    world.emulator.fault(match={"operation": "createDraft"}, action=later)
    subject = _submitted(world, "draft later")
    world.wait_for(subject, State.QUEUED)
    eventually(lambda: world.count("createDraft") == 1)
    world.emulator.ask("POST", "/clock", json={"advance": 130})
    _try_again(world, subject)
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]


@pytest.mark.parametrize("fault", [LOST, {"kind": "drop", "when": "after"}], ids=["504", "reset"])
def test_the_draft_of_a_lost_answer_is_swept_away(world: World, fault: dict[str, Any]) -> None:
    world.emulator.fault(match={"operation": "createDraft"}, action=fault)
    subject = _submitted(world, "orphan")
    world.wait_for(subject, State.QUEUED, State.SENT)
    eventually(lambda: world.count("deleteMessage") == 1)
    _try_again(world, subject)
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert subject not in [draft["subject"] for draft in world.drafts()]


@pytest.mark.parametrize(
    "switches",
    [{}, {"message_id": "replaced_on_send"}, {"x_headers": "lost"}, {"sent_lag_seconds": 1.0}],
    ids=["id", "id and Message-ID", "id and marker", "id, and late"],
)
def test_a_mail_whose_id_changes_on_sending_is_found_by_what_it_has_left(world: World, switches: dict[str, Any]) -> None:
    world.emulator.switch(immutable_id_survives_send=False, **switches)
    world.emulator.fault(match={"operation": "send"}, action=LOST)
    subject = _submitted(world, "another id")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert world.count("send") == 1


def _deleted_before_the_look(world: World, title: str, *, times: int) -> str:
    """A mail whose answer got lost, and whose copy somebody deletes in Sent Items, and then wherever it lies, before we can look."""
    world.emulator.fault(match={"operation": "send"}, action=LOST)
    for operation in ("getMessage", "list"):
        world.emulator.fault(match={"operation": operation}, times=None, action={"kind": "answer", "status": 503})
    subject = _submitted(world, title)
    (copy,) = eventually(lambda: world.sent_items(MARY, subject))
    with Tenant(world.emulator.url) as tenant:
        somebody = tenant.app(MARY)
        for _ in range(times):
            assert somebody("DELETE", f"/messages/{copy['immutable_id']}", headers=IMMUTABLE).status_code == 204
    assert not world.sent_items(MARY, subject)
    world.emulator.ask("DELETE", "/faults")
    return subject


def test_a_mail_whose_copy_was_moved_to_deleted_items_is_found_there(world: World) -> None:
    subject = _deleted_before_the_look(world, "deleted", times=1)
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert (world.count("createDraft"), world.count("send")) == (1, 1)


def test_a_mail_whose_copy_was_deleted_for_good_waits_for_a_person_and_is_not_sent_again(world: World) -> None:
    """It can't be told from a mail that was never sent."""
    subject = _deleted_before_the_look(world, "deleted for good", times=3)
    world.wait_for(subject, State.HELD)
    assert "Nobody knows whether it was sent" in world.story(subject)
    assert world.arrived(subject) == [ANNA]
    assert (world.count("createDraft"), world.count("send")) == (1, 1)
    world.gateway.run("queue", "ignore", subject)
    world.wait_for(subject, State.IGNORED)


def test_a_mail_whose_copy_lags_for_ever_waits_for_a_person_and_is_not_sent_again(world: World) -> None:
    world.emulator.switch(sent_lag_seconds=100_000.0)
    world.emulator.fault(match={"operation": "send"}, action=LOST)
    subject = _submitted(world, "copy lags")
    world.wait_for(subject, State.HELD)
    assert "Nobody knows whether it was sent" in world.story(subject)
    assert world.arrived(subject) == [ANNA]
    assert (world.count("createDraft"), world.count("send")) == (1, 1)
    world.gateway.run("queue", "ignore", subject)
    world.wait_for(subject, State.IGNORED)


def test_a_sent_draft_that_still_looks_like_one_is_not_sent_twice(world: World) -> None:
    """A server that lags behind shows the draft; the second `/send` is refused because the mail has left."""
    world.emulator.fault(match={"operation": "send"}, action=LOST)
    stale = '{"id": "whatever", "isDraft": true}'
    world.emulator.fault(match={"operation": "getMessage"}, action={"kind": "answer", "status": 200, "body": stale})
    subject = _submitted(world, "second send")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert (world.count("createDraft"), world.count("send")) == (1, 2)


@pytest.mark.parametrize("operation", ["createDraft", "send"])
def test_where_one_recipient_is_refused_each_gets_a_mail_of_their_own(world: World, operation: str) -> None:
    refusal = {"kind": "answer", "status": 400, "code": "ErrorInvalidRecipients"}
    world.emulator.fault(match={"operation": operation}, action=refusal)
    subject = unique("one by one")
    world.submit(mail(subject, to=f"{ANNA}, {BOB}"), ANNA, BOB)
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA, BOB]
    assert world.count("createDraft") == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_that_left_the_draft_where_it_was_sends_that_same_draft(world: World, status: int) -> None:
    world.emulator.fault(match={"operation": "send"}, action={"kind": "answer", "status": status})
    subject = _submitted(world, f"{status} on send")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert (world.count("createDraft"), world.count("send")) == (1, 2)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_error_before_there_is_a_draft_is_tried_again_later(world: World, status: int) -> None:
    world.emulator.fault(match={"operation": "createDraft"}, action={"kind": "answer", "status": status})
    subject = _submitted(world, f"{status} on create")
    (delivery,) = world.wait_for(subject, State.QUEUED)
    eventually(lambda: world.count("createDraft") == 1)
    (delivery,) = eventually(lambda: [each for each in world.deliveries(subject) if each.reply])
    assert delivery.reply is not None
    assert delivery.reply.code == status
    assert delivery.due_at is not None
    assert timedelta(seconds=40) < delivery.due_at - delivery.updated_at < timedelta(seconds=90)
    _try_again(world, subject)
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]


def test_a_401_refreshes_the_token_once_and_repeats_the_request_once(world: World) -> None:
    world.emulator.fault(match={"operation": "createDraft"}, action={"kind": "answer", "status": 401})
    subject = _submitted(world, "401")
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert (world.count("token"), world.count("createDraft"), world.count("send")) == (1, 2, 1)


def test_a_sender_without_the_right_fails_and_the_reason_says_what_to_do(world: World) -> None:
    subject = unique("send as denied")
    world.submit(mail(subject, sender=STRANGE_SENDER), ANNA, BOB)
    for delivery in world.wait_for(subject, State.FAILED):
        assert delivery.reply is not None
        assert (delivery.reply.code, delivery.reply.name) == (403, "ErrorSendAsDenied")
        assert "Send As" in delivery.reply.text
    assert world.arrived(subject) == []
    assert subject not in [draft["subject"] for draft in world.drafts()]
    (report,) = eventually(lambda: world.emulator.folder(MARY, "inbox"))
    assert report["subject"] == f"Not delivered: {subject}"


def test_a_draft_that_is_gone_before_it_was_sent_is_held_and_not_made_anew(world: World) -> None:
    """404 on `/send`, and found nowhere: a send before may have taken it."""
    world.emulator.switch(sent_lag_seconds=100_000.0)
    world.emulator.fault(match={"operation": "send"}, action={"kind": "do_but_answer", "status": 404})
    subject = _submitted(world, "404")
    world.wait_for(subject, State.HELD)
    assert world.arrived(subject) == [ANNA]
    assert world.count("createDraft") == 1


def test_a_mail_that_graph_finds_too_large_waits_for_a_person(world: World) -> None:
    world.emulator.fault(match={"operation": "createDraft"}, action={"kind": "answer", "status": 413})
    subject = _submitted(world, "413")
    (delivery,) = world.wait_for(subject, State.HELD)
    assert delivery.reply is not None
    assert "through a server that can carry it" in delivery.reply.text


@pytest.mark.parametrize("operation", ["createDraft", "send"])
@pytest.mark.parametrize("status", [429, 503])
def test_the_whole_mailbox_waits_as_long_as_graph_wants(world: World, operation: str, status: int) -> None:
    wish = 1.75
    world.emulator.fault(match={"operation": operation}, action={"kind": "answer", "status": status, "retry_after": wish})
    subject = unique(f"{status} on {operation}")
    with world.session() as smtp:
        for number in range(6):
            smtp.sendmail(MARY, [f"r{number}@customer.example"], mail(subject))
    world.wait_until_sent(subject)
    assert len(world.arrived(subject)) == 6
    requests = world.emulator.ask("GET", "/requests", params={"limit": 2000})
    refused = next(datetime.fromisoformat(each["at"]) for each in requests if each["status"] == status)
    begun = [datetime.fromisoformat(each["at"]) for each in requests if each["mailbox"] == MARY]
    under_way = timedelta(seconds=0.3)  # up to two others had been asked before the refusal
    too_early = [at for at in begun if refused + under_way < at < refused + timedelta(seconds=wish)]
    assert too_early == []
    assert len([each for each in requests if each["status"] == status]) == 1
    assert len(begun) < 20, "no hammering"


@pytest.mark.parametrize(
    "fault",
    [
        {"match": {"operation": "uploadRange"}, "skip": 1, "times": 2, "action": {"kind": "drop", "after_bytes": 1_000_000}},
        {"match": {"operation": "uploadRange"}, "skip": 1, "action": {"kind": "drop", "when": "after"}},
        {"match": {"operation": "uploadRange"}, "skip": 1, "action": {"kind": "answer", "status": 503}},
        {"match": {"operation": "uploadRange"}, "skip": 2, "action": {"kind": "expire_upload"}},
        {"match": {"operation": "uploadRange"}, "skip": 1, "action": {"kind": "answer", "status": 401}},
    ],
    ids=["reset in a range", "lost answer", "503", "expired", "401"],
)
def test_an_upload_that_is_disturbed_goes_on_and_nothing_of_it_is_missing(world: World, fault: dict[str, Any]) -> None:
    world.emulator.fault(**fault)
    subject, content = unique("upload"), os.urandom(10_000_000)
    world.submit(_with_file(subject, content))
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    got = message_from_bytes(world.copies(subject)[0], policy=default)
    assert [part.get_content() == content for part in got.iter_attachments()] == [True]
    assert world.count("createDraft") == 1


def _submitted(world: World, title: str) -> str:
    subject = unique(title)
    world.submit(mail(subject))
    return subject


def _try_again(world: World, subject: str) -> None:
    """Without waiting for the next try."""
    world.gateway.run("queue", "send-now", subject)


def _with_file(subject: str, content: bytes) -> bytes:
    kind = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n'
    text = "--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b\r\n"
    part = "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n").decode()
    return mail(subject, more=kind, text=f"{text}{part}{encoded}--b--\r\n")
