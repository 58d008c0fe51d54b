"""Turns templates into pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.responses import HTMLResponse

from mailroom.console.static_files import address
from mailroom.objects import Role
from mailroom_core.model import MessageId, show_id

_TIMES = re.compile(
    r"(?P<iso>\d{4}-\d\d-\d\d \d\d:\d\d(?P<seconds>:\d\d)?) UTC|(?P<clock>\d\d:\d\d:\d\d) UTC on (?P<day>\d\d [A-Z][a-z]{2})"
)
"""How times stand in the texts of logs and stories."""
UNITS = ("B", "kB", "MB", "GB")


def page(request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> HTMLResponse:
    """An answer made of a template below `templates/`. Blocking, so from a `def` route.

    The template knows `visitor` (None on pages without sign-in), `areas` (the navigation) and `here` (the path) besides `values`.
    """
    return HTMLResponse(fragment(request, template, **values), status, headers)


def fragment(request: Request, template: str, **values: Any) -> Markup:
    """A part of a page, for htmx or for another template. Blocking."""
    known = {
        "visitor": getattr(request.state, "visitor", None),
        "areas": getattr(request.app.state, "areas", ()),
        "here": request.url.path,
    }
    return Markup(_templates().get_template(template).render(known | values))  # noqa: S704  # templates escape


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("mailroom.console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals |= {"way_to": way_to, "static": address, "Role": Role, "version": version("mailroom-gateway")}
    made.filters |= {"moment": moment, "told": told, "size": size, "span": span, "number": number, "message_id": message_id}
    return made


@pass_context
def way_to(context: Context, title: str) -> str:
    """The path of an area that the visitor sees; empty if there is none of that name."""
    visitor = context["visitor"]
    return next((area.path for area in context["areas"] if area.title == title and visitor and visitor.may(area.role)), "")


def moment(at: datetime | None, *, seconds: bool = False) -> Markup:
    """A time as `<time>`: UTC as it is sent, and the reader's own time zone as soon as the script has run, which leaves UTC as its tip."""
    if at is None:
        return Markup("")
    form = Markup('<time datetime="{}" data-local="{}">{}</time>')
    return form.format(
        at.isoformat(timespec="seconds"),
        "seconds" if seconds else "",
        f"{at:%Y-%m-%d %H:%M:%S} UTC" if seconds else f"{at:%Y-%m-%d %H:%M} UTC",
    )


def told(text: str, near: datetime | None = None) -> Markup:
    """A text whose times in UTC become the reader's, as all others. `near` tells the year of a time without one."""
    made, end = Markup(), 0
    for found in _TIMES.finditer(text):
        if (at := _time(found, near)) is not None:
            made += Markup("{}{}").format(text[end : found.start()], moment(at, seconds=bool(found["seconds"])))
            end = found.end()
    return made + Markup("{}").format(text[end:])


def _time(found: re.Match[str], near: datetime | None) -> datetime | None:
    try:
        if found["iso"]:
            return datetime.fromisoformat(found["iso"]).replace(tzinfo=timezone.utc)
        at = near or datetime.now(timezone.utc)
        read = datetime.strptime(f"{at.year} {found['clock']} {found['day']}", "%Y %H:%M:%S %d %b").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return read.replace(year=at.year + 1) if read < at - timedelta(days=180) else read


def size(count: int) -> str:
    """Bytes for people: `3 kB`, `2.4 MB`."""
    amount = float(count)
    for unit in UNITS[:-1]:
        if amount < 1000:
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} {UNITS[-1]}"


def span(length: timedelta) -> str:
    """About how long: `40 seconds`, `3 hours`."""
    seconds = int(length.total_seconds())
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}s"
    return f"{seconds} seconds"


def number(count: int) -> str:
    return f"{count:,}"


def message_id(number_: MessageId) -> str:
    """As people see and type it."""
    return show_id(number_)
