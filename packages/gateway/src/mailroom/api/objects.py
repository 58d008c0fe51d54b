"""What people configure, in the same words and with the same checks as `mailroom apply`."""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import partial
from typing import Annotated, Any, get_type_hints

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, StringConstraints, create_model

from mailroom import tables
from mailroom.api.guard import MayReadObjects, MayWriteObjects
from mailroom.api.mail import Line
from mailroom.api.office import Office, TheOffice
from mailroom.api.problems import Problem
from mailroom.changing import ObjectDesk
from mailroom.objects import (
    CHOICES,
    Directory,
    Object,
    Suppression,
    Token,
    Webhook,
    chosen,
)
from mailroom_core.errors import ConfigError
from mailroom_core.policy.addresses import normalize

router = APIRouter(tags=["Objects"])
Name = Annotated[str, Path(max_length=120)]
Table = dict[str, Any]
PLURALS = {
    "account": "accounts",
    "server": "servers",
    "application": "applications",
    "webhook": "webhooks",
    "alias_domain": "alias-domains",
    "destination": "destinations",
    "alias": "aliases",
    "incoming": "incoming",
}


class Credential(BaseModel):
    """Of an application, for SMTP. The password is shown this once."""

    user: str
    password: str


class Password(BaseModel):
    """Kept in the vault, and never shown."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    password: Annotated[Line, StringConstraints(min_length=1, max_length=1000)]


class Reason(BaseModel):
    """Why an address gets nothing more."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Line, StringConstraints(max_length=300)] = "added by hand"


class Suppressed(BaseModel):
    address: str
    reason: str
    source: str


def shapes() -> list[type[BaseModel]]:
    """What the tables look like, for the description."""
    return [_shape(kind) for kind in tables.KINDS]


def _shape(kind: str) -> type[BaseModel]:
    of = tables.KINDS[kind]
    types = get_type_hints(of)
    choice, words = CHOICES.get(kind, ("", {}))
    wanted: dict[str, Any] = {
        each.name: (types[each.name], ... if (default := tables.default_of(each)) is MISSING else default)
        for each in fields(of)
        if each.name not in {*tables.NOT_IN_TABLE, choice}
    }
    wanted |= {word: (one | None, None) for word, one in words.items()}
    made: type[BaseModel] = create_model(of.__name__, __doc__=of.__doc__, **wanted)
    return made


def _whole(item: Any, kind: str = "") -> Table:
    """The table of an object with its name and its defaults; whether it has a credential, and never which."""
    table: Table = {}
    choice, word = chosen(kind, item)
    for each in fields(item):
        value = getattr(item, each.name)
        if each.name == "key":
            table["credential"] = bool(value)
        elif each.name == choice:
            table[word] = _whole(value)
        else:
            table[each.name] = tables.plain(value)
    return table


def _of(directory: Directory, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = getattr(directory, PLURALS[kind].replace("-", "_"))
    return found


def known(office: Office, kind: str, name: str) -> Any:
    """Blocking. Raises Problem."""
    office.look()
    item = _of(office.directory(), kind).get(name)
    if item is None:
        raise Problem(404, f"There is no {kind.replace('_', ' ')} {name!r}; GET /v1/{PLURALS[kind]} lists those that there are")
    return item


def _desk(office: Office) -> ObjectDesk:
    return ObjectDesk(store=office.store, directory=office.directory, look=office.look, seal=office.seal, key=office.key)


def _by(token: Token) -> str:
    return f"token:{token.name}"


def _check(office: Office, made: Object) -> None:
    if isinstance(made, Webhook):
        office.webhooks.check(made)


def _add_routes(kind: str) -> None:
    """The four verbs for one kind of object."""
    path, words = f"/{PLURALS[kind]}", kind.replace("_", " ")
    shape = {"$ref": f"#/components/schemas/{tables.KINDS[kind].__name__}"}
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": shape}}}}

    def list_all(token: MayReadObjects, office: TheOffice) -> list[Table]:
        office.look()
        return [_whole(item, kind) for _, item in sorted(_of(office.directory(), kind).items())]

    def get(token: MayReadObjects, office: TheOffice, name: Name) -> Table:
        return _whole(known(office, kind, name), kind)

    def put(token: MayWriteObjects, office: TheOffice, name: Name, table: Table) -> Table:
        made = _desk(office).put(kind, name, table, by=_by(token), check=partial(_check, office))
        return _whole(made, kind)

    def delete(token: MayWriteObjects, office: TheOffice, name: Name) -> None:
        known(office, kind, name)
        try:
            _desk(office).remove(kind, name, by=_by(token))
        except ConfigError as problem:
            raise Problem(409, str(problem)) from None

    router.add_api_route(path, list_all, description=f"Every {words}.", name=f"list {kind}")
    router.add_api_route(f"{path}/{{name:path}}", get, description=f"One {words}.", name=f"get {kind}")
    text = f"Add or replace one {words}; what is not given has its default (an account's `read_write`: what it was)."
    router.add_api_route(f"{path}/{{name:path}}", put, methods=["PUT"], description=text, name=f"put {kind}", openapi_extra=body)
    router.add_api_route(
        f"{path}/{{name:path}}", delete, methods=["DELETE"], status_code=204, description=f"Remove one {words}.", name=f"delete {kind}"
    )


@router.post("/applications/{name:path}/credential")
def new_credential(token: MayWriteObjects, office: TheOffice, name: Name) -> Credential:
    """A new password for SMTP; the old one stops working."""
    application = known(office, "application", name)
    password = _desk(office).new_credential(application, by=_by(token))
    return Credential(user=name, password=password)


@router.post("/servers/{name:path}/password", status_code=204)
def new_password(token: MayWriteObjects, office: TheOffice, name: Name, given: Password) -> None:
    """The password of a smarthost with a user. A change of its host, port, security or user drops it."""
    server = known(office, "server", name)
    _desk(office).set_password(server, given.password, by=_by(token))
    office.notify()


@router.post("/incoming/{name:path}/password", status_code=204)
def new_incoming_password(token: MayWriteObjects, office: TheOffice, name: Name, given: Password) -> None:
    """The password of a mailbox by IMAP or POP3 with a user. A change of its host, port, security or user drops it."""
    server = known(office, "incoming", name)
    _desk(office).set_incoming_password(server, given.password, by=_by(token))
    office.notify()


for _kind in PLURALS:
    _add_routes(_kind)


@router.get("/suppressions")
def list_suppressions(token: MayReadObjects, office: TheOffice) -> list[Suppressed]:
    """Every address that gets nothing more."""
    return [Suppressed(address=each.address, reason=each.reason, source=each.source) for each in office.store.suppressions()]


@router.get("/suppressions/{address:path}")
def get_suppression(token: MayReadObjects, office: TheOffice, address: Name) -> Suppressed:
    """Whether an address is suppressed, and why."""
    found = _suppressed(office, address)
    return Suppressed(address=found.address, reason=found.reason, source=found.source)


@router.put("/suppressions/{address:path}")
def put_suppression(token: MayWriteObjects, office: TheOffice, address: Name, reason: Reason) -> Suppressed:
    """Mail to this address is accepted and fails at once, visibly."""
    made = _desk(office).suppress(address, reason.reason, by=_by(token))
    return Suppressed(address=made.address, reason=made.reason, source=made.source)


@router.delete("/suppressions/{address:path}", status_code=204)
def delete_suppression(token: MayWriteObjects, office: TheOffice, address: Name) -> None:
    """Mail to this address leaves again."""
    _desk(office).allow(_suppressed(office, address).address, by=_by(token))


def _suppressed(office: Office, address: str) -> Suppression:
    wanted = normalize(address)
    found = None if "\0" in wanted else office.store.suppressed([wanted]).get(wanted)
    if found is None:
        raise Problem(404, f"{address!r} is not suppressed")
    return found
