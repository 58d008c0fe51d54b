"""An Odoo that has records, over both of its interfaces: as `call_kw` and the controllers of Odoo 19.0 and 16.0 answer."""

from __future__ import annotations

import json
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from mailroom_core.flow import NoResponse, Request, Response
from mailroom_core.providers.odoo.login import Login
from tests.unit.scripted import body_of

KEY, UID = "k3y", 2
SERVER_FIELDS = {
    "name": [],
    "smtp_host": [],
    "smtp_port": [],
    "smtp_authentication": ["login", "certificate", "cli"],
    "smtp_encryption": ["none", "starttls_strict", "starttls", "ssl_strict", "ssl"],
    "smtp_user": [],
    "smtp_pass": [],
    "from_filter": [],
    "sequence": [],
    "active": [],
}


LATER = ("mail.alias.domain", "fetchmail.server")
"""Models that `mail` has since Odoo 17."""


@dataclass
class Records:
    """`tables` are its records, by model and number. Without `mail.alias.domain` among the models it is one before Odoo 17."""

    tables: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    fields: dict[str, list[str]] = field(default_factory=lambda: dict(SERVER_FIELDS))
    refuse: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By model and method, what it says then."""
    dead: bool = False
    calls: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = count(100)

    def login(self, *, json2: bool = True, key: str = KEY) -> Login:
        return Login(url="https://odoo.example", database="shop", user="admin", key=key, json2=json2)

    def http(self, request: Request) -> Response:
        if self.dead:
            raise NoResponse("connection refused", sent=False)
        if request.url.startswith("https://odoo.example/json/2/"):
            return self._json2(request)
        parameters: Any
        parameters, asked = xmlrpc.client.loads(body_of(request))
        if asked == "version":
            return self._xml({"server_version": "19.0", "server_version_info": [19, 0, 0, "final", 0, ""]})
        if request.url.endswith("/common"):
            return self._xml(UID if parameters[2] == KEY else False)
        model, method, first, named = parameters[3:]
        assert parameters[1:3] == (UID, KEY)
        try:
            return self._xml(self.call(str(model), str(method), list(first), dict(named)))
        except ValueError as problem:
            return Response(200, {}, xmlrpc.client.dumps(xmlrpc.client.Fault(2, str(problem))).encode())

    def _xml(self, value: object) -> Response:
        return Response(200, {}, xmlrpc.client.dumps((value,), methodresponse=True).encode())  # type: ignore[arg-type]

    def _json2(self, request: Request) -> Response:
        if request.headers["authorization"] != f"bearer {KEY}":
            return Response(401, {}, json.dumps({"message": "Invalid apikey"}).encode())
        model, method = request.url.rpartition("/json/2/")[2].split("/")
        named = json.loads(body_of(request))
        first = [named.pop("ids")] if "ids" in named else [named.pop("vals_list")] if "vals_list" in named else []
        try:
            return Response(200, {}, json.dumps(self.call(model, method, first, named)).encode())
        except ValueError as problem:
            return Response(422, {}, json.dumps({"message": str(problem)}).encode())

    def call(self, model: str, method: str, first: list[Any], named: dict[str, Any]) -> object:
        self.calls.append((model, method))
        if said := self.refuse.get((model, method)):
            raise ValueError(said)
        if method == "fields_get" and model in LATER and model not in {row["model"] for row in self.tables.get("ir.model", {}).values()}:
            raise ValueError(f"Object {model} doesn't exist")
        table = self.tables.setdefault(model, {})
        match method:
            case "fields_get":
                known = self.fields if model == "ir.mail_server" else {key: [] for row in table.values() for key in row}
                return {name: {"type": "char", "selection": [[each, each] for each in words]} for name, words in known.items()}
            case "search_read":
                assert named["context"] == {"active_test": False}
                found = _matching(table, named["domain"])
                if "limit" in named:
                    assert named["order"] == "id desc"
                    found = sorted(found, reverse=True)[: named["limit"]]
                return [{"id": number} | {name: _read(name, row) for name in named["fields"] if name != "id"} for number, row in found]
            case "search":
                return [number for number, _ in _matching(table, named["domain"])]
            case "search_count":
                return len(_matching(table, named["domain"]))
            case "create":
                made = [next(self._ids) for _ in first[0]]
                table |= dict(zip(made, first[0], strict=True))
                return made
            case "write":
                for number in first[0]:
                    table[number] |= named["vals"]
                return True
            case "unlink":
                for number in first[0]:
                    del table[number]
                return True
        raise AssertionError(method)


def _matching(table: Mapping[int, dict[str, Any]], domain: list[Any]) -> list[tuple[int, dict[str, Any]]]:
    return [(number, row) for number, row in table.items() if all(_fits(number, row, *each) for each in domain)]


def _fits(number: int, row: Mapping[str, Any], name: str, operator: str, value: Any) -> bool:
    mine = number if name == "id" else row.get(name, False)
    match operator:
        case "in":
            return mine in value
        case "<":
            return bool(mine and mine < value)
        case ">":
            return bool(mine and mine > value)
    return bool(mine == value)


def _read(name: str, row: Mapping[str, Any]) -> Any:
    """A link is read with the name of its record."""
    value = row.get(name, False)
    return [value, "its name"] if name.endswith("_id") and value else value
