"""Who has changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from mailroom import audit
from mailroom.api.guard import MayReadObjects
from mailroom.api.messages import Words, within
from mailroom.api.office import TheOffice

router = APIRouter(tags=["Audit log"])
_LAST = 2**63 - 1


class Search(BaseModel):
    """Which changes. All that is given must be so."""

    model_config = ConfigDict(extra="forbid")

    by: Words = ""
    """`cli:<user>`, `token:<name>` or `user:<name>`."""
    kind: Words = ""
    """What was changed: `server`, `application`, `suppression`, `token`, `mail`, `lane`, `user` ..."""
    name: Words = ""
    what: Words = ""
    """`add`, `change`, `remove`, `retry` ..."""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    limit: Annotated[int, Query(ge=1, le=500)] = 50
    cursor: Annotated[str, StringConstraints(max_length=20, pattern="^[0-9]*$")] = ""
    """`next` of the page before."""


class Change(BaseModel):
    at: datetime
    by: str
    what: str
    kind: str
    name: str
    before: str
    """What differs, a line for each field; never a secret."""
    after: str


class Page(BaseModel):
    """Newest first. `next` is the cursor of the next page, empty at the end."""

    items: list[Change]
    next: str


@router.get("/audit")
def changes(token: MayReadObjects, office: TheOffice, search: Annotated[Search, Query()]) -> Page:
    """What people and programs have changed, and who it was."""
    wanted = audit.Wanted(
        by=search.by, kind=search.kind, name=search.name, what=search.what, since=within(search.since), until=within(search.until)
    )
    after = search.cursor and str(min(int(search.cursor), _LAST))
    found, more = office.store.audited(wanted, limit=search.limit, after=after)
    items = [
        Change(at=each.at, by=each.by, what=each.what, kind=each.kind, name=each.name, before=each.before, after=each.after)
        for each in found
    ]
    return Page(items=items, next=more)
