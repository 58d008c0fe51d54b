"""Both tiers of sending, fed by hand."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from mailroom_core.flow import NoResponse, Note, Request, Response, Streamed
from mailroom_core.model import Deferred, Failed, Held, Sent, Unknown
from mailroom_core.providers.graph.drafts import delete_draft
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.marker import PROPERTY
from mailroom_core.providers.graph.sending import send_by_draft, send_draft, send_mime_once
from tests.unit.graph.mailbox import (
    CREATE,
    DELETE,
    DRAFTS_BY_MARKER,
    GONE,
    MADE,
    MARKER,
    ME,
    NOTED,
    SEND,
    listing,
    message,
    refused,
)
from tests.unit.scripted import answer, body_of, lost, play

MIME = base64.b64encode(b"Subject: x\r\n\r\nbody\r\n")
SEND_MAIL = "POST /v1.0/me/sendMail"

AMBIGUOUS = [answer(500), answer(502), answer(503), answer(504), answer(408), answer(520)]


# ---- Mail.Send alone


def test_a_mail_goes_out_in_one_request() -> None:
    played = play(send_mime_once(ME, MIME), (SEND_MAIL, answer(202)))
    assert isinstance(played.result, Sent)
    assert (played.result.reply.code, played.result.remote_id) == (202, "")
    (request,) = played.requests
    assert (request.headers["content-type"], body_of(request), request.auth) == ("text/plain", MIME, True)


def test_a_streamed_mail_is_sent_as_a_stream_from_the_named_mailbox() -> None:
    body = Streamed(len(MIME), lambda: iter([MIME]))
    flow = send_mime_once(Mailbox.of("https://graph.test", "sales@lab.example"), body)
    played = play(flow, ("POST /v1.0/users/sales@lab.example/sendMail", answer(202)))
    assert played.requests[0].body is body


def test_a_bogus_200_counts_as_sent() -> None:
    assert isinstance(play(send_mime_once(ME, MIME), (SEND_MAIL, answer(200))).result, Sent)


@pytest.mark.parametrize("response", AMBIGUOUS, ids=lambda response: str(response.status))
def test_an_answer_that_leaves_it_open_is_unknown(response: Response) -> None:
    result = play(send_mime_once(ME, MIME), (SEND_MAIL, response)).result
    assert isinstance(result, Unknown)
    assert str(response.status) in result.why


def test_a_lost_answer_is_unknown_and_a_failed_connection_deferred() -> None:
    assert play(send_mime_once(ME, MIME), (SEND_MAIL, lost(sent=True))).result == Unknown("connection lost")
    assert isinstance(play(send_mime_once(ME, MIME), (SEND_MAIL, lost(sent=False))).result, Deferred)


@pytest.mark.parametrize("status", [429, 503])
def test_throttling_defers_the_lane(status: int) -> None:
    result = play(send_mime_once(ME, MIME), (SEND_MAIL, answer(status, retry_after="2.5"))).result
    assert isinstance(result, Deferred)
    assert (result.retry_after, result.lane) == (timedelta(seconds=2.5), True)


def test_a_refusal_is_what_the_table_says() -> None:
    assert isinstance(play(send_mime_once(ME, MIME), (SEND_MAIL, refused(403, "ErrorSendAsDenied"))).result, Failed)
    assert isinstance(play(send_mime_once(ME, MIME), (SEND_MAIL, refused(403, "ErrorAccessDenied"))).result, Held)
    unmapped = play(send_mime_once(ME, MIME), (SEND_MAIL, refused(400, "ErrorBrandNew"))).result
    assert isinstance(unmapped, Deferred)
    assert unmapped.unmapped


# ---- by draft


def test_a_draft_is_noted_before_it_is_sent() -> None:
    played = play(send_by_draft(ME, MIME, MARKER), (CREATE, MADE), (SEND, answer(202)))
    assert isinstance(played.result, Sent)
    assert played.result.remote_id == "AAk="
    assert [type(step) for step in played.log] == [Request, Note, Request]
    assert played.notes == [NOTED | {"ready": "yes"}]
    create, send = played.requests
    assert create.headers["content-type"] == "text/plain"
    assert base64.b64decode(body_of(create)) == b"x-mailroom-attempt:  " + MARKER.encode() + b"\r\nSubject: x\r\n\r\nbody\r\n"
    assert (send.headers["content-length"], body_of(send)) == ("0", b"")
    assert all(request.headers["prefer"] == 'IdType="ImmutableId"' for request in played.requests)


def test_a_json_draft_carries_the_marker_as_a_property() -> None:
    played = play(send_by_draft(ME, {"subject": "x"}, MARKER), (CREATE, MADE), (SEND, answer(202)))
    create = played.requests[0]
    assert create.headers["content-type"] == "application/json"
    assert json.loads(body_of(create)) == {"subject": "x", "singleValueExtendedProperties": [{"id": PROPERTY, "value": MARKER}]}


@pytest.mark.parametrize("reply", [lost(sent=False), answer(429), answer(503, retry_after="1")])
def test_a_draft_that_was_not_made_was_not_sent(reply: Response | NoResponse) -> None:
    played = play(send_by_draft(ME, MIME, MARKER), (CREATE, reply))
    assert isinstance(played.result, Deferred)
    assert played.notes == []


@pytest.mark.parametrize("reply", [*AMBIGUOUS, lost(sent=True)])
@pytest.mark.parametrize("swept", [listing(), answer(503), lost(sent=True)])
def test_a_draft_that_may_have_been_made_was_not_sent_and_is_looked_for(reply: Response, swept: Response) -> None:
    played = play(send_by_draft(ME, MIME, MARKER), (CREATE, reply), (DRAFTS_BY_MARKER, swept))
    assert isinstance(played.result, Deferred)
    assert played.notes == []


def test_a_draft_that_was_made_without_an_answer_is_deleted() -> None:
    made = listing(message("AAk=", draft=True, marker=MARKER))
    played = play(send_by_draft(ME, MIME, MARKER), (CREATE, lost(sent=True)), (DRAFTS_BY_MARKER, made), (DELETE, answer(204)))
    assert isinstance(played.result, Deferred)
    assert "connection lost" in played.result.reply.text


def test_a_draft_that_may_not_be_made_holds() -> None:
    result = play(send_by_draft(ME, MIME, MARKER), (CREATE, refused(403, "ErrorAccessDenied"))).result
    assert isinstance(result, Held)
    assert result.lane


@pytest.mark.parametrize("response", [answer(201, {}), answer(201), answer(201, {"id": None})])
def test_a_draft_without_an_id_is_never_sent(response: Response) -> None:
    played = play(send_by_draft(ME, MIME, MARKER), (CREATE, response))
    assert isinstance(played.result, Deferred)
    assert played.result.unmapped
    assert played.notes == []


FAILING_OVER = [refused(503, "ErrorMailboxFailover"), refused(500, "ErrorMailboxMoveInProgress")]


@pytest.mark.parametrize("reply", [*AMBIGUOUS, *FAILING_OVER, lost(sent=True)])
def test_an_unanswered_send_is_unknown_and_the_draft_is_left_alone(reply: Response) -> None:
    assert isinstance(play(send_by_draft(ME, MIME, MARKER), (CREATE, MADE), (SEND, reply)).result, Unknown)


@pytest.mark.parametrize(
    "reply",
    [
        GONE,
        refused(409, "ErrorIrresolvableConflict"),
        refused(400, "ErrorInvalidOperation"),
        refused(403, "ErrorBrandNew"),
        answer(412),
    ],
)
def test_a_draft_that_is_gone_or_no_draft_any_more_may_have_been_sent(reply: Response) -> None:
    assert isinstance(play(send_draft(ME, "AAk="), (SEND, reply)).result, Unknown)


@pytest.mark.parametrize("reply", [answer(429, retry_after="3"), answer(503, retry_after="3"), refused(400, "ErrorExceededMessageLimit")])
def test_a_throttled_send_keeps_its_draft_for_later(reply: Response) -> None:
    result = play(send_by_draft(ME, MIME, MARKER), (CREATE, MADE), (SEND, reply)).result
    assert isinstance(result, Deferred)
    assert result.lane


def test_a_send_that_never_left_is_deferred() -> None:
    assert isinstance(play(send_draft(ME, "AAk="), (SEND, lost(sent=False))).result, Deferred)


@pytest.mark.parametrize("deleted", [answer(204), GONE, answer(500), lost(sent=True)])
def test_a_draft_that_is_refused_does_not_stay(deleted: Response) -> None:
    script = ((CREATE, MADE), (SEND, refused(400, "ErrorInvalidRecipients")), (DELETE, deleted))
    failed = play(send_by_draft(ME, MIME, MARKER), *script).result
    assert isinstance(failed, Failed)
    assert failed.bad_address
    script = ((CREATE, MADE), (SEND, refused(403, "ErrorAccessDenied")), (DELETE, deleted))
    held = play(send_by_draft(ME, MIME, MARKER), *script).result
    assert isinstance(held, Held)
    assert held.lane


def test_the_same_draft_is_sent_again() -> None:
    result = play(send_draft(ME, "AAk="), (SEND, answer(202))).result
    assert isinstance(result, Sent)
    assert result.remote_id == "AAk="


def test_deleting_a_draft_that_is_gone_is_no_trouble() -> None:
    assert play(delete_draft(ME, "AAk="), (DELETE, GONE)).result is None
    assert play(delete_draft(ME, "AAk="), (DELETE, answer(204))).result is None
    assert isinstance(play(delete_draft(ME, "AAk="), (DELETE, answer(500))).result, Deferred)
    assert isinstance(play(delete_draft(ME, "AAk="), (DELETE, lost(sent=True))).result, Deferred)
