"""What an account may do is found out without sending anything."""

from __future__ import annotations

import json

import pytest

from mailroom_core.flow import NoResponse, Response
from mailroom_core.model import Deferred, Held
from mailroom_core.oauth.scopes import Tier
from mailroom_core.providers.graph.marker import HEADER
from mailroom_core.providers.graph.probe import Rights, could_write, may_write, probe, survey
from tests.unit.graph.mailbox import CREATE, DELETE, MADE, ME, refused
from tests.unit.scripted import answer, body_of, lost, play

SEND_MAIL = "POST /v1.0/me/sendMail"
MAY_SEND = (SEND_MAIL, refused(400, "ErrorMimeContentInvalidBase64String"))
BOTH = "Mail.Send Mail.ReadWrite Mail.Send.Shared"


def test_who_may_do_all_is_found_out_in_three_requests_and_leaves_nothing() -> None:
    played = play(probe(ME), MAY_SEND, (CREATE, MADE), (DELETE, answer(204)))
    assert played.result == Rights(Tier.READ_WRITE, shared=False)
    send, create, _ = played.requests
    assert (send.headers["content-type"], body_of(send)) == ("text/plain", b"*")  # no base64: it can't be sent
    fields = json.loads(body_of(create))
    assert fields["internetMessageHeaders"] == [{"name": HEADER, "value": "probe"}]
    assert "toRecipients" not in fields


def test_who_may_only_send_gets_that_tier_whatever_the_scope_says() -> None:
    result = play(probe(ME, BOTH), MAY_SEND, (CREATE, refused(403, "ErrorAccessDenied"))).result
    assert (result.tier, result.shared) == (Tier.SEND, True)
    assert isinstance(result.trouble, Held)


@pytest.mark.parametrize(
    "reply",
    [
        refused(403, "ErrorAccessDenied"),
        refused(401, "InvalidAuthenticationToken"),
        refused(404, "MailboxNotEnabledForRESTAPI"),
        refused(400, "ErrorInvalidUser"),
    ],
)
def test_who_may_not_even_send_has_no_tier_and_is_told_why(reply: Response) -> None:
    result = play(probe(ME, BOTH), (SEND_MAIL, reply)).result
    assert result.tier is None
    assert isinstance(result.trouble, Held)


@pytest.mark.parametrize("reply", [answer(503), answer(429), lost(sent=True), lost(sent=False), refused(403, "ErrorBrandNew")])
def test_without_an_answer_the_scope_is_believed(reply: Response | NoResponse) -> None:
    for scope, first, second in ((BOTH, Tier.READ_WRITE, Tier.READ_WRITE), ("Mail.Send", Tier.SEND, Tier.SEND), ("", None, Tier.SEND)):
        result = play(probe(ME, scope), (SEND_MAIL, reply)).result
        assert (result.tier, isinstance(result.trouble, Deferred)) == (first, True)
        result = play(probe(ME, scope), MAY_SEND, (CREATE, reply)).result
        assert (result.tier, isinstance(result.trouble, Deferred)) == (second, True)


def test_a_draft_that_could_not_be_deleted_is_told() -> None:
    result = play(probe(ME), MAY_SEND, (CREATE, MADE), (DELETE, answer(500))).result
    assert result.tier is Tier.READ_WRITE
    assert isinstance(result.trouble, Deferred)


def test_who_may_change_a_mailbox_is_found_out_by_a_draft_that_is_deleted() -> None:
    assert play(may_write(ME), (CREATE, MADE), (DELETE, answer(204))).result is None
    assert isinstance(play(may_write(ME), (CREATE, refused(403, "ErrorAccessDenied"))).result, Held)


MAY_WRITE = (CREATE, refused(400, "ErrorMimeContentInvalidBase64String"))
DRAFTS = "GET /v1.0/me/mailFolders/drafts?$select=id"


def test_a_survey_finds_out_the_same_and_changes_nothing() -> None:
    played = play(survey(ME, BOTH), MAY_SEND, MAY_WRITE, (DRAFTS, answer(200)))
    assert played.result == Rights(Tier.READ_WRITE, shared=True)
    assert [body_of(each) for each in played.requests] == [b"*", b"*", b""]


@pytest.mark.parametrize(
    ("replies", "tier"),
    [
        (((SEND_MAIL, refused(403, "ErrorAccessDenied")),), None),
        ((MAY_SEND, (CREATE, refused(403, "ErrorAccessDenied"))), Tier.SEND),
        ((MAY_SEND, MAY_WRITE, (DRAFTS, refused(403, "ErrorAccessDenied"))), Tier.SEND),
        ((MAY_SEND, (CREATE, answer(503))), Tier.READ_WRITE),
    ],
)
def test_a_survey_ends_with_what_is_refused(replies: tuple[tuple[str, Response]], tier: Tier | None) -> None:
    result = play(survey(ME, BOTH), *replies).result
    assert result.tier is tier
    assert result.trouble is not None


def test_whether_a_mailbox_could_be_changed_is_found_out_without_a_draft() -> None:
    assert play(could_write(ME), MAY_WRITE, (DRAFTS, answer(200))).result is None
    assert isinstance(play(could_write(ME), (CREATE, refused(403, "ErrorAccessDenied"))).result, Held)
