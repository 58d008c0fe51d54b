"""The add-on's endpoint: requests as its controller reads them, answers as it writes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mailroom_core.flow import NoResponse, Response
from mailroom_core.model import Deferred, Failed, Held, Outcome, Sent
from mailroom_core.providers.odoo.login import Login
from mailroom_core.providers.odoo.pushing import push, reachable
from tests.unit.odoo.test_odoo import streamed
from tests.unit.scripted import Played, answer, body_of, lost, play

LOGIN = Login(url="https://odoo.example/", database="shop", user="admin", key="g4te", model="crm.lead")
MAIL = b"From: a@b.example\r\n\r\nGr\xfc\xdfe\r\n"
INBOUND = "POST /microsoft_graph_mail/inbound"


def pushed(response: Response | NoResponse, *to: str, login: Login = LOGIN) -> Played[Outcome]:
    return play(push(login, streamed(MAIL), to or ("info@contoso.example",), "m1"), (INBOUND, response))


def test_a_mail_goes_as_it_is_with_its_envelope_and_its_name() -> None:
    (request,) = pushed(answer(200, {"result": "bounced"}), "info@contoso.example", "sales@contoso.example").requests
    assert body_of(request) == MAIL
    assert request.headers == {
        "content-type": "message/rfc822",
        "authorization": "Bearer g4te",
        "x-odoo-database": "shop",
        "x-envelope-to": "info@contoso.example, sales@contoso.example",
        "x-fallback-model": "crm.lead",
        "idempotency-key": "m1",
    }
    assert not request.auth


def test_the_values_of_a_record_are_json_in_a_header() -> None:
    flow = push(LOGIN, streamed(MAIL), ("info@contoso.example",), "m1", {"team_id": 3, "name": "Größe\r\nX: 1"})
    (request,) = play(flow, (INBOUND, answer(200, {"result": "loop"}))).requests
    assert request.headers["x-default-values"] == '{"team_id":3,"name":"Gr\\u00f6\\u00dfe\\r\\nX: 1"}'


def test_a_header_of_http_says_only_what_it_can() -> None:
    odd = ("jörg@contoso.example", '"a,b"@contoso.example', "not an address", "info@büro.example")
    (request,) = pushed(answer(200, {"result": "bounced"}), *odd, login=replace(LOGIN, model="")).requests
    assert request.headers["x-envelope-to"] == "info@xn--bro-hoa.example"
    assert "x-fallback-model" not in request.headers
    (request,) = pushed(answer(200, {"result": "bounced"}), *odd[:3]).requests
    assert "x-envelope-to" not in request.headers


@pytest.mark.parametrize(
    ("said", "record", "words"),
    [
        ({"result": "created", "model": "crm.lead", "id": 17}, "crm.lead,17", "has made crm.lead 17"),
        ({"result": "updated", "model": "crm.lead", "id": 17}, "crm.lead,17", "put it into crm.lead 17"),
        ({"result": "duplicate", "model": "crm.lead", "id": 17}, "crm.lead,17", "already, in crm.lead 17"),
        ({"result": "duplicate"}, "", "has it already"),
        ({"result": "created", "model": "crm.lead", "id": "17"}, "", "has made a record"),
        ({"result": "created", "id": 17}, "", "has made a record"),
        ({"result": "bounced"}, "", "as a report"),
        ({"result": "refused"}, "", "has told its sender why"),
    ],
)
def test_what_odoo_has_taken_names_its_record(said: object, record: str, words: str) -> None:
    found = pushed(answer(200, said)).result
    assert isinstance(found, Sent)
    assert found.remote_id == record
    assert words in found.reply.text


def error(status: int, text: str) -> Response:
    return answer(status, {"result": "error", "text": text})


NOWHERE = "No alias, no record and no fallback model takes this mail"


@pytest.mark.parametrize(
    ("response", "outcome", "words"),
    [
        (answer(200, {"result": "loop"}), Failed, "sees a loop"),
        (answer(200, {"result": "dropped"}), Failed, "told nobody"),
        (error(422, "X-Default-Values is no JSON object with fields and their values"), Failed, "default value"),
        (answer(422, {"result": "no_route", "text": NOWHERE}), Failed, NOWHERE),
        (error(422, "There is no model 'crm.laed'"), Held, "crm.laed"),
        (error(401, "The key is wrong. Make a new one in Settings"), Held, "destination key NAME --add-on"),
        (error(413, "The mail has more than 209715200 bytes"), Failed, "209715200"),
        (error(415, "Send one mail as message/rfc822"), Held, "proxy"),
        (error(500, "The mail can't be read: too many parts"), Failed, "too many parts"),
        (error(500, 'new row for relation "crm_lead" violates check constraint'), Deferred, "violates"),
        (error(500, "could not serialize access due to concurrent update"), Deferred, "busy"),
        (Response(404, {}, b"<h1>Not Found</h1>"), Held, "install it"),
        (Response(403, {}, b""), Held, "proxy"),
        (Response(413, {}, b"<html>"), Failed, "larger"),
        (Response(303, {}, b""), Held, "`url`"),
        (Response(502, {}, b"bad gateway"), Deferred, "down"),
        (Response(500, {}, b"<html>"), Deferred, "does not know"),
        (Response(200, {}, b"<html>"), Deferred, "none of the add-on"),
        (Response(200, {}, b"[" * 100_000), Deferred, "none of the add-on"),
        (answer(200, [1]), Deferred, "none of the add-on"),
        (answer(200, {"result": "eaten"}), Deferred, "none of the add-on"),
        (lost(sent=True), Deferred, "did not answer"),
        (lost(sent=False), Deferred, "did not answer"),
    ],
)
def test_what_it_has_not_taken_is_tried_again_or_waits_for_a_person(
    response: Response | NoResponse, outcome: type[Outcome], words: str
) -> None:
    found = pushed(response).result
    assert isinstance(found, outcome)
    assert isinstance(found, Held | Failed | Deferred)
    assert words in found.reply.text
    assert not isinstance(found, Held) or found.lane


def test_a_wish_to_wait_is_obeyed() -> None:
    found = pushed(Response(503, {"retry-after": "30"}, b"")).result
    assert isinstance(found, Deferred)
    assert found.retry_after == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("response", "ok", "words"),
    [
        (error(415, "Send one mail as message/rfc822"), True, "takes mail with this key"),
        (Response(415, {}, b"<html>"), False, "proxy"),
        (error(401, "The key is wrong"), False, "--add-on"),
        (Response(404, {}, b"<html>"), False, "install it"),
        (Response(200, {}, b"<html>hello"), False, "does not know"),
        (lost(sent=False), False, "did not answer"),
    ],
)
def test_it_is_tried_out_without_a_mail(response: Response | NoResponse, ok: bool, words: str) -> None:
    played = play(reachable(LOGIN), (INBOUND, response))
    (request,) = played.requests
    assert (body_of(request), request.headers["content-type"]) == (b"", "text/plain")
    assert (played.result.ok, words in played.result.said) == (ok, True), played.result
