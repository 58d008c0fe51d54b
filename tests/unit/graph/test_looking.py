"""What became of a mail: every place where it can be, and every answer that tells nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mailroom_core.flow import NoResponse, Note, Response
from mailroom_core.model import Deferred, Failed, Held, Remote, Sent, Unknown
from mailroom_core.providers.graph.drafts import orphans
from mailroom_core.providers.graph.looking import InSentItems, NotAnswered, Nowhere, StillDraft, look, resolve
from tests.unit.graph.mailbox import (
    BY_ID,
    DELETE,
    DRAFTS_BY_MARKER,
    GONE,
    MARKER,
    ME,
    NOTED,
    SEND,
    SENT_BY_MARKER,
    SENT_BY_MESSAGE_ID,
    listing,
    message,
    refused,
)
from tests.unit.scripted import Line, answer, lost, play

READY = NOTED | {"ready": "yes"}
SENT_COPY = Remote("AAk=", "<d@graph.test>", "conv")
OTHER_COPY = Remote("BBk=", "<d@graph.test>", "conv")


def found(*script: Line, recipients: tuple[str, ...] = ()) -> object:
    flow = look(ME, draft_id="AAk=", marker=MARKER, internet_message_id="<d@graph.test>", recipients=recipients)
    return play(flow, *script).result


# ---- look


def test_by_its_id_a_mail_is_found_in_one_request() -> None:
    assert found((BY_ID, answer(200, message("AAk=")))) == InSentItems(SENT_COPY)
    assert found((BY_ID, answer(200, message("AAk=", draft=True)))) == StillDraft("AAk=")


def test_under_a_new_id_it_is_found_by_message_id_and_marker() -> None:
    copies = listing(message("CCk=", marker="somebody", to="x@y.example"), message("BBk=", marker=MARKER))
    assert found((BY_ID, GONE), (SENT_BY_MESSAGE_ID, copies), recipients=("x@y.example",)) == InSentItems(OTHER_COPY)


def test_without_its_marker_it_is_found_by_message_id_and_recipients() -> None:
    copies = listing(message("CCk=", to="x@y.example"), message("BBk=", to="X@Y.example", bcc="z@y.example"))
    script = ((BY_ID, GONE), (SENT_BY_MESSAGE_ID, copies))
    assert found(*script, recipients=("z@Y.example", "x@y.example")) == InSentItems(OTHER_COPY)


@pytest.mark.parametrize("recipients", [(), ("x@y.example",), ("x@y.example", "z@y.example", "a@y.example")])
def test_another_copy_with_the_same_message_id_is_not_taken_for_ours(recipients: tuple[str, ...]) -> None:
    others = [message("BBk=", marker="somebody", to="x@y.example"), message("CCk=", to="x@y.example", bcc="z@y.example"), message("DDk=")]
    script = [(BY_ID, GONE), (SENT_BY_MESSAGE_ID, listing(*others)), (SENT_BY_MARKER, listing()), (DRAFTS_BY_MARKER, listing())]
    assert found(*script, recipients=recipients) == Nowhere()


def test_recipients_that_can_not_be_read_are_nobody() -> None:
    junk = message("BBk=") | {"toRecipients": ["text", {}, {"emailAddress": "text"}, {"emailAddress": {}}], "ccRecipients": None}
    script = [(BY_ID, GONE), (SENT_BY_MESSAGE_ID, listing(junk)), (SENT_BY_MARKER, listing()), (DRAFTS_BY_MARKER, listing())]
    assert found(*script, recipients=("x@y.example",)) == Nowhere()


def test_with_another_message_id_it_is_found_by_marker() -> None:
    script: list[Line] = [(BY_ID, GONE), (SENT_BY_MESSAGE_ID, listing())]
    assert found(*script, (SENT_BY_MARKER, listing(message("BBk=", marker=MARKER)))) == InSentItems(OTHER_COPY)
    script.append((SENT_BY_MARKER, listing()))
    assert found(*script, (DRAFTS_BY_MARKER, listing(message("BBk=", draft=True, marker=MARKER)))) == StillDraft("BBk=")


def test_without_an_id_the_marker_alone_is_looked_for() -> None:
    flow = look(ME, draft_id="", marker=MARKER)
    assert play(flow, (SENT_BY_MARKER, listing()), (DRAFTS_BY_MARKER, listing())).result == Nowhere()


SILENT = [
    lost(sent=True),
    lost(sent=False),
    answer(500),
    answer(429),
    answer(503),
    refused(401, "x"),
    answer(200),
    answer(200, {"value": 1}),
]


@pytest.mark.parametrize("reply", SILENT)
def test_no_answer_is_not_nowhere(reply: Response | NoResponse) -> None:
    script: list[Line] = []
    for line in (BY_ID, SENT_BY_MESSAGE_ID, SENT_BY_MARKER, DRAFTS_BY_MARKER):
        assert isinstance(found(*script, (line, reply)), NotAnswered)
        script.append((line, GONE if line == BY_ID else listing()))


def test_a_missing_mailbox_is_not_a_missing_mail() -> None:
    result = found((BY_ID, refused(404, "MailboxNotEnabledForRESTAPI")))
    assert isinstance(result, NotAnswered)
    assert isinstance(result.why, Held)


def test_a_404_without_a_word_is_a_missing_mail() -> None:
    script = ((SENT_BY_MESSAGE_ID, listing()), (SENT_BY_MARKER, listing()), (DRAFTS_BY_MARKER, listing()))
    assert found((BY_ID, answer(404)), *script) == Nowhere()


def test_what_is_no_message_in_a_listing_is_passed_over() -> None:
    junk = listing("text", {}, {"id": None}, message("BBk=", marker=MARKER))
    assert found((BY_ID, GONE), (SENT_BY_MESSAGE_ID, junk)) == InSentItems(OTHER_COPY)


# ---- resolve


def test_a_sent_mail_is_resolved_as_sent() -> None:
    result = play(resolve(ME, READY, MARKER), (BY_ID, answer(200, message("AAk=")))).result
    assert isinstance(result, Sent)
    assert result.remote_id == "AAk="


def test_what_is_still_a_draft_is_sent_and_no_second_one_made() -> None:
    draft = answer(200, message("AAk=", draft=True))
    played = play(resolve(ME, READY, MARKER), (BY_ID, draft), (SEND, answer(202)))
    assert isinstance(played.result, Sent)
    assert played.log[1] == Note({"sent_again": "yes"}), "noted between the look and the send"
    assert isinstance(play(resolve(ME, READY, MARKER), (BY_ID, draft), (SEND, answer(504))).result, Unknown)
    denied = (BY_ID, draft), (SEND, refused(403, "ErrorSendAsDenied")), (DELETE, answer(204))
    assert isinstance(play(resolve(ME, READY, MARKER), *denied).result, Failed)


@pytest.mark.parametrize("reply", [answer(429, retry_after="3"), lost(sent=False)])
def test_a_second_send_that_is_put_off_does_not_let_the_mail_begin_anew(reply: Response | NoResponse) -> None:
    draft = answer(200, message("AAk=", draft=True))
    result = play(resolve(ME, READY, MARKER), (BY_ID, draft), (SEND, reply)).result
    assert isinstance(result, Unknown)
    assert not result.looked


def test_what_is_nowhere_stays_unknown() -> None:
    script = ((BY_ID, GONE), (SENT_BY_MESSAGE_ID, listing()), (SENT_BY_MARKER, listing()), (DRAFTS_BY_MARKER, listing()))
    result = play(resolve(ME, READY, MARKER), *script).result
    assert isinstance(result, Unknown)
    assert result.looked


def test_recipients_are_handed_to_the_look() -> None:
    copy = listing(message("BBk=", to="x@y.example"))
    result = play(resolve(ME, READY, MARKER, ["x@y.example"]), (BY_ID, GONE), (SENT_BY_MESSAGE_ID, copy)).result
    assert isinstance(result, Sent)
    assert result.remote_id == "BBk="


def test_a_look_without_an_answer_does_not_count() -> None:
    result = play(resolve(ME, READY, MARKER), (BY_ID, answer(503))).result
    assert isinstance(result, Unknown)
    assert not result.looked


def test_a_look_that_needs_a_person_holds_the_lane() -> None:
    result = play(resolve(ME, READY, MARKER), (BY_ID, refused(401, "InvalidAuthenticationToken"))).result
    assert isinstance(result, Held)
    assert result.lane


def test_an_attempt_without_a_draft_is_swept_and_begins_anew() -> None:
    draft = listing(message("AAk=", draft=True, marker=MARKER))
    result = play(resolve(ME, {}, MARKER), (DRAFTS_BY_MARKER, draft), (DELETE, answer(204))).result
    assert isinstance(result, Deferred)
    assert result.retry_after == timedelta()


def test_a_draft_that_misses_attachments_is_deleted_and_never_sent() -> None:
    result = play(resolve(ME, NOTED | {"ready": "no"}, MARKER), (DELETE, answer(204))).result
    assert isinstance(result, Deferred)


def test_a_sweep_that_does_not_succeed_is_deferred() -> None:
    draft = listing(message("AAk=", draft=True, marker=MARKER))
    assert isinstance(play(resolve(ME, {}, MARKER), (DRAFTS_BY_MARKER, draft), (DELETE, answer(500))).result, Deferred)
    assert isinstance(play(resolve(ME, {}, MARKER), (DRAFTS_BY_MARKER, lost(sent=True))).result, Deferred)


# ---- orphans


def test_only_drafts_with_exactly_our_marker_are_orphans() -> None:
    drafts = listing(
        message("AAk=", draft=True, marker=MARKER),
        message("BBk=", draft=True, marker=MARKER + "0"),
        message("CCk=", draft=True),
        message("DDk=", draft=False, marker=MARKER),
    )
    assert play(orphans(ME, MARKER), (DRAFTS_BY_MARKER, drafts)).result == ("AAk=",)


def test_orphans_that_can_not_be_listed_are_trouble() -> None:
    assert isinstance(play(orphans(ME, MARKER), (DRAFTS_BY_MARKER, answer(429))).result, Deferred)
