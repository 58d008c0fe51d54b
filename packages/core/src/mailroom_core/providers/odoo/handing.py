"""Handing over one mail."""

from __future__ import annotations

from mailroom_core.flow import Flow, NoResponse, ask
from mailroom_core.mime.source import Streamed
from mailroom_core.model import Held, Outcome, Reply, Sent, Trouble
from mailroom_core.providers.odoo.login import Login
from mailroom_core.providers.odoo.problems import judge, no_answer
from mailroom_core.providers.odoo.wire import NO_VALUES, Failure, Values, json2, json_result, number, xml_mail, xml_result, xml_rpc


def hand_over(login: Login, mail: Streamed, body: Streamed | None, values: Values = NO_VALUES) -> Flow[Outcome]:
    """`body` is what `wire.json_mail` made of the mail; without one, as for a mail that is not UTF-8, it goes by XML-RPC."""
    try:
        if login.json2 and body is not None:
            response = yield from ask(json2(login, "mail.thread", "message_process", body))
            result = json_result(response)
        else:
            user = yield from sign_in(login)
            if not isinstance(user, int):
                return user
            response = yield from ask(xml_mail(login, user, mail, values))
            result = xml_result(response)
    except NoResponse as problem:
        return no_answer(problem)
    if isinstance(result, Failure):
        return judge(result, response)
    return _taken(response.status, number(result))


def _taken(status: int, record: int) -> Sent:
    """`message_process` returns the number of the record; False for what it has already, for a bounce, and for what its rules refuse;
    None for a loop (mail_thread.py)."""
    if record:
        return Sent(Reply(status, f"Odoo has put it into record {record}"), remote_id=str(record))
    return Sent(Reply(status, "Odoo has taken it and put it into no record: it has it already, it is a bounce, or its rules refuse it"))


def sign_in(login: Login) -> Flow[int | Trouble]:
    """The number of the user, by XML-RPC. Raises NoResponse."""
    response = yield from ask(xml_rpc(login, "common", "authenticate", login.database, login.user, login.key, {}))
    result = xml_result(response)
    if isinstance(result, Failure):
        return judge(result, response)
    text = f"Odoo does not know {login.user} with this key in {login.database}; check both, then run: mailroom destination key"
    return number(result) or Held(Reply(response.status, text), lane=True)
