"""Reading and changing records of an Odoo, over either of its interfaces.

JSON-2 takes named arguments, with `ids` for the records; XML-RPC takes the records first. What is refused is a ConfigError that says
what to do: nothing here is about a mail that could be tried again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailroom_core.errors import ConfigError
from mailroom_core.flow import Flow, NoResponse, Response, ask
from mailroom_core.model import Trouble
from mailroom_core.providers.odoo.handing import sign_in
from mailroom_core.providers.odoo.login import Login
from mailroom_core.providers.odoo.problems import judge
from mailroom_core.providers.odoo.wire import Failure, json2, json_result, number, xml_result, xml_rpc

Values = Mapping[str, object]
Domain = Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Session:
    """Who asks. `uid` is the user's number, which only XML-RPC needs."""

    login: Login
    uid: int = 0


def opened(login: Login) -> Flow[Session]:
    """Raises ConfigError if Odoo does not know the user."""
    if login.json2:
        return Session(login)
    try:
        found = yield from sign_in(login)
    except NoResponse as problem:
        raise ConfigError(f"Odoo did not answer ({problem.why}); is it running?") from None
    if not isinstance(found, int):
        raise ConfigError(_text(found))
    return Session(login, found)


def read(session: Session, model: str, domain: Domain, fields: Sequence[str], *, limit: int = 0) -> Flow[list[dict[str, object]]]:
    """Records with these fields, archived ones too; a link is the number of its record, or 0. With `limit`, the newest of them. Raises
    ConfigError."""
    arguments: dict[str, object] = {"domain": [list(each) for each in domain], "fields": list(fields), "context": {"active_test": False}}
    if limit:
        arguments |= {"limit": limit, "order": "id desc"}
    found = yield from _called(session, model, "search_read", None, arguments)
    rows = found if isinstance(found, list) else []
    return [{name: _plain(value) for name, value in row.items()} for row in rows if isinstance(row, dict)]


def count(session: Session, model: str, domain: Domain) -> Flow[int]:
    """How many records there are. Raises ConfigError."""
    found = yield from _called(session, model, "search_count", None, {"domain": [list(each) for each in domain]})
    return number(found)


def known_fields(session: Session, model: str) -> Flow[dict[str, tuple[str, ...]]]:
    """The fields that this version has, each with what may be chosen. Raises ConfigError."""
    found = yield from _called(session, model, "fields_get", None, {"attributes": ["type", "selection"]})
    told = found if isinstance(found, dict) else {}
    return {str(name): _choices(each) for name, each in told.items()}


def create(session: Session, model: str, values: Values) -> Flow[int]:
    """Its number. Raises ConfigError."""
    if session.login.json2:
        found = yield from _called(session, model, "create", None, {"vals_list": [dict(values)]})
    else:
        found = yield from _called(session, model, "create", [dict(values)], {})
    made = number(found[0] if isinstance(found, list) and found else found)
    if not made:
        raise ConfigError(f"Odoo has made a record of {model} and did not say which; look at it there")
    return made


def write(session: Session, model: str, ids: Sequence[int], values: Values) -> Flow[None]:
    """Raises ConfigError."""
    if session.login.json2:
        yield from _called(session, model, "write", None, {"ids": list(ids), "vals": dict(values)})
    else:
        yield from _called(session, model, "write", list(ids), {"vals": dict(values)})


def unlink(session: Session, model: str, ids: Sequence[int]) -> Flow[None]:
    """Raises ConfigError, also while something else needs one of them."""
    if session.login.json2:
        yield from _called(session, model, "unlink", None, {"ids": list(ids)})
    else:
        yield from _called(session, model, "unlink", list(ids), {})


def _called(session: Session, model: str, method: str, first: object, arguments: Values) -> Flow[object]:
    """`first` is what XML-RPC wants before the named arguments; None if it wants nothing."""
    login = session.login
    try:
        if login.json2:
            response: Response = yield from ask(json2(login, model, method, json.dumps(arguments).encode()))
            result = json_result(response)
        else:
            before = [] if first is None else [first]
            who = (login.database, session.uid, login.key)
            response = yield from ask(xml_rpc(login, "object", "execute_kw", *who, model, method, before, dict(arguments)))
            result = xml_result(response)
    except NoResponse as problem:
        raise ConfigError(f"Odoo did not answer ({problem.why}); look whether it is running, and begin again") from None
    if isinstance(result, Failure):
        raise ConfigError(f"Odoo refuses to {method} {model}: {_text(judge(result, response))}")
    return result


def _text(trouble: Trouble) -> str:
    return trouble.reply.text


def _plain(value: object) -> object:
    """`[7, "Contoso"]` is how a link is read; False stands for what is empty."""
    if isinstance(value, list) and len(value) == 2 and number(value[0]) and isinstance(value[1], str):
        return value[0]
    return value


def _choices(told: object) -> tuple[str, ...]:
    selection = told.get("selection") if isinstance(told, dict) else None
    return tuple(str(each[0]) for each in selection if isinstance(each, list) and each) if isinstance(selection, list) else ()
