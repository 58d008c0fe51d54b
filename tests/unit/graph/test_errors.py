"""Every row of the table of Graph's errors, and what no row knows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom_core.flow import NoResponse, Response
from mailroom_core.model import Deferred, Failed, Held, Trouble
from mailroom_core.providers.graph.errors import (
    HOURS,
    NO_MAILBOX,
    ROWS,
    Fate,
    Row,
    error_codes,
    judge,
    may_have_acted,
    no_answer,
    retry_after,
    wants_sign_in,
)
from tests.unit.scripted import answer


def said(status: int, *codes: str, message: str = "", **headers: str) -> Response:
    """An error object with nested codes, outermost first."""
    error: dict[str, object] = {}
    for code in reversed(codes):
        error = {"code": code} | ({"innerError": error} if error else {})
    return answer(status, {"error": error | ({"message": message} if message else {})}, **headers)


def kind_of(trouble: Trouble) -> str:
    match trouble:
        case Deferred(_, wish, lane, unmapped):
            return "deferred" + (" lane" if lane else "") + (" hours" if wish == HOURS else "") + (" unmapped" if unmapped else "")
        case Failed(_, bad_address):
            return "failed" + (" address" if bad_address else "")
        case Held(_, lane):
            return "held" + (" lane" if lane else "")


EXPECTED = {
    Fate.DEFER: "deferred",
    Fate.DEFER_LANE: "deferred lane",
    Fate.DEFER_HOURS: "deferred lane hours",
    Fate.FAIL: "failed",
    Fate.FAIL_ADDRESS: "failed address",
    Fate.HOLD: "held",
    Fate.HOLD_LANE: "held lane",
}


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "ErrorInvalidRecipients", "failed address"),
        (403, "ErrorSendAsDenied", "failed"),
        (400, "ErrorMessageSizeExceeded", "failed"),
        (413, "RequestEntityTooLarge", "held"),
        (400, "ErrorMimeContentInvalidBase64String", "held"),
        (400, "UnableToDeserializePostBody", "held"),
        (400, "InvalidInternetMessageHeader", "held"),
        (400, "InvalidInternetMessageHeaderCollection", "held"),
        (400, "InefficientFilter", "held"),
        (400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", "held"),
        (401, "InvalidAuthenticationToken", "held lane"),
        (403, "ErrorAccessDenied", "held lane"),
        (404, "ErrorInvalidUser", "held lane"),
        (404, "ResourceNotFound", "held lane"),
        (404, "MailboxNotEnabledForRESTAPI", "held lane"),
        (403, "ErrorQuotaExceeded", "held lane"),
        (400, "ErrorExceededMessageLimit", "deferred lane hours"),
        (403, "ErrorExceededMessageLimit", "deferred lane hours"),
        (429, "ErrorExceededMessageLimit", "deferred lane hours"),
        (429, "ApplicationThrottled", "deferred lane"),
        (429, "TooManyRequests", "deferred lane"),
        (429, "activityLimitReached", "deferred lane"),
        (404, "ErrorItemNotFound", "deferred"),
        (409, "ErrorIrresolvableConflict", "deferred"),
        (410, "SyncStateNotFound", "deferred"),
        (410, "resyncRequired", "deferred"),
        (403, "ErrorMessageSubmissionBlocked", "held lane"),
        (403, "ErrorAccountDisabled", "held lane"),
        (403, "ErrorPasswordExpired", "held lane"),
        (403, "ErrorPasswordChangeRequired", "held lane"),
        (404, "ErrorNonExistentMailbox", "held lane"),
        (400, "ErrorVirusDetected", "failed"),
        (400, "ErrorVirusMessageDeleted", "failed"),
        (400, "ErrorMimeContentInvalid", "held"),
        (503, "ErrorServerBusy", "deferred lane"),
        (503, "ErrorMailboxMoveInProgress", "deferred lane"),
        (503, "ErrorMailboxStoreUnavailable", "deferred lane"),
        (503, "ErrorMailboxFailover", "deferred lane"),
        (401, "UnknownError", "held lane"),
        (408, "", "deferred"),
        (409, "", "deferred"),
        (412, "", "deferred"),
        (413, "", "held"),
        (429, "", "deferred lane"),
        (500, "UnknownError", "deferred"),
        (500, "InternalServerError", "deferred"),
        (502, "", "deferred"),
        (503, "serviceNotAvailable", "deferred"),
        (504, "", "deferred"),
        (507, "", "held lane"),
        (509, "", "deferred lane hours"),
        (400, "ErrorBrandNew", "deferred unmapped"),
        (403, "", "deferred unmapped"),
        (404, "", "deferred unmapped"),
        (418, "", "deferred unmapped"),
        (520, "", "deferred unmapped"),
    ],
)
def test_an_error_decides_what_becomes_of_the_mail(status: int, code: str, expected: str) -> None:
    trouble = judge(said(status, code) if code else Response(status))
    assert kind_of(trouble) == expected
    assert (trouble.reply.code, trouble.reply.name) == (status, code)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(map(str, row.codes or row.statuses)))
def test_every_row_is_reached_by_all_its_codes_and_statuses_and_has_a_text_and_a_source(row: Row) -> None:
    responses = [said(400, code) for code in row.codes] + [Response(status) for status in row.statuses]
    assert responses
    for response in responses:
        trouble = judge(response)
        assert kind_of(trouble) == EXPECTED[row.fate]
        assert trouble.reply.text == f"{row.text}; {row.todo}"
    assert len(trouble.reply.text) > 30
    assert len(row.source) > 10


def test_no_code_and_no_status_stands_in_two_rows() -> None:
    names = [key for row in ROWS for key in (*row.codes, *row.statuses)]
    assert len(names) == len(set(names))


def test_the_deepest_code_that_is_known_decides() -> None:
    assert judge(said(403, "ErrorAccessDenied", "ErrorSendAsDenied", "Brand", "New")).reply.name == "ErrorSendAsDenied"


def test_both_spellings_of_inner_error_are_read_and_letter_case_does_not_count() -> None:
    body = {"error": {"code": "x", "innererror": {"code": "errorsendasdenied"}}}
    assert error_codes(answer(403, body)) == ("x", "errorsendasdenied")
    assert judge(answer(403, body)).reply.name == "ErrorSendAsDenied"


def test_the_message_decides_nothing_and_is_shown_in_one_line() -> None:
    trouble = judge(said(429, message="ErrorSendAsDenied:\r\n Access to OData is disabled. " + "x" * 999))
    assert kind_of(trouble) == "deferred lane"
    assert "(Graph: ErrorSendAsDenied: Access to OData is disabled. xxx" in trouble.reply.text
    assert "\n" not in trouble.reply.text
    assert len(trouble.reply.text) < 300


def test_a_closed_mailbox_holds_the_lane_and_says_what_to_do() -> None:
    trouble = judge(said(403, "ErrorAccessDenied", message="Access to OData is disabled."))
    assert kind_of(trouble) == "held lane"
    assert "add the mailbox to what the app may reach" in trouble.reply.text
    assert "for sending only" in trouble.reply.text


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_what_may_have_sent_the_mail_does_not_claim_that_it_is_sent_again(status: int) -> None:
    assert "again" not in judge(said(status)).reply.text


def test_a_missing_send_as_says_how_to_grant_it() -> None:
    assert "Add-RecipientPermission" in judge(said(403, "ErrorSendAsDenied")).reply.text


def test_an_unknown_code_is_named_so_that_the_table_can_learn_it() -> None:
    trouble = judge(said(400, "ErrorBrandNew", "Deeper"))
    assert "400 ErrorBrandNew" in trouble.reply.text
    assert trouble.reply.name == "ErrorBrandNew"


@pytest.mark.parametrize("code", sorted(NO_MAILBOX))
def test_all_names_for_a_missing_mailbox_are_in_the_table(code: str) -> None:
    assert kind_of(judge(said(404, code))) == "held lane"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("2.128", 2.128), ("120", 120.0), (" 3 ", 3.0), ("-5", 0.0), ("0", 0.0), ("1e9", 86400.0)],
)
def test_retry_after_is_read_also_as_a_fraction(value: str, seconds: float) -> None:
    assert retry_after(Response(429, {"retry-after": value})) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "-inf", "1e400", "1e30", "Fri, 20 Nov 2026 12:00:00 GMT"])
def test_an_unreadable_retry_after_is_none(value: str) -> None:
    assert retry_after(Response(429, {"retry-after": value})) is None


def test_throttling_hands_on_the_wish() -> None:
    for status in (429, 503):
        trouble = judge(said(status, retry_after="2.128"))
        assert trouble == Deferred(trouble.reply, timedelta(seconds=2.128), lane=True)
    daily = judge(said(429, "ErrorExceededMessageLimit", retry_after="60"))
    assert daily == Deferred(daily.reply, timedelta(seconds=60), lane=True)


@pytest.mark.parametrize(
    ("response", "open_question"),
    [
        (Response(500), True),
        (Response(502), True),
        (Response(503), True),
        (Response(504), True),
        (Response(408), True),
        (Response(520), True),
        (said(500, "UnknownError"), True),
        (said(503, retry_after="5"), False),
        (said(500, "ErrorSendAsDenied"), False),
        (Response(429), False),
        (Response(507), False),
        (Response(509), False),
        (said(400, "ErrorBrandNew"), False),
        (Response(401), False),
    ],
)
def test_some_answers_leave_open_whether_the_mail_went_out(response: Response, open_question: bool) -> None:
    assert may_have_acted(response) is open_question


def test_no_answer_is_deferred_with_its_reason() -> None:
    outcome = no_answer(NoResponse("connection refused", sent=False))
    assert "connection refused" in outcome.reply.text
    assert not outcome.lane


@given(st.integers(min_value=400, max_value=599), st.binary(), st.text())
def test_any_answer_gives_an_outcome(status: int, body: bytes, wish: str) -> None:
    assert kind_of(judge(Response(status, {"retry-after": wish}, body)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "message", "innerError", "innererror"]), inner),
)


@given(json_values)
def test_any_json_gives_an_outcome(value: object) -> None:
    assert kind_of(judge(answer(400, value)))


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "UnknownError", True),
        (403, "ErrorAccessDenied", True),
        (403, "ErrorQuotaExceeded", False),
        (404, "ErrorInvalidUser", False),
    ],
)
def test_it_is_known_where_a_sign_in_is_part_of_the_way_out(status: int, code: str, expected: bool) -> None:
    assert wants_sign_in(judge(said(status, code)).reply) is expected
