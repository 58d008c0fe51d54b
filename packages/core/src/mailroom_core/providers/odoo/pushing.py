"""Handing over by the add-on `microsoft_graph_mail` (odoo/microsoft_graph_mail/controllers/inbound.py), which says what became of a mail.

It is called with a key of its own, which is good for nothing else in Odoo; the login's user plays no part. A mail has a name, and the
add-on processes it once by that name: what may have been handed over is handed over again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from mailroom_core.errors import MimeError
from mailroom_core.flow import Flow, NoResponse, Request, Response, ask
from mailroom_core.mime.headers import ascii_address
from mailroom_core.mime.source import Streamed
from mailroom_core.model import Failed, Outcome, Reply, Sent
from mailroom_core.providers.odoo.checking import Checked
from mailroom_core.providers.odoo.login import Login
from mailroom_core.providers.odoo.problems import NO_ROUTE, STATUS, Fate, Row, judge, no_answer
from mailroom_core.providers.odoo.wire import NO_VALUES, Failure, Values, number

PATH = "/microsoft_graph_mail/inbound"
REFUSALS: Mapping[int, Row] = {
    **STATUS,
    401: (
        Fate.HOLD,
        "the add-on does not know this key; make a new one in Odoo (General Settings, Microsoft Graph), "
        "then run: mailroom destination key NAME --add-on",
    ),
    403: (Fate.HOLD, "the add-on can't be called from here; ask who runs Odoo, or the proxy before it"),
    404: (
        Fate.HOLD,
        "the add-on Microsoft Graph Mail is not in this database: install it, or take another `api`; "
        "or Odoo does not have the database there, see `url` and `database`",
    ),
    413: (Fate.REFUSE, "the mail is larger than Odoo, or the proxy before it, takes (the add-on: 200 MiB)"),
    415: (Fate.HOLD, "what answers there does not take a mail as message/rfc822: no add-on of ours, or a proxy that changes calls"),
}
"""By status, what the add-on or something before it answers."""
_BOUNCED = "Odoo has taken it as a report about a mail that did not arrive; there is no record"
_REFUSED = "Odoo does not take it, and has told its sender why: they may not write to that alias, or it is none; there is no record"
_DROPPED = "Odoo has made no record of it, says not why, and has told nobody; an app of that Odoo may refuse such mail"
_LOOP = "Odoo has dropped it, because it sees a loop in it: an answer to its own automatic mail, or too many mails of one sender"


def push(login: Login, mail: Streamed, recipients: Sequence[str], name: str, values: Values = NO_VALUES) -> Flow[Outcome]:
    """`login.key` is the add-on's own. `recipients` are those of the envelope; by the same `name` a mail is processed once."""
    headers = {"content-type": "message/rfc822", "idempotency-key": name}
    if to := ", ".join(each for each in map(_plain, recipients) if each):
        headers["x-envelope-to"] = to
    if login.model:
        headers["x-fallback-model"] = login.model
    if values:
        headers["x-default-values"] = json.dumps(values, separators=(",", ":"))
    try:
        response = yield from ask(_request(login, headers, mail))
    except NoResponse as problem:
        return no_answer(problem)
    said = _said(response)
    match response.status, said.get("result"):
        case 200, "created":
            return _taken(said, "Odoo has made {} of it")
        case 200, "updated":
            return _taken(said, "Odoo has put it into {}")
        case 200, "duplicate":
            return _taken(said, "Odoo has it already, in {}", "Odoo has it already")
        case 200, "bounced":
            return Sent(Reply(200, _BOUNCED))
        case 200, "refused":
            return Sent(Reply(200, _REFUSED))
        case 200, "dropped":
            return Failed(Reply(200, _DROPPED))
        case 200, "loop":
            return Failed(Reply(200, _LOOP))
        case _, "no_route":
            return Failed(Reply(response.status, f"{NO_ROUTE} ({_text(said)})"))
        case _, "error":
            return judge(Failure(response.status, _text(said)), response, REFUSALS)
        case 200, _:
            return judge(Failure(200, "the answer is none of the add-on"), response, REFUSALS)
        case _:
            return judge(Failure(response.status, ""), response, REFUSALS)


def reachable(login: Login) -> Flow[Checked]:
    """Whether the add-on is there and knows the key. It refuses what is no mail, and looks at the key before that."""
    try:
        response = yield from ask(_request(login, {"content-type": "text/plain"}, b""))
    except NoResponse as problem:
        return Checked("add-on", str(no_answer(problem).reply), ok=False)
    said = _said(response)
    if response.status == 415 and said.get("result") == "error":
        return Checked("add-on", "the add-on is there, and takes mail with this key")
    return Checked("add-on", str(judge(Failure(response.status, _text(said)), response, REFUSALS).reply), ok=False)


def _request(login: Login, headers: Mapping[str, str], body: bytes | Streamed) -> Request:
    own = {"authorization": f"Bearer {login.key}", "x-odoo-database": login.database}
    return Request("POST", login.at(PATH), {**own, **headers}, body, auth=False)


def _plain(address: str) -> str:
    """As a header of HTTP can say it, in a list with commas; empty where it can't: no alias of Odoo is written so."""
    try:
        plain = ascii_address(address)
    except MimeError:
        return ""
    return plain if plain.isascii() and "," not in plain else ""


def _said(response: Response) -> Mapping[str, object]:
    try:
        value: object = json.loads(response.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(said: Mapping[str, object]) -> str:
    return str(said.get("text", ""))[:300]


def _taken(said: Mapping[str, object], words: str, without: str = "") -> Sent:
    """`without` is what is said where no record is named."""
    model, record = str(said.get("model", ""))[:100], number(said.get("id"))
    if model and record:
        return Sent(Reply(200, words.format(f"{model} {record}")), remote_id=f"{model},{record}")
    return Sent(Reply(200, without or words.format("a record")))
