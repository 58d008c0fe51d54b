"""Trying out an Odoo without handing anything over: its version, the user, the rights.

`message_process` looks for the mails that it has, and for what a mail answers, with the rights of the user: only an administrator's see
everything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mailroom_core.flow import Flow, NoResponse, ask
from mailroom_core.model import Deferred, Failed, Held, Trouble
from mailroom_core.providers.odoo.handing import sign_in
from mailroom_core.providers.odoo.login import Login
from mailroom_core.providers.odoo.problems import judge, no_answer
from mailroom_core.providers.odoo.wire import Failure, json2, json_result, number, xml_call, xml_result, xml_rpc

OLDEST, OLDEST_JSON2 = 14, 19


@dataclass(frozen=True, slots=True)
class Checked:
    """One step: what was found, or what to do."""

    step: str
    said: str
    ok: bool = True


def version(login: Login) -> Flow[Checked]:
    """Which Odoo answers there."""
    try:
        response = yield from ask(xml_rpc(login, "common", "version"))
    except NoResponse as problem:
        return Checked("version", f"nothing answers at {login.url} ({problem.why}); is Odoo running, and is that its address?", ok=False)
    result = xml_result(response)
    told = result if isinstance(result, dict) else {}
    name, info = told.get("server_version"), told.get("server_version_info")
    if not isinstance(info, list) or not info:
        said = f"what answers at {login.url} with {response.status} is no Odoo, or its XML-RPC is closed; enter its address without a path"
        return Checked("version", said, ok=False)
    major = number(info[0])
    if major < OLDEST:
        return Checked("version", f"Odoo {name} is too old; {OLDEST} and later are served", ok=False)
    if login.json2 and major < OLDEST_JSON2:
        return Checked("version", f'Odoo {name} has no JSON-2; set the destination\'s api = "xml-rpc"', ok=False)
    return Checked("version", f"Odoo {name}")


def user(login: Login) -> Flow[tuple[Checked, int]]:
    """That user's number; 0 if there is none with this key."""
    try:
        found: int | Trouble = yield from (_owner(login) if login.json2 else sign_in(login))
    except NoResponse as problem:
        found = no_answer(problem)
    if isinstance(found, int):
        return Checked("user", f"{login.user} is user {found} of {login.database}"), found
    return _no("user", found), 0


def rights(login: Login, uid: int) -> Flow[Checked]:
    """Whether the key's owner may hand over: who may look at Odoo's outgoing servers is an administrator."""
    try:
        if login.json2:
            response = yield from ask(json2(login, "ir.mail_server", "search_count", b'{"domain": []}'))
            result = json_result(response)
        else:
            response = yield from ask(xml_call(login, uid, "ir.mail_server", "search_count", []))
            result = xml_result(response)
    except NoResponse as problem:
        return _no("rights", no_answer(problem))
    if isinstance(result, Failure):
        return _no("rights", judge(result, response))
    return Checked("rights", "an administrator, who may hand over")


def _owner(login: Login) -> Flow[int | Trouble]:
    """The user by login, seen with the key; whether the key is that user's own, Odoo tells nobody. Raises NoResponse."""
    domain = [["login", "=", login.user]]
    response = yield from ask(json2(login, "res.users", "search", json.dumps({"domain": domain}).encode()))
    result = json_result(response)
    if isinstance(result, Failure):
        return judge(result, response)
    if not isinstance(result, list) or not result:
        return judge(Failure(401, f"there is no user {login.user}, or the key's owner may not see it"), response)
    return number(result[0])


def _no(step: str, trouble: Deferred | Failed | Held) -> Checked:
    return Checked(step, str(trouble.reply), ok=False)
