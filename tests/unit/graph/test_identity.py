"""As whom a mailbox may send: what Graph tells, and a question that can't send anything."""

from __future__ import annotations

import json

import pytest

from mailroom_core.model import Deferred, Failed, Held
from mailroom_core.providers.graph.identity import Addresses, Shown, addresses_of, may_open, objection, shown_as
from tests.unit.graph.mailbox import ME, refused
from tests.unit.scripted import answer, body_of, lost, play

WHO = "GET /v1.0/me?$select=mail,userPrincipalName,proxyAddresses"
SEND_MAIL = "POST /v1.0/me/sendMail"
INBOX = "GET /v1.0/me/mailFolders/inbox?$select=id"
MESSAGE = "GET /v1.0/me/messages/AAMk?$select=from,sender"


def test_the_addresses_of_a_mailbox() -> None:
    told = {
        "mail": "Mary@contoso.example",
        "userPrincipalName": "m1@contoso.onmicrosoft.com",
        "proxyAddresses": ["smtp:sales@contoso.example", "SMTP:Mary@contoso.example", "SIP:mary@contoso.example", 7],
    }
    found = play(addresses_of(ME), (WHO, answer(200, told))).result
    assert found == Addresses("mary@contoso.example", ("m1@contoso.onmicrosoft.com", "sales@contoso.example"))
    assert found.has("Sales@contoso.example")
    assert not found.has("tom@contoso.example")


def test_addresses_that_graph_does_not_tell() -> None:
    assert isinstance(play(addresses_of(ME), (WHO, answer(200, {"proxyAddresses": None}))).result, Held)
    assert isinstance(play(addresses_of(ME), (WHO, refused(403, "Authorization_RequestDenied"))).result, Deferred)
    assert isinstance(play(addresses_of(ME), (WHO, lost(sent=False))).result, Deferred)


def test_whether_a_mailbox_is_open() -> None:
    assert play(may_open(ME), (INBOX, answer(200, {"id": "x"}))).result is None
    assert isinstance(play(may_open(ME), (INBOX, refused(403, "ErrorAccessDenied"))).result, Held)


@pytest.mark.parametrize(
    ("reply", "minds"),
    [
        (refused(403, "ErrorSendAsDenied"), Failed),
        (refused(400, "ErrorInvalidRecipients"), None),
        (refused(403, "ErrorAccessDenied"), Held),
    ],
)
def test_a_mail_to_nobody_tells_who_may_not_send_it(reply: object, minds: type | None) -> None:
    played = play(objection(ME, "sales@contoso.example"), (SEND_MAIL, reply))  # type: ignore[arg-type]  # a response
    assert played.result is None if minds is None else isinstance(played.result, minds)
    message = json.loads(body_of(played.requests[0]))["message"]
    assert (message["toRecipients"], message["from"]["emailAddress"]["address"]) == ([], "sales@contoso.example")
    assert not {"ccRecipients", "bccRecipients"} & set(message)


def test_under_which_names_a_mail_was_sent() -> None:
    told = {"from": {"emailAddress": {"address": "Sales@contoso.example"}}, "sender": {"emailAddress": {"address": "tom@contoso.example"}}}
    assert play(shown_as(ME, "AAMk"), (MESSAGE, answer(200, told))).result == Shown("sales@contoso.example", "tom@contoso.example")
    assert play(shown_as(ME, "AAMk"), (MESSAGE, answer(200, {"from": None, "sender": {"emailAddress": 1}}))).result == Shown("", "")
    assert isinstance(play(shown_as(ME, "AAMk"), (MESSAGE, answer(503))).result, Deferred)
