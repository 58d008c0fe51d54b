"""The audit log: what people and programs have changed, and who it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

PEOPLE = {"cli": "{} (command line)", "token": "the token {}", "user": "{}"}
"""Who changes things on purpose, as `user:anna@example.com`, and how that is said in a sentence. Whatever else has a name in `by` is a
rule of the gateway, which the story of a mail tells of, and not the audit log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row. Secrets are never in it."""

    id: int
    at: datetime
    by: str
    what: str
    """`add`, `change`, `remove`, `retry`, `sign in` ..."""
    kind: str
    """What kind of thing it was done to: `server`, `application`, `suppression`, `mail`, `lane`, `user` ..."""
    name: str
    before: str = ""
    """What was, in short."""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A selection of changes. All that is given must be so."""

    by: str = ""
    kind: str = ""
    name: str = ""
    what: str = ""
    since: datetime | None = None
    until: datetime | None = None


def is_somebody(by: str) -> bool:
    """Whether it is a person or a program, and no rule."""
    return by.partition(":")[0] in PEOPLE


def told(by: str) -> str:
    """In the words of a sentence."""
    kind, _, name = by.partition(":")
    return PEOPLE[kind].format(name) if kind in PEOPLE else by
