"""A search as a table for a spreadsheet: made step by step, stopped when one likes, saved at the end, gone after a day."""

from __future__ import annotations

import csv
import io
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from starlette.datastructures import QueryParams
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from mailroom.console.exporting import Export, Piece
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import fragment, page
from mailroom.console.search_form import Search, search_of
from mailroom.console.visitor import Visitor, visitor
from mailroom.console.words import word_of
from mailroom.ports import Found
from mailroom_core.model import show_id

router = APIRouter(prefix="/me/exports")
Me = Annotated[Visitor, Depends(visitor)]
AT_ONCE = 500
"""Deliveries that are read together."""
_COLUMNS = ("accepted", "id", "recipient", "sender", "subject", "state", "answer", "application", "server", "message_id", "tags")


@router.get("")
def show(request: Request, house: TheHouse, me: Me) -> HTMLResponse:
    return page(request, "exports.html", exports=house.exports.of(me.name))


@router.post("")
def begin(house: TheHouse, me: Me, query: Annotated[str, Form(max_length=4000)] = "") -> Response:
    search = _search(query)
    head = "\ufeff".encode() + _line(_COLUMNS)  # so that Excel takes it for UTF-8
    made = house.exports.begin(me.name, f"mail-{house.clock():%Y-%m-%d}.csv", search.address(), head)
    return RedirectResponse(f"/me/exports/{made.id}", 303)


@router.get("/{id}")
def one(request: Request, house: TheHouse, me: Me, id: str) -> HTMLResponse:
    export, _ = house.exports.lines_of(id, me.name)
    return page(request, "export.html", export=export, search=_search(export.query))


@router.post("/{id}/step")
def step(request: Request, house: TheHouse, me: Me, id: str) -> HTMLResponse:
    """About a second of it; the answer asks for the next one by itself."""
    export, _ = house.exports.lines_of(id, me.name)
    return _progress(request, house.exports.go_on(id, me.name, _piece(house, _search(export.query))))


@router.post("/{id}/stop")
def stop(request: Request, house: TheHouse, me: Me, id: str) -> HTMLResponse:
    return _progress(request, house.exports.stop(id, me.name))


@router.post("/{id}/remove")
def remove(house: TheHouse, me: Me, id: str) -> Response:
    house.exports.remove(id, me.name)
    return RedirectResponse("/me/exports", 303)


@router.get("/{id}/mail.csv")
def download(house: TheHouse, me: Me, id: str) -> Response:
    export, file = house.exports.lines_of(id, me.name)
    if export.state == "going":
        raise HTTPException(409, "This table is still growing: wait for its end, or stop it, and save what it has by then")
    return FileResponse(file, media_type="text/csv; charset=utf-8", filename=export.name)


def _progress(request: Request, export: Export) -> HTMLResponse:
    return HTMLResponse(fragment(request, "export_progress.html", export=export, search=_search(export.query)))


def _search(query: str) -> Search:
    search = search_of(QueryParams(parse_qsl(query)))
    if search.mistakes:
        raise HTTPException(422, " ".join(search.mistakes))
    return search


def _piece(house: House, search: Search) -> Piece:
    def piece(after: str) -> tuple[bytes, int, str]:
        found, next = house.store.find(search.query, limit=AT_ONCE, after=after)
        return b"".join(_line(_row(each)) for each in found), len(found), next

    return piece


def _row(each: Found) -> tuple[str, ...]:
    mail, delivery = each.message, each.delivery
    return (
        f"{mail.accepted_at:%Y-%m-%d %H:%M:%S}",
        show_id(mail.id),
        delivery.recipient,
        mail.header_from,
        mail.subject,
        word_of(mail, delivery.state).name,
        str(delivery.reply or ""),
        mail.application,
        delivery.server,
        mail.header_message_id,
        " ".join(mail.tags),
    )


def _line(cells: tuple[str, ...]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow([_harmless(cell) for cell in cells])
    return out.getvalue().encode("utf-8", "replace")


def _harmless(cell: str) -> str:
    """A spreadsheet must not take a subject for a formula (OWASP, CSV Injection)."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell
