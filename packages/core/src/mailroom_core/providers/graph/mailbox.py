"""One mailbox, and the requests that all its conversations are made of.

Ids and filters are percent-encoded: an id may contain `=`, `/` and `+`, and a filter whose `<`, `>`, `+` or `@` are not encoded
finds nothing, without an error (microsoft-graph-docs#4101). Every request asks for immutable ids, because that wish holds for
one request only (Microsoft Graph docs, concepts/outlook-immutable-id.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from mailroom_core.flow import Request, Streamed

IMMUTABLE = {"prefer": 'IdType="ImmutableId"'}


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where its requests go: `base_url` with the version and without a slash at the end, `path` percent-encoded."""

    base_url: str
    path: str

    @classmethod
    def of(cls, graph: str, user: str = "") -> Mailbox:
        """The mailbox of a user (id or address) at `graph`, for example https://graph.microsoft.com; of who signed in if empty."""
        return cls(f"{graph.rstrip('/')}/v1.0", f"/users/{quote(user, safe='')}" if user else "/me")

    def url(self, *segments: str, query: Mapping[str, str] | None = None) -> str:
        """An address inside of the mailbox; segments and query values are encoded here."""
        path = "".join(f"/{quote(segment, safe='')}" for segment in segments)
        encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in (query or {}).items())
        return f"{self.base_url}{self.path}{path}" + (f"?{encoded}" if encoded else "")

    def get(self, *segments: str, query: Mapping[str, str]) -> Request:
        return Request("GET", self.url(*segments, query=query), {**IMMUTABLE, "accept": "application/json"})

    def post(self, *segments: str, body: bytes | Streamed = b"", content_type: str = "application/json") -> Request:
        """Without a body the length is said all the same: Graph answers 411 to a POST without it."""
        kind = {"content-type": content_type} if body else {"content-length": "0"}
        return Request("POST", self.url(*segments), {**IMMUTABLE, **kind}, body)

    def post_json(self, *segments: str, fields: Mapping[str, object]) -> Request:
        return self.post(*segments, body=json.dumps(fields).encode("ascii"))

    def patch_json(self, *segments: str, fields: Mapping[str, object]) -> Request:
        return Request("PATCH", self.url(*segments), {**IMMUTABLE, "content-type": "application/json"}, json.dumps(fields).encode("ascii"))

    def delete(self, *segments: str) -> Request:
        return Request("DELETE", self.url(*segments), IMMUTABLE)


def quoted(text: str) -> str:
    """A string literal of an OData filter."""
    return "'" + text.replace("'", "''") + "'"
