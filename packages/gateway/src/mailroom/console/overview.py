"""Is mail leaving?"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from mailroom.console.pages import page

router = APIRouter()


@router.get("/")
def show(request: Request) -> HTMLResponse:
    return page(request, "overview.html")
