"""Large mail: attachments in one piece and in ranges, and everything that can go wrong on the way."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom_core.flow import NoResponse, Note, Request, Response, run
from mailroom_core.model import Deferred, Failed, Held, Outcome, Sent, Unknown
from mailroom_core.providers.graph.large import send_large
from mailroom_core.providers.graph.uploads import LOSSES, RANGE, SESSIONS, SMALL
from tests.unit.graph.mailbox import CREATE, DELETE, GONE, MADE, MARKER, ME, NOTED, SEND, refused
from tests.unit.scripted import Line, Played, answer, body_of, line_of, lost, play

ATTACH = "POST /v1.0/me/messages/AAk=/attachments"
OPEN = "POST /v1.0/me/messages/AAk=/attachments/createUploadSession"
PUT, WHERE = "PUT /up", "GET /up"
OPENED = answer(201, {"uploadUrl": "https://upload.test/up", "nextExpectedRanges": ["0-"]})
DONE = answer(201)
DELETED = (DELETE, answer(204))


@dataclass(frozen=True)
class Zeros:
    """An attachment of zeros, made while it is read."""

    size: int
    name: str = "big.bin"
    content_type: str = "application/octet-stream"
    inline: bool = False
    content_id: str = ""

    def read(self, start: int, length: int) -> bytes:
        assert 0 <= start < start + length <= self.size, "nothing is read beyond the end"
        return bytes(length)


def send(uploads: Sequence[Zeros], *script: Line) -> Played[Outcome]:
    return play(send_large(ME, {"subject": "x"}, uploads, MARKER), (CREATE, MADE), *script)


def ranges_of(played: Played[Outcome]) -> list[str]:
    return [request.headers["content-range"] for request in played.requests if request.method == "PUT"]


def following(*starts: str, name: str = "nextExpectedRanges") -> Response:
    return answer(200, {"ExpirationDateTime": "2026-11-20T12:00:00Z", name: list(starts)})


# ---- the whole


def test_without_attachments_a_large_body_goes_as_it_is() -> None:
    played = send([], (SEND, answer(202)))
    assert isinstance(played.result, Sent)
    assert played.notes == [NOTED | {"ready": "no"}, {"ready": "yes"}]


def test_a_draft_is_ready_only_after_its_last_attachment() -> None:
    played = send([Zeros(5), Zeros(SMALL)], (ATTACH, DONE), (OPEN, OPENED), (PUT, DONE), (SEND, answer(202)))
    assert isinstance(played.result, Sent)
    kinds = ["note" if isinstance(step, Note) else step.method for step in played.log]
    assert kinds == ["POST", "note", "POST", "POST", "PUT", "note", "POST"]


@pytest.mark.parametrize("reply", [answer(429), lost(sent=False), refused(403, "ErrorAccessDenied")])
def test_without_a_draft_nothing_is_attached(reply: Response) -> None:
    played = play(send_large(ME, {}, [Zeros(5)], MARKER), (CREATE, reply))
    assert isinstance(played.result, (Deferred, Held))


def test_an_unanswered_send_is_unknown() -> None:
    assert isinstance(send([], (SEND, lost(sent=True))).result, Unknown)


def test_a_draft_that_is_refused_for_good_is_deleted() -> None:
    assert isinstance(send([], (SEND, refused(403, "ErrorSendAsDenied")), DELETED).result, Failed)


# ---- small attachments


@pytest.mark.parametrize("size", [0, 1, 2, 3, 196_608, 200_000, SMALL - 1])
def test_a_small_attachment_is_one_json_object(size: int) -> None:
    upload = Zeros(size, name="Grüße.png", content_type="image/png", inline=True, content_id="logo@x")
    played = send([upload], (ATTACH, DONE), (SEND, answer(202)))
    assert json.loads(body_of(played.requests[1])) == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "Grüße.png",
        "contentType": "image/png",
        "isInline": True,
        "contentId": "logo@x",
        "contentBytes": base64.b64encode(bytes(size)).decode(),
    }


def test_an_attachment_without_a_content_id_has_none() -> None:
    played = send([Zeros(1)], (ATTACH, answer(200)), (SEND, answer(202)))
    assert "contentId" not in json.loads(body_of(played.requests[1]))


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (lost(sent=True), Deferred),
        (lost(sent=False), Deferred),
        (answer(500), Deferred),
        (answer(429), Deferred),
        (GONE, Deferred),
        (refused(400, "ErrorMessageSizeExceeded"), Failed),
        (refused(401, "InvalidAuthenticationToken"), Held),
    ],
)
@pytest.mark.parametrize("deleted", [answer(204), answer(500), lost(sent=True)])
def test_a_failed_attachment_deletes_the_draft(reply: Response, outcome: type, deleted: Response) -> None:
    played = send([Zeros(5), Zeros(5)], (ATTACH, reply), (DELETE, deleted))
    assert isinstance(played.result, outcome)
    assert played.notes == [NOTED | {"ready": "no"}]


# ---- upload sessions


def test_a_large_attachment_goes_in_ranges_under_4_mb_without_a_token() -> None:
    size = 2 * RANGE + 7
    upload = Zeros(size, inline=True, content_id="logo@x")
    script = ((OPEN, OPENED), (PUT, following("3145728")), (PUT, following(f"{2 * RANGE}-")), (PUT, DONE), (SEND, answer(202)))
    played = send([upload], *script)
    assert isinstance(played.result, Sent)
    assert json.loads(body_of(played.requests[1]))["AttachmentItem"] == {
        "attachmentType": "file",
        "name": "big.bin",
        "size": size,
        "contentType": "application/octet-stream",
        "isInline": True,
        "contentId": "logo@x",
    }
    assert ranges_of(played) == [
        f"bytes 0-{RANGE - 1}/{size}",
        f"bytes {RANGE}-{2 * RANGE - 1}/{size}",
        f"bytes {2 * RANGE}-{size - 1}/{size}",
    ]
    puts = [request for request in played.requests if request.method == "PUT"]
    assert [len(body_of(put)) for put in puts] == [RANGE, RANGE, 7]
    assert not any(put.auth or "prefer" in put.headers for put in puts)
    assert puts[0].url == "https://upload.test/up"


@pytest.mark.parametrize(
    "reply",
    [
        following("3145728"),
        following("3145728-"),
        following("3145728-4000000", "5000000-"),
        following("3145728", name="NextExpectedRanges"),
        answer(202),
        answer(200, {"nextExpectedRanges": []}),
        answer(200, {"nextExpectedRanges": ["soon", "-", "9" * 99, None]}),
    ],
)
def test_every_shape_of_next_expected_ranges_is_read(reply: Response) -> None:
    played = send([Zeros(RANGE + 1)], (OPEN, OPENED), (PUT, reply), (PUT, DONE), (SEND, answer(202)))
    assert ranges_of(played)[1] == f"bytes {RANGE}-{RANGE}/{RANGE + 1}"


def test_a_last_range_that_is_answered_with_200_is_the_end() -> None:
    assert isinstance(send([Zeros(SMALL)], (OPEN, OPENED), (PUT, answer(200)), (SEND, answer(202))).result, Sent)
    assert isinstance(send([Zeros(SMALL)], (OPEN, OPENED), (PUT, following("9999999999")), (SEND, answer(202))).result, Sent)


@pytest.mark.parametrize("loss", [lost(sent=True), answer(500), answer(504)])
def test_a_lost_range_is_resumed_where_the_server_says(loss: Response) -> None:
    script = ((PUT, loss), (WHERE, following("1000-")), (PUT, following(str(RANGE + 1000))), (PUT, DONE), (SEND, answer(202)))
    played = send([Zeros(RANGE + 2000)], (OPEN, OPENED), *script)
    assert isinstance(played.result, Sent)
    assert [each.partition("/")[0] for each in ranges_of(played)] == [
        f"bytes 0-{RANGE - 1}",
        f"bytes 1000-{RANGE + 999}",
        f"bytes {RANGE + 1000}-{RANGE + 1999}",
    ]
    assert not next(request for request in played.requests if request.url.endswith("/up") and request.method == "GET").auth


def test_a_lost_answer_to_the_last_range_that_did_arrive_is_the_end() -> None:
    script = ((PUT, lost(sent=True)), (WHERE, following(str(SMALL))), (SEND, answer(202)))
    assert isinstance(send([Zeros(SMALL)], (OPEN, OPENED), *script).result, Sent)


def test_a_range_that_never_left_is_simply_put_again() -> None:
    script = ((PUT, lost(sent=False)), (PUT, DONE), (SEND, answer(202)))
    assert isinstance(send([Zeros(SMALL)], (OPEN, OPENED), *script).result, Sent)


@pytest.mark.parametrize("silence", [answer(405), answer(200), lost(sent=True)])
def test_where_nobody_tells_the_next_range_a_new_session_is_opened(silence: Response) -> None:
    first = ((OPEN, OPENED), (PUT, lost(sent=True)), (WHERE, silence))
    second = ((OPEN, OPENED), (PUT, following(str(RANGE))), (PUT, DONE), (SEND, answer(202)))
    assert isinstance(send([Zeros(RANGE + 1)], *first, *second).result, Sent)


def test_an_attachment_is_never_there_twice() -> None:
    # The last range may have arrived, and nobody tells: a new session could attach the file a second time.
    played = send([Zeros(SMALL)], (OPEN, OPENED), (PUT, lost(sent=True)), (WHERE, answer(405)), DELETED)
    assert isinstance(played.result, Deferred)


@pytest.mark.parametrize("status", [401, 404, 410])
def test_a_spoilt_session_is_replaced_a_few_times_and_then_the_mail_waits(status: int) -> None:
    again = ((OPEN, OPENED), (PUT, answer(status)))
    assert isinstance(send([Zeros(SMALL)], *again, (OPEN, OPENED), (PUT, DONE), (SEND, answer(202))).result, Sent)
    result = send([Zeros(SMALL)], *(again * SESSIONS), DELETED).result
    assert isinstance(result, Deferred)
    assert "forgot an upload" in result.reply.text


def test_ranges_that_get_lost_again_and_again_end_the_attempt() -> None:
    script = ((PUT, lost(sent=False)),) * (LOSSES + 1)
    assert isinstance(send([Zeros(SMALL)], (OPEN, OPENED), *script, DELETED).result, Deferred)


def test_a_server_that_sends_us_in_circles_ends_the_attempt() -> None:
    there, back = (PUT, following(str(RANGE))), (PUT, following("0"))
    script = [there, back, there, back, there]
    assert isinstance(send([Zeros(2 * RANGE)], (OPEN, OPENED), *script, DELETED).result, Deferred)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(429, retry_after="2"), Deferred),
        (answer(503, retry_after="2"), Deferred),
        (refused(413, "ErrorMessageSizeExceeded"), Failed),
        (answer(413), Held),
        (refused(400, "ErrorInvalidContentRange"), Deferred),
    ],
)
def test_trouble_with_a_range_deletes_the_draft(reply: Response, outcome: type) -> None:
    assert isinstance(send([Zeros(SMALL)], (OPEN, OPENED), (PUT, reply), DELETED).result, outcome)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (lost(sent=True), Deferred),
        (answer(500), Deferred),
        (answer(201), Deferred),
        (answer(201, {"uploadUrl": ""}), Deferred),
        (refused(413, "ErrorMessageSizeExceeded"), Failed),
    ],
)
def test_a_session_that_does_not_open_deletes_the_draft(reply: Response, outcome: type) -> None:
    assert isinstance(send([Zeros(SMALL)], (OPEN, reply), DELETED).result, outcome)


def test_an_upload_into_a_shared_mailbox_that_is_refused_says_why() -> None:
    result = send([Zeros(SMALL)], (OPEN, refused(403, "ErrorAccessDenied")), DELETED).result
    assert isinstance(result, Held)
    assert not result.lane
    assert "shared mailbox" in result.reply.text


def test_where_3_mb_means_mebibytes_the_attachment_goes_in_one_request() -> None:
    small = refused(400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize")
    assert isinstance(send([Zeros(SMALL)], (OPEN, small), (ATTACH, DONE), (SEND, answer(202))).result, Sent)
    assert isinstance(send([Zeros(RANGE)], (OPEN, small), DELETED).result, Held)


# ---- any weather


@settings(max_examples=150)
@given(
    sizes=st.lists(st.integers(min_value=0, max_value=3 * RANGE), max_size=3),
    faults=st.lists(st.sampled_from(["fine", "fine", "lost", "unsent", "500", "401", "429"]), max_size=12),
    tells=st.booleans(),
)
def test_what_is_sent_has_every_attachment_once_and_whole(sizes: list[int], faults: list[str], tells: bool) -> None:
    graph = _Graph(faults, tells=tells)
    outcome = run(send_large(ME, {}, [Zeros(size) for size in sizes], MARKER), graph, lambda note: None)
    if graph.sent:
        assert graph.attached == sizes
    if isinstance(outcome, Sent):
        assert graph.sent
    if isinstance(outcome, (Deferred, Failed, Held)):
        assert not graph.sent


class _Graph:
    """A draft, its attachments and one session, with faults before each answer. A lost answer has done its work."""

    def __init__(self, faults: list[str], *, tells: bool) -> None:
        self.faults, self.tells = faults, tells
        self.attached: list[int] = []
        self.sent = False
        self.got = self.size = 0

    def __call__(self, request: Request) -> Response:
        fault = self.faults.pop(0) if self.faults else "fine"
        if fault == "unsent":
            raise NoResponse("refused", sent=False)
        if fault in ("401", "429"):
            return answer(int(fault))
        response = self._do(request)
        if fault == "lost":
            raise NoResponse("lost", sent=True)
        return answer(500) if fault == "500" else response

    def _do(self, request: Request) -> Response:
        match line_of(request):
            case line if line == CREATE:
                return MADE
            case line if line == ATTACH:
                self.attached.append(len(base64.b64decode(json.loads(body_of(request))["contentBytes"])))
                return DONE
            case line if line == OPEN:
                self.got, self.size = 0, json.loads(body_of(request))["AttachmentItem"]["size"]
                return OPENED
            case line if line == PUT:
                return self._put(request)
            case line if line == WHERE:
                return following(str(self.got)) if self.tells and self.size else answer(404)
            case line if line == SEND:
                self.sent = True
        return answer(204)

    def _put(self, request: Request) -> Response:
        first = int(request.headers["content-range"].split()[1].partition("-")[0])
        if not self.size or first != self.got:
            return answer(404)
        self.got += len(body_of(request))
        if self.got < self.size:
            return following(str(self.got))
        self.attached.append(self.got)
        self.size = 0
        return DONE
