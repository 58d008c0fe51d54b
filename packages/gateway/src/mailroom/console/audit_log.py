"""The audit log: who has changed what."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from pydantic import StringConstraints
from starlette.responses import Response

from mailroom.audit import Wanted, told
from mailroom.console.house import TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import at_least
from mailroom.objects import Role

router = APIRouter(prefix="/audit", dependencies=[Depends(at_least(Role.ADMIN))])
PAGE = 50
KINDS = (
    *("account", "server", "application", "alias_domain", "incoming", "destination", "alias", "suppression", "token", "webhook", "user"),
    *("mail", "lane", "conversation", "cutover", "tool", "support bundle"),
)
Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,18}$"), Query()]


@router.get("")
def show(request: Request, house: TheHouse, by: str = "", kind: str = "", name: str = "", after: Cursor = "") -> Response:
    asked = {"by": by.strip(), "kind": kind, "name": name.strip()}
    found, more = house.store.audited(Wanted(by=asked["by"], kind=kind, name=asked["name"]), limit=PAGE, after=after)
    rest = f"/audit?{urlencode({**asked, 'after': more})}" if more else ""
    rows = [(each, told(each.by), each.before.splitlines(), each.after.splitlines()) for each in found]
    return page(request, "audit.html", rows=rows, kinds=KINDS, asked=asked, rest=rest, narrowed=any(asked.values()), after=after)
