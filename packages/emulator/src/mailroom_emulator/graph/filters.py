"""`$filter`: the part of OData that mail clients use, parsed into a tree.

or    = and *("or" and)          and   = not *("and" not)          not = ["not"] atom
atom  = "(" or ")" / function / any / path operator literal
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from mailroom_emulator.graph.errors import GraphError
from mailroom_emulator.mailbox import StoredMessage, property_key

_TOKEN = re.compile(
    r"\s*(?:(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?|\d{4}-\d\d-\d\d(?![\d]))|(?P<text>'(?:[^']|'')*')"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w/.]*)|(?P<mark>[(),:]))"
)
_FUNCTIONS = {"startswith", "endswith", "contains"}
_CASE_COUNTS = {"id", "internetmessageid", "conversationid", "parentfolderid"}
_OPERATORS = {"eq", "ne", "gt", "ge", "lt", "le"}

Value = str | bool | float | datetime | None
Reader = Callable[[StoredMessage], "Value | list[str]"]


@dataclass(frozen=True)
class Compare:
    path: str
    operator: str
    value: Value


@dataclass(frozen=True)
class Call:
    function: str
    path: str
    value: str


@dataclass(frozen=True)
class HasProperty:
    """An extended property by id and, if given, value."""

    id: str
    operator: str
    value: str | None


@dataclass(frozen=True)
class And:
    parts: "tuple[Node, ...]"


@dataclass(frozen=True)
class Or:
    parts: "tuple[Node, ...]"


@dataclass(frozen=True)
class Not:
    part: "Node"


Node = Compare | Call | HasProperty | And | Or | Not

READERS: dict[str, Reader] = {
    "id": lambda m: m.id,
    "isread": lambda m: m.is_read,
    "isdraft": lambda m: m.is_draft,
    "subject": lambda m: m.content.subject,
    "internetmessageid": lambda m: m.content.message_id,
    "conversationid": lambda m: m.conversation,
    "receiveddatetime": lambda m: m.received,
    "createddatetime": lambda m: m.created,
    "lastmodifieddatetime": lambda m: m.modified,
    "sentdatetime": lambda m: m.content.date,
    "importance": lambda m: m.content.importance,
    "hasattachments": lambda m: bool(m.content.attachments),
    "parentfolderid": lambda m: m.folder.id,
    "from/emailaddress/address": lambda m: m.content.from_.address if m.content.from_ else "",
    "from/emailaddress/name": lambda m: m.content.from_.name if m.content.from_ else "",
    "sender/emailaddress/address": lambda m: _sender(m),
    "categories": lambda m: list(m.categories),
    "flag/flagstatus": lambda m: m.flag,
}


def _sender(message: StoredMessage) -> str:
    sender = message.content.sender or message.content.from_
    return sender.address if sender else ""


def parse(text: str) -> Node:
    """The tree of a filter; a 400 for what is not one or names an unknown property."""
    parser = _Parser(text)
    node = parser.disjunction()
    parser.end()
    return node


def matches(node: Node, message: StoredMessage) -> bool:
    match node:
        case And(parts):
            return all(matches(p, message) for p in parts)
        case Or(parts):
            return any(matches(p, message) for p in parts)
        case Not(part):
            return not matches(part, message)
        case HasProperty(name, operator, value):
            key = property_key(name)
            found = [v for k, v in message.properties.items() if property_key(k) == key]
            return any(value is None or _compare(v, operator, value) for v in found)
        case Call(function, path, value):
            read = READERS[path](message)
            return any(_call(function, item.lower(), value.lower()) for item in _strings(read))
        case Compare(path, operator, value):
            read = READERS[path](message)
            if isinstance(read, list):
                return any(_compare(item, operator, value) for item in read)
            if isinstance(read, str) and isinstance(value, str) and path not in _CASE_COUNTS:
                return _compare(read.lower(), operator, value.lower())
            return _compare(read, operator, value)


def conjuncts(node: Node | None) -> Iterator[Node]:
    """The parts that must all hold."""
    if isinstance(node, And):
        for part in node.parts:
            yield from conjuncts(part)
    elif node is not None:
        yield node


def paths(node: Node | None) -> Iterator[str]:
    """The properties named, in order."""
    match node:
        case And(parts) | Or(parts):
            for part in parts:
                yield from paths(part)
        case Not(part):
            yield from paths(part)
        case HasProperty():
            yield "singlevalueextendedproperties"
        case Compare(path) | Call(_, path):
            yield path
        case None:
            return


def _strings(value: "Value | list[str]") -> list[str]:
    return value if isinstance(value, list) else [str(value)]


def _call(function: str, text: str, value: str) -> bool:
    if function == "startswith":
        return text.startswith(value)
    return text.endswith(value) if function == "endswith" else value in text


def _compare(left: Value, operator: str, right: Value) -> bool:
    if operator == "eq":
        return left == right
    if operator == "ne":
        return left != right
    if isinstance(left, datetime) and isinstance(right, datetime):
        left, right = left.replace(microsecond=0), right
    elif not (isinstance(left, str) and isinstance(right, str)):
        return False
    assert isinstance(left, (str, datetime))
    return {"gt": left > right, "ge": left >= right, "lt": left < right, "le": left <= right}[operator]  # type: ignore[operator]


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def disjunction(self) -> Node:
        parts = [self._conjunction()]
        while self._accept("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise invalid(f"unexpected '{self._tokens[self._at][1]}'")

    def _conjunction(self) -> Node:
        parts = [self._negation()]
        while self._accept("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negation(self) -> Node:
        if self._accept("not"):
            return Not(self._negation())
        return self._atom()

    def _atom(self) -> Node:
        if self._accept("("):
            node = self.disjunction()
            self._expect(")")
            return node
        name = self._take("name")
        lower = name.lower()
        if lower in _FUNCTIONS:
            self._expect("(")
            path = self._path(self._take("name"))
            self._expect(",")
            value = self._literal()
            self._expect(")")
            return Call(lower, path, str(value))
        if lower.endswith("/any") and lower.startswith(("singlevalueextendedproperties", "categories")):
            return self._any(lower.partition("/")[0])
        path = self._path(name)
        operator = self._take("name").lower()
        if operator not in _OPERATORS:
            raise invalid(f"'{operator}' is not an operator")
        return Compare(path, operator, self._literal())

    def _any(self, collection: str) -> Node:
        self._expect("(")
        variable = self._take("name")
        self._expect(":")
        found: dict[str, tuple[str, str]] = {}
        while True:
            name = self._take("name")
            operator = self._take("name").lower()
            found[name.removeprefix(variable).strip("/").lower()] = (operator, str(self._literal()))
            if not self._accept("and"):
                break
        self._expect(")")
        if collection == "categories":
            operator, value = found.get("", ("eq", ""))
            return Compare("categories", operator, value)
        if "id" not in found:
            raise invalid("an extended property is named by its id")
        operator, value_ = found.get("value", ("eq", None))
        return HasProperty(found["id"][1], operator, value_)

    def _path(self, name: str) -> str:
        if name.lower() not in READERS:
            raise invalid(f"Could not find a property named '{name}' on type 'microsoft.graph.message'.")
        return name.lower()

    def _literal(self) -> Value:
        if self._at >= len(self._tokens):
            raise invalid("a value is missing")
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "time":
            return parse_time(text)
        if kind == "number":
            return float(text)
        words: dict[str, Value] = {"true": True, "false": False, "null": None}
        if text.lower() in words:
            return words[text.lower()]
        raise invalid(f"'{text}' is not a value; strings stand in single quotes")

    def _take(self, kind: str) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != kind:
            raise invalid("the expression is not complete")
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _accept(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][1].lower() == word:
            self._at += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise invalid(f"'{word}' is missing")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise invalid(f"Syntax error at position {at} in '{text}'.")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def parse_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError as error:
        raise invalid(f"'{text}' is not a time") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def invalid(why: str) -> GraphError:
    return GraphError(400, "RequestBroker--ParseUri", f"Invalid filter clause: {why}")
