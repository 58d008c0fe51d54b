"""Lists of messages: `$filter`, `$orderby`, `$top`, `$skip`, `$select`, `$expand` (facts 3.1)."""

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from mailroom_emulator.graph import filters
from mailroom_emulator.graph.call import Call
from mailroom_emulator.graph.errors import GraphError, bad_request
from mailroom_emulator.graph.fields import View, message_json
from mailroom_emulator.graph.filters import Compare, HasProperty, Node
from mailroom_emulator.mailbox import Folder, Mailbox, StoredMessage, property_key

DEFAULT_PAGE = 10
LARGEST_PAGE = 1000
_PATH_SAFE = "/@()'$=:"
_EXPAND_IDS = re.compile(r"id\s+eq\s+'((?:[^']|'')*)'", re.IGNORECASE)


@dataclass(frozen=True)
class Order:
    path: str
    descending: bool


def list_messages(call: Call, folder: Folder | None) -> dict[str, Any]:
    """A page of a folder (or of the whole mailbox), and the link to the next one."""
    node = filters.parse(call.query["filter"]) if call.query.get("filter") else None
    orders = _orders(call.query.get("orderby", ""))
    _check_efficiency(node, orders)
    top, skip = page_size(call), _number(call, "skip", 0)
    found = _ordered(_candidates(call.mailbox, folder, node, orders), orders)
    page = list(itertools.islice(found, skip, skip + top + 1))
    if any(m.damaged for m in page[:top]):
        # One item that can't be converted spoils the whole page (microsoft-graph-docs#2913).
        raise GraphError(500, "ErrorContentConversionFailed", "Content conversion failed.")
    result: dict[str, Any] = {"@odata.context": call.context("messages")}
    if call.query.get("count", "").lower() == "true":
        result["@odata.count"] = sum(1 for _ in _candidates(call.mailbox, folder, node, orders))
    result["value"] = render(call, page[:top])
    if len(page) > top:
        query = {f"${name}": value for name, value in call.query.items() if name not in ("skip", "top")}
        query |= {"$top": str(top), "$skip": str(skip + top)}
        result["@odata.nextLink"] = f"{call.hosts.graph}{quote(call.path, safe=_PATH_SAFE)}?{urlencode(query, quote_via=quote, safe='$')}"
    return result


def page_size(call: Call) -> int:
    top = _number(call, "top", DEFAULT_PAGE)
    if not 1 <= top <= LARGEST_PAGE:
        raise bad_request("The limit of '1000' for Top query has been exceeded.", "ErrorInvalidUrlQuery")
    return top


def render(call: Call, messages: Iterable[StoredMessage]) -> list[dict[str, Any]]:
    return [render_one(call, m) for m in messages]


def render_one(call: Call, message: StoredMessage) -> dict[str, Any]:
    text = (call.preference("outlook.body-content-type") or "").lower() == "text"
    view = View(message, call.immutable, text, call.emulator.blobs)
    result = message_json(view, selected(call))
    expand = call.query.get("expand", "")
    if "singlevalueextendedproperties" in expand.lower():
        wanted = {property_key(i.replace("''", "'")): i for i in _EXPAND_IDS.findall(expand)}
        found = [{"id": k, "value": v} for k, v in _properties(message) if property_key(k) in wanted]
        if found:
            result["singleValueExtendedProperties"] = found
    if re.search(r"\battachments\b", expand, re.IGNORECASE):
        from mailroom_emulator.graph.fields import attachment_json

        result["attachments"] = [attachment_json(a) for a in view.opened.attachments]
    return result


def selected(call: Call) -> list[str]:
    return [name.strip() for name in call.query.get("select", "").split(",") if name.strip()]


def _properties(message: StoredMessage) -> Iterator[tuple[str, str]]:
    """Extended properties, with those that Exchange keeps for every mail (facts 3.8)."""
    content = message.content
    derived = {
        "String 0x1035": content.message_id,
        "String 0x1042": content.in_reply_to,
        "String 0x1039": content.references,
        "String 0x007D": "\r\n".join(f"{name}: {value}" for name, value in content.headers) or None,
    }
    own = {property_key(name) for name in message.properties}
    yield from message.properties.items()
    yield from ((name, value) for name, value in derived.items() if value and property_key(name) not in own)


def _orders(text: str) -> list[Order]:
    orders = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        path, _, direction = item.partition(" ")
        if path.lower() not in filters.READERS:
            raise bad_request(f"Could not find a property named '{path}' on type 'microsoft.graph.message'.", "RequestBroker--ParseUri")
        orders.append(Order(path.lower(), direction.strip().lower() == "desc"))
    return orders


def _check_efficiency(node: Node | None, orders: list[Order]) -> None:
    """What is sorted by must be filtered by, in the same order and before anything else (facts 3.1)."""
    if node is None or not orders:
        return
    named = list(dict.fromkeys(filters.paths(node)))
    if named[: len(orders)] != [o.path for o in orders]:
        raise GraphError(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")


def _candidates(mailbox: Mailbox, folder: Folder | None, node: Node | None, orders: list[Order]) -> Iterator[StoredMessage]:
    """Messages that match, newest first, from an index where the filter names one."""
    for message in _source(mailbox, folder, node):
        if (folder is None or message.folder is folder) and (node is None or filters.matches(node, message)):
            yield message


def _source(mailbox: Mailbox, folder: Folder | None, node: Node | None) -> Iterable[StoredMessage]:
    for part in filters.conjuncts(node):
        match part:
            case Compare("internetmessageid", "eq", str(value)):
                return mailbox.by_internet_id(value)
            case Compare("conversationid", "eq", str(value)):
                return mailbox.by_conversation(value)
            case HasProperty(name, "eq", str(value)):
                return mailbox.by_property(name, value)
            case Compare("isread", "eq", False) if folder is not None:
                return folder.newest_first(unread=True)
    if folder is None:
        return sorted((m for m in mailbox.all_messages() if not m.folder.hidden), key=lambda m: m.place, reverse=True)
    return _in_time(folder, node)


def _in_time(folder: Folder, node: Node | None) -> Iterator[StoredMessage]:
    """The folder newest first, cut down to the time that the filter leaves."""
    low, high = 0, len(folder.order)
    for part in filters.conjuncts(node):
        match part:
            case Compare("receiveddatetime", "ge" | "gt", datetime() as since):
                low = max(low, bisect_left(folder.order, (since.replace(microsecond=0), 0)))
            case Compare("receiveddatetime", "le" | "lt", datetime() as until):
                high = min(high, bisect_left(folder.order, (until + timedelta(seconds=1), 0)))
    for at in range(high - 1, low - 1, -1):
        yield folder.messages[folder.order[at][1]]


def _ordered(found: Iterator[StoredMessage], orders: list[Order]) -> Iterable[StoredMessage]:
    if not orders or orders == [Order("receiveddatetime", True)]:
        return found
    messages = list(found)
    for order in reversed(orders):
        messages.sort(key=lambda m, read=filters.READERS[order.path]: _sortable(read(m)), reverse=order.descending)  # type: ignore[misc]
    return messages


def _sortable(value: object) -> Any:
    return value.lower() if isinstance(value, str) else value


def _number(call: Call, name: str, default: int) -> int:
    text = call.query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise bad_request(f"Invalid value '{text}' for ${name} query option found.", "RequestBroker--ParseUri")
    return int(text)
