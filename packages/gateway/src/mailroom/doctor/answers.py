"""Questions to the name server and what came back, as values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    FOUND = "found"
    EMPTY = "no such record"
    """The name exists, with records of other types at most."""
    NO_NAME = "no such name"
    TROUBLE = "trouble"
    """The name server says that it can't tell: SERVFAIL, REFUSED, or something that is no answer."""
    SILENT = "no answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one question brought. `records` are as in a zone file, without quotes for TXT, whose parts are joined."""

    name: str
    type: str
    status: Status
    records: tuple[str, ...] = ()
    alias: str = ""
    """Where a CNAME led to; empty without one."""
    server: str = ""
    """Who has answered."""
    validated: bool = False
    """The name server says that DNSSEC proves it (the AD flag)."""
    trouble: str = ""
    """For TROUBLE and SILENT: in words."""

    @property
    def known(self) -> bool:
        """Whether this tells anything: a name server that fails says nothing about the name."""
        return self.status not in (Status.TROUBLE, Status.SILENT)


Ask = Callable[[str, str], Awaitable[Answer]]
"""A name and a type of records; raises nothing."""


def plain(name: str) -> str:
    """A name as it is compared: lower case, without the dot at its end."""
    return name.strip().rstrip(".").lower()


def within(name: str, domain: str) -> bool:
    """Whether a name is the domain or below it."""
    return name == domain or name.endswith(f".{domain}")
