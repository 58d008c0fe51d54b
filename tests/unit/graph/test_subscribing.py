"""Graph is asked to tell us of new mail, and asked again before it stops."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from mailroom_core.flow import Response
from mailroom_core.model import Deferred, Held, NotThere
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.subscribing import LIFE, Subscription, keep, renew, subscribe, unsubscribe
from tests.unit.graph.mailbox import ME, refused
from tests.unit.scripted import Line, answer, body_of, lost, play

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
URL = "https://gw.example/notify/graph"
CREATE = "POST /v1.0/subscriptions"
RENEW = "PATCH /v1.0/subscriptions/S1"


def test_a_folder_is_subscribed_to_with_our_state_and_for_six_days() -> None:
    flow = subscribe(Mailbox.of("https://graph.test", "sales@b.example"), "inbox", url=URL, client_state="secret", now=NOW)
    played = play(flow, (CREATE, answer(201, {"id": "S1"})))
    assert played.result == Subscription("S1", NOW + LIFE)
    assert json.loads(body_of(played.requests[0])) == {
        "changeType": "created",
        "notificationUrl": URL,
        "lifecycleNotificationUrl": URL,
        "resource": "/users/sales@b.example/mailFolders('inbox')/messages",
        "clientState": "secret",
        "expirationDateTime": "2026-11-26T12:00:00Z",
    }


def test_a_subscription_is_renewed() -> None:
    assert play(renew(ME, "S1", now=NOW), (RENEW, answer(200, {"id": "S1"}))).result == Subscription("S1", NOW + LIFE)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(404), NotThere),
        (refused(403, "ErrorAccessDenied"), Held),
        (answer(503), Deferred),
        (lost(sent=True), Deferred),
        (answer(200, {"id": 1}), Deferred),
    ],
)
def test_trouble_is_told(reply: Response, kind: type) -> None:
    assert isinstance(play(renew(ME, "S1", now=NOW), (RENEW, reply)).result, kind)
    assert isinstance(play(subscribe(ME, "inbox", url=URL, client_state="s", now=NOW), (CREATE, reply)).result, kind)


DELETE = "DELETE /v1.0/subscriptions/S1"


def test_a_subscription_is_kept_as_long_as_it_lives() -> None:
    assert play(keep(ME, "inbox", "S1", url=URL, client_state="s", now=NOW), (RENEW, answer(200, {"id": "S1"}))).result == Subscription(
        "S1", NOW + LIFE
    )


@pytest.mark.parametrize(("had", "first"), [("", ()), ("S1", ((RENEW, answer(404)),))])
def test_where_there_is_none_any_more_a_new_one_is_made(had: str, first: tuple[Line, ...]) -> None:
    assert play(
        keep(ME, "inbox", had, url=URL, client_state="s", now=NOW), *first, (CREATE, answer(201, {"id": "S2"}))
    ).result == Subscription("S2", NOW + LIFE)


def test_trouble_with_renewing_makes_no_second_subscription() -> None:
    assert isinstance(play(keep(ME, "inbox", "S1", url=URL, client_state="s", now=NOW), (RENEW, answer(503))).result, Deferred)


@pytest.mark.parametrize("reply", [answer(204), answer(404)])
def test_what_is_removed_or_gone_already_is_no_trouble(reply: Response) -> None:
    assert play(unsubscribe(ME, "S1"), (DELETE, reply)).result is None


@pytest.mark.parametrize(("reply", "kind"), [(refused(403, "ErrorAccessDenied"), Held), (lost(sent=False), Deferred)])
def test_what_can_not_be_removed_is_told(reply: Response, kind: type) -> None:
    assert isinstance(play(unsubscribe(ME, "S1"), (DELETE, reply)).result, kind)
