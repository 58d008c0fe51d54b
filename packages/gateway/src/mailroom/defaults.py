"""Default values of an alias: what is opened by its mail gets them, where its destination has a use for them.

An Odoo gives them to the record that it makes of the mail, a program gets them beside it, an inbox knows the assignee alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping

from mailroom.objects import Alias, Destination, Directory, InboxTarget, OdooTarget, WebhookTarget
from mailroom_core.errors import ConfigError

Defaults = Mapping[str, object]
ASSIGNEE = "assignee"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
DEEPEST = 4
LONGEST = 4000
"""Characters of all of them as JSON: the add-on gets them in a header."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def of(directory: Directory, destination: str, recipients: Iterable[str]) -> Defaults:
    """Those of the first alias among these recipients that leads to the destination and has some."""
    aliases = (directory.aliases.get(each) for each in recipients)
    return next((each.defaults for each in aliases if each and each.defaults and each.destination == destination), {})


def mistakes(found: Defaults) -> Iterator[str]:
    """What can't be meant, each a sentence."""
    for name, value in found.items():
        if not NAME.fullmatch(name):
            yield f"defaults: {name!r} is no name of a field; write for example team_id"
        elif why := _wrong(value, DEEPEST):
            yield f"defaults: {name}: {why}"
    if not any(_wrong(value, DEEPEST) for value in found.values()) and len(as_json(found)) > LONGEST:
        yield f"defaults: are longer than {LONGEST} characters together; leave some out"


def _wrong(value: object, depth: int) -> str:
    """Empty if it can be said in JSON and in XML-RPC."""
    match value:
        case bool():
            return ""
        case str():
            return "has a control character inside; remove it" if _CONTROL.search(value) else ""
        case int():
            return "" if -(2**31) <= value < 2**31 else f"{value} is too large a number; Odoo takes 32 bits"
        case float():
            return "" if math.isfinite(value) else f"{value} is no number"
        case list() | tuple():
            if not depth:
                return "has lists too deep in lists"
            return next(filter(None, (_wrong(each, depth - 1) for each in value)), "")
        case _:
            return f"{value!r} can't be said; write a text, a number, true or false, or a list of them"


def useless(alias: Alias, destination: Destination) -> str:
    """Why the destination has no use for them; empty if it has, or if there are none."""
    if not alias.defaults:
        return ""
    match destination.target:
        case WebhookTarget():
            return ""
        case OdooTarget(model=model):
            what = "names no `model`, and Odoo's own aliases have their own defaults: name one, or set them in Odoo"
            return "" if model else f"but its destination {destination.name!r} {what}"
        case InboxTarget():
            if set(alias.defaults) == {ASSIGNEE} and isinstance(alias.defaults[ASSIGNEE], str):
                return ""
            return f"but its destination {destination.name!r} is an inbox, which knows {ASSIGNEE} alone, a name"
        case _:
            return f"but its destination {destination.name!r} opens nothing that could have them; leave them out"


def as_json(found: Defaults) -> str:
    """One line of ASCII."""
    return json.dumps(found, separators=(",", ":"))


def lines(found: Defaults) -> list[str]:
    """As people read and write them: `team_id = 3`."""
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in found.items()]


def read(lines: Iterable[str]) -> dict[str, object]:
    """Of lines such as `team_id = 3`. What is no JSON is a text. Raises ConfigError."""
    found: dict[str, object] = {}
    for line in filter(None, map(str.strip, lines)):
        name, equals, text = (each.strip() for each in line.partition("="))
        if not (name and equals and text):
            raise ConfigError(f"defaults: {line!r} can't be read; write NAME = VALUE, for example team_id = 3")
        if name in found:
            raise ConfigError(f"defaults: {name} is there twice; leave one of them out")
        found[name] = _value(text)
    return found


def _value(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value
