"""The support bundle: made, looked at, and then saved as it was shown."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import token_urlsafe
from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Role
from mailroom.support.bundle import MOST_MAILS, Bundle, Wanted
from mailroom.support.desk import Busy
from mailroom_core.errors import ConfigError, VaultError

router = APIRouter(prefix="/support", dependencies=[Depends(at_least(Role.ADMIN))])
Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
KEPT = 4
"""Bundles that were shown and not saved yet."""
PATIENCE = timedelta(minutes=30)


@dataclass(slots=True)
class Shelf:
    """What was shown, for as long as it may be saved; in memory alone."""

    _kept: OrderedDict[str, tuple[str, datetime, bytes]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def put(self, owner: str, now: datetime, content: bytes) -> str:
        key = token_urlsafe(16)
        with self._lock:
            self._kept[key] = (owner, now, content)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return key

    def get(self, key: str, owner: str, now: datetime) -> bytes | None:
        with self._lock:
            kept = self._kept.get(key)
        return kept[2] if kept and kept[0] == owner and now - kept[1] <= PATIENCE else None


def _form(request: Request, wanted: Wanted, *, status: int = 200, error: str = "") -> Response:
    return page(request, "support.html", status=status, wanted=wanted, error=error, most=MOST_MAILS)


@router.get("")
def show(request: Request, mail: str = "") -> Response:
    return _form(request, Wanted(mails=(mail,) if mail else ()))


@router.post("/preview")
async def preview(request: Request, house: TheHouse, who: Admin, form: Entered) -> Response:
    """All of it, as it would be saved."""
    mails = tuple(re.split(r"[\s,;]+", str(form.get("mails", "")).strip())) if str(form.get("mails", "")).strip() else ()
    wanted = Wanted(mails=mails, content="content" in form, keep_names="keep_names" in form)
    try:
        made = await house.support.make(wanted, by=who.by)
    except (ConfigError, VaultError, Busy) as problem:
        told, status = str(problem), 503 if isinstance(problem, Busy) else 422
        return await run_in_threadpool(lambda: _form(request, wanted, status=status, error=told))
    return await run_in_threadpool(lambda: page(request, "support_bundle.html", bundle=made, key=_kept(request, house, who, made)))


def _kept(request: Request, house: House, who: Visitor, made: Bundle) -> str:
    shelf: Shelf = request.app.state.shelf
    return shelf.put(who.name, house.clock(), made.zip())


@router.get("/of/{key}")
def save(request: Request, house: TheHouse, who: Admin, key: str) -> Response:
    shelf: Shelf = request.app.state.shelf
    content = shelf.get(key, who.name, house.clock())
    if content is None:
        raise HTTPException(404, "This bundle is not kept any more; make it again on the page Support bundle")
    headers = {"Content-Disposition": 'attachment; filename="mailroom-support.zip"', "Content-Security-Policy": "sandbox"}
    return Response(content, media_type="application/zip", headers=headers)
