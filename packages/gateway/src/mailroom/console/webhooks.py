"""Webhooks: which programs are told what happens, how they are doing, and what they were told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request
from pydantic import StringConstraints, ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.notices import Health, NoticeState
from mailroom.objects import Role, Webhook, WebhookEvent
from mailroom.webhooks.desk import condition
from mailroom_core.errors import ConfigError
from mailroom_core.model import show_id

Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
router = APIRouter(dependencies=[Depends(at_least(Role.ADMIN))])
Text = Annotated[str, Form()]
Cursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{0,19}$"), Query()]
PAGE = 50
TONES = {"fine": "good", "failing": "bad", "paused": "warn", "inactive": "quiet"}
STATES = {NoticeState.WAITING: "busy", NoticeState.DELIVERED: "good", NoticeState.GIVEN_UP: "bad"}
WORDS = {
    WebhookEvent.ACCEPTED: "A mail was accepted",
    WebhookEvent.SENT: "The next server took it",
    WebhookEvent.DEFERRED: "It has to be tried again",
    WebhookEvent.HELD: "It waits for a person",
    WebhookEvent.FAILED: "It was refused for good",
    WebhookEvent.BOUNCED: "It came back",
    WebhookEvent.COMPLAINED: "Its recipient complained",
    WebhookEvent.ACCOUNT_NEEDS_ATTENTION: "An account needs a person",
    WebhookEvent.DOCTOR_CHANGED: "The doctor finds something new at a domain or this installation, or no longer",
}


def _form(**values: Any) -> dict[str, Any]:
    """What every page with the form needs; `given` is what was entered, or what there is."""
    nothing = {"name": "", "url": "", "events": [event.value for event in WORDS], "application": ""}
    return {"words": WORDS, "given": nothing, "error": "", **values}


def _list(request: Request, house: House, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Blocking."""
    house.look()
    directory = house.directory()
    health = house.webhooks.notices.health()
    rows = []
    for name, webhook in sorted(directory.webhooks.items()):
        of = health.get(name, Health())
        word = condition(webhook, of)
        rows.append({"webhook": webhook, "health": of, "word": word, "tone": TONES[word]})
    known = _form(rows=rows, applications=sorted(directory.applications), **values)
    return page(request, "webhooks.html", status=status, **known)


def _one(
    request: Request, house: House, webhook: Webhook, *, status: int = 200, failed: bool = False, after: str = "", **more: Any
) -> Response:
    """Blocking."""
    health = house.webhooks.notices.health().get(webhook.name, Health())
    state = NoticeState.GIVEN_UP if failed else None
    notices, cursor = house.webhooks.notices.notices(webhook.name, state=state, limit=PAGE, after=after)
    word = condition(webhook, health)
    known: dict[str, Any] = {
        "webhook": webhook,
        "health": health,
        "word": word,
        "tone": TONES[word],
        "signed": house.webhooks.has_secret(webhook),
        "notices": notices,
        "states": STATES,
        "next": cursor,
        "failed": failed,
        "tried": None,
        "applications": sorted(house.directory().applications),
    }
    given = {"url": webhook.url, "events": [each.value for each in webhook.events], "application": webhook.application}
    return page(request, "webhook.html", status=status, **_form(**{**known, "given": given, **more}))


def _known(house: House, name: str) -> Webhook:
    """Blocking."""
    house.look()
    found = house.directory().webhooks.get(name)
    if found is None:
        raise HTTPException(404, f"There is no webhook {name[:120]!r}; it may have been removed")
    return found


def _address(name: str) -> str:
    return f"/webhooks/of/{quote(name)}"


def _mistake(problem: ConfigError | ValidationError) -> str:
    if isinstance(problem, ConfigError):
        return str(problem)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problem.errors())[:500]


@router.get("/webhooks")
def show(request: Request, house: TheHouse) -> Response:
    return _list(request, house)


@router.post("/webhooks")
def add(
    request: Request,
    house: TheHouse,
    me: Admin,
    name: Text = "",
    url: Text = "",
    application: Text = "",
    event: Annotated[list[str], Form()] = [],  # noqa: B006  # FastAPI's way to say: none
) -> Response:
    """Makes it with its secret, which is shown this once."""
    given = {"name": name, "url": url, "events": event, "application": application}
    try:
        house.look()
        if name in house.directory().webhooks:
            raise ConfigError(f"there is a webhook {name!r} already; take another name")
        made = house.webhooks.read(name, {"url": url.strip(), "events": event, "application": application})
    except (ConfigError, ValidationError) as problem:
        return _list(request, house, status=422, error=_mistake(problem), given=given)
    return _secret(request, house, made, me, new=True)


def _secret(request: Request, house: House, webhook: Webhook, me: Visitor, *, new: bool) -> Response:
    secret = house.webhooks.rotate(webhook, by=me.by)
    house.look()
    return page(request, "webhook_secret.html", webhook=webhook, secret=secret, new=new)


@router.get("/webhooks/of/{name:path}")
def one(request: Request, house: TheHouse, name: str, failed: bool = False, after: Cursor = "") -> Response:
    return _one(request, house, _known(house, name), failed=failed, after=after)


@router.get("/webhooks/notices/{number}")
def notice(request: Request, house: TheHouse, number: str, name: str = "") -> Response:
    """One notice with its body and each try."""
    webhook = _known(house, name)
    story = house.webhooks.look_up(name, number)
    if story is None:
        raise HTTPException(404, f"{webhook.name} was told nothing with the id {number[:20]!r}; it may have been forgotten")
    return page(request, "notice.html", webhook=webhook, story=story, states=STATES, number=show_id(story.notice.id))


@router.post("/webhooks/edit")
def edit(
    request: Request,
    house: TheHouse,
    me: Admin,
    name: Text = "",
    url: Text = "",
    application: Text = "",
    event: Annotated[list[str], Form()] = [],  # noqa: B006  # FastAPI's way to say: none
) -> Response:
    webhook = _known(house, name)
    given = {"url": url, "events": event, "application": application}
    try:
        made = house.webhooks.read(name, {"url": url.strip(), "events": event, "application": application})
    except (ConfigError, ValidationError) as problem:
        return _one(request, house, webhook, status=422, error=_mistake(problem), given=given)
    house.store.apply([replace(made, active=webhook.active)], [], by=me.by)
    return RedirectResponse(_address(name), 303)


@router.post("/webhooks/test")
async def try_out(request: Request, house: TheHouse, name: Text = "") -> Response:
    """Calls the target once; the answer stands beside the button."""
    webhook = await asyncio.to_thread(_known, house, name)
    tried = (await house.webhooks.test(webhook)).tried
    if request.headers.get("hx-request"):
        return await asyncio.to_thread(page, request, "webhook_test.html", tried=tried)
    return await asyncio.to_thread(_one, request, house, webhook, tried=tried)


@router.post("/webhooks/secret")
def secret(request: Request, house: TheHouse, me: Admin, name: Text = "") -> Response:
    return _secret(request, house, _known(house, name), me, new=False)


@router.post("/webhooks/replay")
def replay(house: TheHouse, name: Text = "", number: Text = "") -> Response:
    """One notice, or all that have failed."""
    webhook = _known(house, name)
    story = house.webhooks.look_up(name, number) if number else None
    if number and story is None:
        raise HTTPException(404, f"{webhook.name} was told nothing with the id {number[:20]!r}; it may have been forgotten")
    house.webhooks.notices.replay(webhook.name, notice=story.notice.id if story else None)
    return RedirectResponse(_address(name) if story is None else f"/webhooks/notices/{number}?name={quote(name)}", 303)


@router.post("/webhooks/{what}")
def act(house: TheHouse, me: Admin, what: str, name: Text = "") -> Response:
    """`activate`, `deactivate`, `remove`."""
    webhook = _known(house, name)
    if what == "remove":
        house.store.apply([], [("webhook", name)], by=me.by)
        return RedirectResponse("/webhooks", 303)
    if what not in ("activate", "deactivate"):
        raise HTTPException(404, f"There is nothing to do that is called {what[:40]!r}")
    house.store.apply([replace(webhook, active=what == "activate")], [], by=me.by)
    return RedirectResponse(_address(name), 303)
