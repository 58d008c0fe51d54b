"""The console: its areas, and what is around every page."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.types import Scope

from mailroom.console import (
    accounts,
    aliases,
    applications,
    audit_log,
    conversations,
    cutover,
    destinations,
    doctor,
    doctor_odoo,
    domains,
    errors,
    explaining,
    exports,
    incoming,
    installation,
    me,
    messages,
    odoo_setup,
    overview,
    presets,
    quarantine,
    routing,
    servers,
    signin,
    static_files,
    support,
    suppressions,
    symptoms,
    tokens,
    users,
    webhooks,
)
from mailroom.console.door import Door
from mailroom.console.headers import ALWAYS
from mailroom.console.house import House
from mailroom.console.visitor import protected, visitor
from mailroom.edge import Edge, Rules
from mailroom.objects import Role

MAX_BODY = 1024 * 1024
"""Bytes of any form without files."""
MAX_FILES = 21 * 1024 * 1024
"""Bytes of a form with files; they lie in a file while it is read."""
WITH_FILES = re.compile(r"/conversations/[^/]+/answer|/routing|/doctor/message|/cutover/preview")


@dataclass(frozen=True, slots=True)
class Area:
    """One entry of the navigation, and the pages behind it."""

    title: str
    path: str
    """Where it begins; the entry is marked on every page below."""
    icon: str
    """A symbol of static/icons.svg."""
    router: APIRouter
    role: Role = Role.VIEWER
    """Who sees the entry; the routes themselves say who may use them."""
    group: str = ""
    """The heading above it in the navigation."""


AREAS: tuple[Area, ...] = (
    Area("Overview", "/", "speedometer2", overview.router),
    Area("Messages", "/messages", "envelope", messages.router),
    Area("Conversations", "/conversations", "inbox", conversations.router),
    Area("Quarantine", "/quarantine", "funnel", quarantine.router),
    Area("What would happen?", "/routing", "question-circle", routing.router, Role.OPERATOR),
    Area("Suppressions", "/suppressions", "shield-slash", suppressions.router),
    Area("Doctor", "/doctor", "check-circle", doctor.router),
    Area("Accounts", "/accounts", "plug", accounts.router, Role.ADMIN, "Settings"),
    Area("Outgoing servers", "/servers", "send", servers.router, group="Settings"),
    Area("Incoming servers", "/incoming", "download", incoming.router, group="Settings"),
    Area("Applications", "/applications", "grid", applications.router, Role.ADMIN, "Settings"),
    Area("Cut-over", "/cutover", "arrow-right", cutover.router, Role.ADMIN, "Settings"),
    Area("Destinations", "/destinations", "inbox", destinations.router, Role.ADMIN, "Settings"),
    Area("Aliases", "/aliases", "envelope", aliases.router, Role.ADMIN, "Settings"),
    Area("Alias domains", "/domains", "globe", domains.router, Role.ADMIN, "Settings"),
    Area("API tokens", "/tokens", "key", tokens.router, Role.ADMIN, "Settings"),
    Area("Webhooks", "/webhooks", "broadcast", webhooks.router, Role.ADMIN, "Settings"),
    Area("Users", "/users", "people", users.router, Role.ADMIN, "Settings"),
    Area("Audit log", "/audit", "journal-text", audit_log.router, Role.ADMIN, "Settings"),
)
"""All pages for people who are signed in, in the order of the navigation. A new area is a module and a line here."""

OWN: tuple[APIRouter, ...] = (
    me.router,
    exports.router,
    presets.router,
    odoo_setup.router,
    explaining.router,
    doctor_odoo.router,
    support.router,
    symptoms.router,
    installation.router,
)
"""Pages for people who are signed in that the navigation does not name."""

OPEN: tuple[APIRouter, ...] = (static_files.router, signin.router)
"""What is there for everybody: files, and the pages of the sign-in."""
OPEN_PATHS = ("/static/", "/signin", "/setup/", "/welcome/")
"""Where they are; nowhere else is a body read before it is known who sends it."""
MAX_OPEN = 16 * 1024
"""Bytes of a form there."""


def make_console(house: House, door: Door) -> FastAPI:
    """The pages as an application of their own, which `wiring` puts beside the API. Blocking: templates and files are read."""
    app = FastAPI(title="Mailroom", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.house, app.state.door, app.state.areas = house, door, AREAS
    app.state.admit = visitor
    app.state.overview = overview.Overview(house)
    app.state.shelf = support.Shelf()
    errors.install(app)
    for router in OPEN:
        app.include_router(router)
    for router in (*OWN, *(area.router for area in AREAS)):
        app.include_router(router, dependencies=[Depends(protected)])
    app.add_middleware(Edge, rules=Rules(headers=lambda _: ALWAYS, limit=_limit, too_large=errors.too_large, admit=_admit))
    static_files.static_files()
    return app


def _limit(scope: Scope) -> int:
    if scope["path"].startswith(OPEN_PATHS):
        return MAX_OPEN
    return MAX_FILES if WITH_FILES.fullmatch(scope["path"]) else MAX_BODY


async def _admit(request: Request) -> None:
    if not request.url.path.startswith(OPEN_PATHS):
        await request.app.state.admit(request)
