"""Where an Odoo is, and who hands over."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """`url` is without a path, as a browser shows it; `key` is an API key, or for XML-RPC the user's password."""

    url: str
    database: str
    user: str
    key: str = field(repr=False)
    json2: bool = True
    """By JSON-2; False: by XML-RPC."""
    model: str = ""
    """Takes what no alias of Odoo wants, such as `crm.lead`; empty: that is refused."""

    def at(self, path: str) -> str:
        return self.url.rstrip("/") + path
