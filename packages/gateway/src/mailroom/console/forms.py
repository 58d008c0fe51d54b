"""Forms over the tables of objects: fields, what was entered, and what is wrong with it, each beside its field."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import ValidationError
from starlette.datastructures import FormData

from mailroom import defaults, tables
from mailroom.objects import MiB, Object
from mailroom_core.errors import ConfigError

Given = dict[str, Any]
"""What stands in a form, by the names of its fields: texts, and True or False for a tick."""


@dataclass(frozen=True, slots=True)
class Field:
    """`kind` is text, password, number, mebibytes, lines (a list, one in each line), values (`name = value`, likewise), choice or tick."""

    name: str
    label: str
    kind: str = "text"
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    """Value and words."""
    required: bool = False
    more: bool = False
    """Seldom needed: it stands under "More", which is open where something in it is wrong."""


async def _entered(request: Request) -> FormData:
    return await request.form()


Entered = Annotated[FormData, Depends(_entered)]


def given_by(fields: Iterable[Field], form: FormData) -> Given:
    """What was entered, to be shown again."""
    return {each.name: each.name in form if each.kind == "tick" else _text(form, each.name) for each in fields}


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def given_of(fields: Iterable[Field], table: Mapping[str, Any]) -> Given:
    """What there is, as a form shows it. `table` has all of its fields."""
    shown: Given = {}
    for each in fields:
        value = table.get(each.name, "")
        match each.kind:
            case "tick":
                shown[each.name] = bool(value)
            case "lines":
                shown[each.name] = "\n".join(value or ())
            case "values":
                shown[each.name] = "\n".join(defaults.lines(value or {}))
            case "mebibytes":
                shown[each.name] = repr((value or 0) / MiB).removesuffix(".0")  # not rounded: what is shown is saved again
            case _:
                shown[each.name] = str(value)
    return shown


SEEN = "seen"
"""A field of each form that changes something: what was there when the form was shown."""


def seen(item: Object) -> Given:
    """Belongs into what a form shows of an object that there is."""
    return {SEEN: hashlib.sha256(repr(tables.write(item)).encode()).hexdigest()[:16]}


def changed_meanwhile(form: FormData, given: Given, item: Object, fields: Sequence[Field], table: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong if somebody else has changed it since the form was shown; whoever saves once more has read that.

    `table` is of what there is by now, for `given_of`.
    """
    was, now = _text(form, SEEN), seen(item)
    given |= now
    if was in ("", now[SEEN]):
        return {}
    there = given_of(fields, table)
    words = {True: "yes", False: "no", "": "empty"}
    other = [each for each in fields if each.kind != "password" and there[each.name] != given[each.name]]
    told = "; ".join(f"{each.label}: {words.get(there[each.name], ', '.join(str(there[each.name]).split(chr(10))))}" for each in other)
    text = "Somebody has changed it since you opened this page; nothing was saved. Save again to put what is below in its place."
    return {"": f"{text} There is now: {told}" if told else text}


def table_of(fields: Sequence[Field], given: Given) -> tuple[dict[str, Any], dict[str, str]]:
    """The table, and what can't be read as what it should be, by field."""
    table: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for each in fields:
        value = given[each.name]
        try:
            table[each.name] = _read(each, value)
        except ConfigError as problem:
            wrong[each.name] = str(problem).removeprefix(f"{each.name}: ")
        except (ValueError, OverflowError):
            wrong[each.name] = f"{value!r} is no number; write digits alone, for example 30"
        if each.required and not value:
            wrong[each.name] = "This is needed"
    return table, wrong


def _read(field: Field, value: Any) -> Any:
    match field.kind:
        case "number":
            return int(value or 0)
        case "mebibytes":
            return int(float(value or 0) * MiB)
        case "lines":
            return [line.strip() for line in value.splitlines() if line.strip()]
        case "values":
            return defaults.read(value.splitlines())
        case _:
            return value


def mistakes(problem: ConfigError | ValidationError, fields: Iterable[Field]) -> dict[str, str]:
    """Each beside its field; under an empty name what belongs to none of them."""
    names = {each.name for each in fields} | {"name"}
    if isinstance(problem, ValidationError):
        said = [(str(each["loc"][-1]) if each["loc"] else "", str(each["msg"])) for each in problem.errors()]
    else:
        said = _apart(str(problem), names)
    found: dict[str, str] = {}
    for name, text in said:
        place = name if name in names else ""
        found[place] = f"{found[place]}; {text}" if place in found else text
    return found


def _apart(text: str, names: Collection[str]) -> list[tuple[str, str]]:
    """`port: 0 is none; ports are 1 to 65535; host: name the server`: what names no field belongs to what was said before."""
    found: list[tuple[str, str]] = []
    for part in text.split("; "):
        name, colon, rest = part.partition(": ")
        if colon and name in names:
            found.append((name, rest))
        else:
            found.append((found[-1][0] if found else "", part))
    return found
