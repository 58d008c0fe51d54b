"""Odoo: requests as its controllers read them, answers as they write them."""

from __future__ import annotations

import json
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from mailroom_core.flow import NoResponse, Response, Streamed
from mailroom_core.model import Deferred, Failed, Held, Outcome, Sent
from mailroom_core.providers.odoo.checking import Checked, rights, user, version
from mailroom_core.providers.odoo.handing import hand_over
from mailroom_core.providers.odoo.login import Login
from mailroom_core.providers.odoo.wire import json_mail
from tests.unit.scripted import Line, answer, body_of, lost, play

LOGIN = Login(url="https://odoo.example/", database="shop", user="admin", key="k3y")
OLD = replace(LOGIN, json2=False)
MAIL = 'From: a@b.example\r\n\r\nGrüße "quoted"\r\n'.encode()
PROCESS = "POST /json/2/mail.thread/message_process"
COMMON, OBJECT = "POST /xmlrpc/2/common", "POST /xmlrpc/2/object"


def streamed(raw: bytes, size: int = 7) -> Streamed:
    """In chunks that cut characters and groups of three."""

    def chunks() -> Iterator[bytes]:
        return (raw[at : at + size] for at in range(0, len(raw), size))

    return Streamed(len(raw), chunks)


def xml(value: object) -> Response:
    return Response(200, {}, xmlrpc.client.dumps((value,), methodresponse=True).encode())  # type: ignore[arg-type]


def fault(code: int, text: str) -> Response:
    return Response(200, {}, xmlrpc.client.dumps(xmlrpc.client.Fault(code, text)).encode())


def error(status: int, message: str, **headers: str) -> Response:
    return answer(status, {"name": "builtins.ValueError", "message": message, "debug": "Traceback"}, **headers)


def handed(login: Login, *script: Line, raw: bytes = MAIL) -> Outcome:
    mail = streamed(raw)
    return play(hand_over(login, mail, json_mail(login, mail)), *script).result


def test_by_json2_the_mail_is_a_string_that_gives_its_bytes_again() -> None:
    mail = streamed(MAIL)
    played = play(hand_over(LOGIN, mail, json_mail(replace(LOGIN, model="crm.lead"), mail)), (PROCESS, answer(200, 17)))
    (request,) = played.requests
    said = json.loads(body_of(request))
    assert (said["model"], said["message"].encode()) == ("crm.lead", MAIL)
    assert request.headers["authorization"] == "bearer k3y"
    assert request.headers["x-odoo-database"] == "shop"
    assert isinstance(played.result, Sent)
    assert played.result.remote_id == "17"
    assert "k3y" not in repr(LOGIN)


@pytest.mark.parametrize("raw", [MAIL, b"x", b"", MAIL + b"\xff\xfe"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_by_xml_rpc_the_mail_is_base64_that_gives_its_bytes_again(raw: bytes, size: int) -> None:
    played = play(hand_over(OLD, streamed(raw, size), None), (COMMON, xml(2)), (OBJECT, xml(17)))
    parameters, method = xmlrpc.client.loads(body_of(played.requests[1]))
    database, uid, key, model, name, arguments = parameters
    assert (method, database, uid, key, model, name) == ("execute_kw", "shop", 2, "k3y", "mail.thread", "message_process")
    assert arguments[0] is False  # type: ignore[index]
    assert arguments[1].data == raw  # type: ignore[index, union-attr]


def test_what_is_not_utf8_goes_by_xml_rpc() -> None:
    for raw in (b"Subject: Gr\xfc\xdfe\r\n\r\n", b"cut off: \xc3"):
        assert isinstance(handed(LOGIN, (COMMON, xml(2)), (OBJECT, xml(17)), raw=raw), Sent)


@pytest.mark.parametrize("result", [False, None, True, "what?", -1])
def test_a_mail_without_a_record_is_taken_all_the_same(result: object) -> None:
    outcome = handed(LOGIN, (PROCESS, answer(200, result) if result is not None else Response(200, {}, b"null")))
    assert isinstance(outcome, Sent)
    assert (outcome.remote_id, "no record" in outcome.reply.text) == ("", True)


def test_xml_rpc_can_not_say_none_and_the_work_is_done_all_the_same() -> None:
    text = "Traceback ...\nTypeError: cannot marshal None unless allow_none is enabled"
    assert isinstance(handed(OLD, (COMMON, xml(2)), (OBJECT, fault(1, text))), Sent)


NO_ROUTE = "No possible route found for incoming message from a to b (Message-Id <1@x>:)."


@pytest.mark.parametrize(
    ("response", "outcome", "words"),
    [
        (error(401, "Invalid apikey"), Held, "destination key"),
        (error(403, "You are not allowed"), Held, "administrator"),
        (error(404, "the model 'mail.thread' does not exist"), Held, "Discuss"),
        (Response(404, {}, b"<html>"), Held, "`database`"),
        (Response(303, {}, b""), Held, "`url`"),
        (Response(413, {}, b"<html>"), Failed, "larger"),
        (error(422, "missing a required argument"), Failed, "refuses"),
        (error(500, NO_ROUTE), Failed, "no alias of Odoo"),
        (error(500, "Routing: unknown target model crm.laed"), Held, "`model`"),
        (error(500, "ValueError: Invalid field 'teem_id' in 'crm.lead'"), Failed, "default value"),
        (error(500, "ValueError: Wrong value for crm.lead.priority: 7"), Failed, "default value"),
        (error(500, 'insert or update on table "crm_lead" violates foreign key constraint "x"'), Failed, "default value"),
        (error(500, 'FATAL:  database "shop" does not exist\n'), Held, "`database`"),
        (error(500, "could not serialize access due to concurrent update"), Deferred, "busy"),
        (Response(502, {}, b"bad gateway"), Deferred, "down"),
        (Response(504, {}, b""), Deferred, "too long"),
        (error(500, "\n"), Deferred, "does not know"),
        (Response(200, {}, b"<html>"), Deferred, "does not know"),
        (Response(200, {}, b"[" * 100_000), Deferred, "does not know"),
        (answer(500, ["no object"]), Deferred, "does not know"),
    ],
)
def test_errors_of_json2(response: Response, outcome: type[Outcome], words: str) -> None:
    found = handed(LOGIN, (PROCESS, response))
    assert isinstance(found, outcome)
    assert isinstance(found, Held | Failed | Deferred)
    assert words in found.reply.text
    assert not isinstance(found, Held) or found.lane
    assert not isinstance(found, Deferred) or found.unmapped == ("not know" in words)


@pytest.mark.parametrize(("said", "wish"), [("30", 30), ("999999", 86400), ("soon", None), ("-1", None), ("1" * 30, None)])
def test_a_wish_to_wait_is_obeyed(said: str, wish: int | None) -> None:
    found = handed(LOGIN, (PROCESS, error(429, "slow down", retry_after=said)))
    assert isinstance(found, Deferred)
    assert found.retry_after == (None if wish is None else timedelta(seconds=wish))


@pytest.mark.parametrize(
    ("response", "outcome", "words"),
    [
        (fault(1, f"Traceback (most recent call last):\nValueError: {NO_ROUTE}\n"), Failed, "no alias of Odoo"),
        (fault(2, "Object mail.thread doesn't exist"), Held, "Discuss"),
        (fault(2, "The value is wrong"), Failed, "refuses"),
        (fault(3, "Access Denied"), Held, "destination key"),
        (fault(4, "You are not allowed"), Held, "administrator"),
        (fault(1, "Traceback:\n  File x\nKeyError: 1"), Deferred, "(KeyError: 1)"),
        (fault("warning -- what", "x"), Deferred, "does not know"),  # type: ignore[arg-type]  # as /xmlrpc/1 answers
        (Response(200, {}, b"<html>not closed"), Deferred, "no XML-RPC"),
        (Response(200, {}, b"<html></html>"), Deferred, "no XML-RPC"),
        (Response(405, {}, b""), Held, "no Odoo"),
    ],
)
def test_errors_of_xml_rpc(response: Response, outcome: type[Outcome], words: str) -> None:
    found = handed(OLD, (COMMON, xml(2)), (OBJECT, response))
    assert isinstance(found, outcome)
    assert isinstance(found, Held | Failed | Deferred)
    assert words in found.reply.text


def test_an_unknown_user_or_database_holds_everything() -> None:
    for response in (xml(False), fault(1, 'psycopg2.OperationalError: FATAL:  database "shop" does not exist\n')):
        found = handed(OLD, (COMMON, response))
        assert isinstance(found, Held)
        assert found.lane


@pytest.mark.parametrize("sent", [False, True])
def test_no_answer_means_that_it_is_handed_over_again(sent: bool) -> None:
    for found in (handed(LOGIN, (PROCESS, lost(sent=sent))), handed(OLD, (COMMON, lost(sent=sent)))):
        assert isinstance(found, Deferred)
        assert ("Message-ID" in found.reply.text) == sent


def about(major: object, told: str = "19.0") -> Response:
    return xml({"server_version": told, "server_version_info": [major, 0, 0, "final", 0, ""]})


@pytest.mark.parametrize(
    ("login", "response", "ok", "words"),
    [
        (LOGIN, about(19), True, "Odoo 19.0"),
        (LOGIN, about(17, "17.0"), False, "xml-rpc"),
        (OLD, about(14, "14.0"), True, "Odoo 14.0"),
        (OLD, about(13, "13.0"), False, "too old"),
        (OLD, xml("hello"), False, "no Odoo"),
        (OLD, xml({}), False, "no Odoo"),
        (OLD, xml({"server_version_info": []}), False, "no Odoo"),
        (OLD, Response(404, {}, b""), False, "404 is no Odoo"),
        (OLD, lost(sent=False), False, "nothing answers"),
    ],
)
def test_which_odoo_it_is(login: Login, response: Response | NoResponse, ok: bool, words: str) -> None:
    checked = play(version(login), (COMMON, response)).result
    assert (checked.ok, words in checked.said) == (ok, True), checked


SEARCH, SERVERS = "POST /json/2/res.users/search", "POST /json/2/ir.mail_server/search_count"


@pytest.mark.parametrize(
    ("response", "uid", "words"),
    [
        (answer(200, [2]), 2, "user 2 of shop"),
        (answer(200, []), 0, "no user admin"),
        (answer(200, {}), 0, "no user admin"),
        (error(401, "Invalid apikey"), 0, "destination key"),
        (lost(sent=False), 0, "did not answer"),
    ],
)
def test_who_it_is(response: Response | NoResponse, uid: int, words: str) -> None:
    checked, found = play(user(LOGIN), (SEARCH, response)).result
    assert (found, words in checked.said, checked.ok) == (uid, True, bool(uid)), checked


def test_who_it_is_by_xml_rpc() -> None:
    assert play(user(OLD), (COMMON, xml(2))).result == (Checked("user", "admin is user 2 of shop"), 2)


@pytest.mark.parametrize(("response", "ok"), [(answer(200, 0), True), (error(403, "no"), False), (lost(sent=True), False)])
def test_whether_that_user_may(response: Response | NoResponse, ok: bool) -> None:
    assert play(rights(LOGIN, 2), (SERVERS, response)).result.ok is ok


def test_whether_that_user_may_by_xml_rpc() -> None:
    assert play(rights(OLD, 2), (OBJECT, xml(3))).result.ok
    assert not play(rights(OLD, 2), (OBJECT, fault(4, "no"))).result.ok
