"""Requests and answers of Odoo's two interfaces.

JSON-2 (Odoo 19, addons/rpc/controllers/json2.py): a JSON object of keyword arguments; the result is the whole body. A mail is a JSON
string there, which Odoo turns into bytes as UTF-8: what is not UTF-8 can't be said so.
XML-RPC (addons/rpc/controllers/xmlrpc.py; in addons/base before 18): a mail is base64. It can't say `None`: a method that returns it
has done its work, and the answer is a fault.
"""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.parsers.expat import ExpatError
from xmlrpc.client import Binary, Fault, ResponseError, dumps, loads  # expat refuses bombs

from mailroom_core.flow import Request, Response
from mailroom_core.mime.source import Streamed
from mailroom_core.providers.odoo.login import Login

_PLACE = b"the mail"
NO_NONE = "cannot marshal None"
Values = Mapping[str, object]
"""Fields of a record of the login's `model`, if the mail makes one: an alias of Odoo has its own, and what is there already stays
(`message_process` in addons/mail/models/mail_thread.py)."""
NO_VALUES: Values = {}


@dataclass(frozen=True, slots=True)
class Failure:
    """What Odoo says instead of a result. `fault` is the code of XML-RPC."""

    status: int
    text: str
    name: str = ""
    fault: int | None = None


def json2(login: Login, model: str, method: str, body: bytes | Streamed) -> Request:
    headers = {"content-type": "application/json", "authorization": f"bearer {login.key}", "x-odoo-database": login.database}
    return Request("POST", login.at(f"/json/2/{model}/{method}"), headers, body, auth=False)


def json_mail(login: Login, mail: Streamed, values: Values = NO_VALUES) -> Streamed | None:
    """The arguments of `message_process`. None if the mail is not UTF-8. Reads all of the mail, and again when it is sent."""
    named = json.dumps({"model": login.model or False} | ({"custom_values": dict(values)} if values else {}))
    begin, end = f'{named[:-1]}, "message": "'.encode("ascii"), b'"}'

    def chunks() -> Iterator[bytes]:
        yield begin
        decoder = codecs.getincrementaldecoder("utf-8")()
        for chunk in mail.chunks():
            yield json.dumps(decoder.decode(chunk))[1:-1].encode("ascii")
        decoder.decode(b"", final=True)
        yield end

    try:
        return Streamed(sum(len(chunk) for chunk in chunks()), chunks)
    except UnicodeDecodeError:
        return None


def xml_rpc(login: Login, service: str, method: str, *arguments: object) -> Request:
    return _xml(login, service, dumps(arguments, method).encode("utf-8"))  # type: ignore[arg-type]  # a tuple of what it can say


def xml_call(login: Login, uid: int, model: str, method: str, *arguments: object) -> Request:
    return xml_rpc(login, "object", "execute_kw", login.database, uid, login.key, model, method, list(arguments))


def xml_mail(login: Login, uid: int, mail: Streamed, values: Values = NO_VALUES) -> Request:
    """`message_process` with the mail as base64, which is made while it is sent."""
    further = (dict(values),) if values else ()
    whole = xml_call(login, uid, "mail.thread", "message_process", login.model or False, Binary(_PLACE), *further).body
    assert isinstance(whole, bytes)
    begin, _, end = whole.partition(base64.b64encode(_PLACE))

    def chunks() -> Iterator[bytes]:
        yield begin
        rest = b""
        for chunk in mail.chunks():
            data = rest + chunk
            whole_groups = len(data) - len(data) % 3
            rest = data[whole_groups:]
            yield base64.b64encode(data[:whole_groups])
        yield base64.b64encode(rest)
        yield end

    return _xml(login, "object", Streamed(len(begin) + (mail.length + 2) // 3 * 4 + len(end), chunks))


def _xml(login: Login, service: str, body: bytes | Streamed) -> Request:
    return Request("POST", login.at(f"/xmlrpc/2/{service}"), {"content-type": "text/xml"}, body, auth=False)


def json_result(response: Response) -> object | Failure:
    """What the method returned, or why it did not."""
    try:
        value: object = json.loads(response.body)
    except (ValueError, RecursionError):
        return Failure(response.status, "the answer is no JSON")
    if response.status == 200:
        return value
    said = value if isinstance(value, dict) else {}
    return Failure(response.status, str(said.get("message", "")), str(said.get("name", "")))


def xml_result(response: Response) -> object | Failure:
    """The same; None where the method has returned that."""
    if response.status != 200:
        return Failure(response.status, "")
    try:
        (value,), _ = loads(response.body)
    except Fault as fault:
        text = str(fault.faultString)
        return None if NO_NONE in text else Failure(200, text, fault=fault.faultCode if isinstance(fault.faultCode, int) else 1)
    except (ExpatError, ResponseError, ValueError, TypeError, LookupError, AttributeError):
        return Failure(response.status, "the answer is no XML-RPC")
    found: object = value
    return found


def number(result: object) -> int:
    """The number of a record; 0 for everything else, as what answers is not ours to trust."""
    return result if isinstance(result, int) and not isinstance(result, bool) and result > 0 else 0
