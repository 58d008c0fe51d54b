"""The marker: by it we recognise a draft of ours whose id we never came to know.

An orphan is a draft whose creation was answered with silence, so the marker must be in the very request that creates it: a PATCH
afterwards would cost a round trip per mail and could never mark an orphan. A MIME draft can't carry an extended property at its
creation, but it can carry a header, and Exchange keeps a header that it has no other place for as a named property of the set
PS_INTERNET_HEADERS, under the header's name (MS-OXCMAIL 2.2.3.2.29). So one name serves both: a header in MIME, the property of
that header in JSON, and one filter finds either. The name is lower-case because filters compare names by case (Microsoft Graph
docs, api-reference/v1.0/api/singlevaluelegacyextendedproperty-get.md), and Exchange may lower them.

Exchange drops a header in MIME whose name the mailbox has never seen in a JSON message (microsoft-graph-docs-contrib#424):
`probe.probe` makes it known. Should it be lost all the same, an orphan stays in Drafts. It is never sent by us.

The header goes out with the mail: a random-looking word that says nothing, and comes back in bounces.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

from mailroom_core.flow import Streamed
from mailroom_core.providers.graph.mailbox import quoted

HEADER = "x-mailroom-attempt"
PROPERTY = f"String {{00020386-0000-0000-C000-000000000046}} Name {HEADER}"

_PROPERTIES = "singleValueExtendedProperties"

FILTER_ID = f"id eq {quoted(PROPERTY)}"
EXPAND = f"{_PROPERTIES}($filter={FILTER_ID})"
"""Brings the marker along with a message."""


def mark_mime(mime: bytes | Streamed, marker: str) -> bytes | Streamed:
    """The same mail, base64 in and out, with the marker as its first header.

    The header is filled up to a multiple of three bytes, so that its base64 and that of the mail can simply stand in a row; blanks
    in front of a value mean nothing (RFC 5322 2.2).
    """
    line = f"{HEADER}:{marker}\r\n".encode("ascii")
    head = base64.b64encode(line.replace(b":", b":" + b" " * (-len(line) % 3 or 3), 1))
    if isinstance(mime, bytes):
        return head + mime
    chunks = mime.chunks

    def marked() -> Iterator[bytes]:
        yield head
        yield from chunks()

    return Streamed(len(head) + mime.length, marked)


def mark_json(draft: Mapping[str, object], marker: str) -> dict[str, object]:
    """The same draft with the marker among its extended properties."""
    others = draft.get(_PROPERTIES)
    return {**draft, _PROPERTIES: [*(others if isinstance(others, list) else []), {"id": PROPERTY, "value": marker}]}


def marker_filter(marker: str) -> str:
    """An OData filter for the messages that carry exactly this marker."""
    return f"{_PROPERTIES}/Any(ep: ep/id eq {quoted(PROPERTY)} and ep/value eq {quoted(marker)})"


def marker_of(message: Mapping[str, object]) -> str:
    """The marker of a message that was read with `EXPAND`; empty if it has none."""
    properties = message.get(_PROPERTIES)
    for each in properties if isinstance(properties, list) else []:
        if isinstance(each, dict) and str(each.get("id", "")).lower() == PROPERTY.lower():
            return str(each.get("value", "")).strip()
    return ""
