"""Accounts: who Mailroom may send as, how they are doing, and connecting them at Microsoft and Google."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response, StreamingResponse

from mailroom import tables
from mailroom.console.accounts_desk import CALLBACK, Done
from mailroom.console.door import Door, session_of
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import fragment, page
from mailroom.console.visitor import Visitor, at_least
from mailroom.doctor.trial import Step
from mailroom.objects import Account, GrantType, Provider, Role
from mailroom_core.errors import ConfigError, VaultError
from mailroom_core.oauth.google_problems import ROWS as GOOGLE_ROWS
from mailroom_core.oauth.problems import ROWS as MICROSOFT_ROWS

Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
router = APIRouter(dependencies=[Depends(at_least(Role.ADMIN))])
Text = Annotated[str, Form()]
Flag = Annotated[bool, Form()]
_TYPICAL = {
    Provider.MICROSOFT: ("50011", "7000215", "7000218", "700016", "90094", "65001"),
    Provider.GOOGLE: ("redirect_uri_mismatch", "access_denied", "org_internal", "admin_policy_enforced", "invalid_client"),
}


def redirect_uri(request: Request) -> str:
    """What has to be registered at the provider. Without `public_url` it is our own address; plain HTTP they allow for localhost."""
    door: Door = request.app.state.door
    host = urlsplit(f"//{request.headers.get('host', '')}")
    if not door.public_url and host.hostname == "localhost":
        return f"http://localhost:{host.port or 80}{CALLBACK}"
    return f"{door.address(request)}{CALLBACK}"


def typical(provider: Provider) -> list[tuple[str, str, str]]:
    """The errors that people meet when they connect: code, what happened, what to do."""
    if provider is Provider.GOOGLE:
        return [(row.error, row.text, row.what_to_do) for row in GOOGLE_ROWS if row.error in _TYPICAL[provider]]
    found = {code: row for row in MICROSOFT_ROWS for code in row.codes}
    return [(f"AADSTS{code}", found[code].text, found[code].what_to_do) for code in _TYPICAL[provider]]


@router.get("/accounts")
def show(request: Request, house: TheHouse) -> Response:
    return _list(request, house)


def _list(request: Request, house: House, *, status: int = 200, error: str = "", told: str = "") -> HTMLResponse:
    """Blocking."""
    try:
        rows = house.accounts.shown()
    except VaultError as problem:
        rows, status, error = [], 503, str(problem)
    return page(request, "accounts.html", status=status, rows=rows, error=error, told=told, now=house.clock())


@router.get("/accounts/connect/{provider}")
def form(request: Request, provider: Provider) -> Response:
    return _form(request, provider)


def _form(request: Request, provider: Provider, *, status: int = 200, error: str = "", **given: Any) -> HTMLResponse:
    """Blocking. What was entered stays, except secrets."""
    values: dict[str, Any] = {
        "name": "",
        "mailbox": "",
        "client_id": "",
        "tenant": "",
        "grant": "delegated",
        "login_url": "",
        "graph_url": "",
    } | given
    known: dict[str, Any] = {"provider": provider, "redirect_uri": redirect_uri(request), "typical": typical(provider)}
    return page(request, "account_connect.html", status=status, error=error, given=values, **known)


@router.post("/accounts/connect/{provider}")
async def connect(
    request: Request,
    house: TheHouse,
    provider: Provider,
    me: Admin,
    name: Text = "",
    mailbox: Text = "",
    client_id: Text = "",
    tenant: Text = "",
    grant: Annotated[GrantType, Form()] = GrantType.DELEGATED,
    secret: Text = "",
    secret_expires: Text = "",
    send_only: Flag = False,
    smtp: Flag = False,
    personal: Flag = False,
    login_url: Text = "",
    graph_url: Text = "",
) -> Response:
    """Checks what was entered; a person's sign-in goes on at the provider, app-only is done at once."""
    given = {"name": name, "mailbox": mailbox, "client_id": client_id, "tenant": tenant, "grant": grant.value}
    table = {
        "provider": provider.value,
        "grant": grant.value if provider is Provider.MICROSOFT else GrantType.DELEGATED.value,
        "mailbox": mailbox.strip(),
        "client_id": client_id.strip(),
        "tenant": tenant.strip() or ("consumers" if personal else "common"),
        "read_write": not send_only,
        "smtp": smtp,
        "shared": not personal,
        "login_url": login_url.strip(),
        "graph_url": graph_url.strip(),
    }
    try:
        account = tables.read("account", name.strip(), table)
        assert isinstance(account, Account)
        if account.name in house.directory().accounts:
            raise ConfigError(f"there is an account {account.name!r} already; sign in again from the list, or take another name")
        if not account.client_id:
            raise ConfigError("client ID: copy it from the page where you registered the app")
        return await _begin(request, house, account, _proof(secret, secret_expires), me)
    except (ConfigError, VaultError) as problem:
        urls = {"login_url": login_url, "graph_url": graph_url}
        why = str(problem)
        return await run_in_threadpool(lambda: _form(request, provider, status=422, error=why, **given, **urls))


def _proof(secret: str, expires: str) -> dict[str, str]:
    if not secret:
        return {}
    try:
        until = date.fromisoformat(expires).isoformat() if expires else ""
    except ValueError:
        raise ConfigError(f"end of the secret: {expires[:20]!r} is no date; write for example 2027-05-01") from None
    return {"secret": secret.strip(), **({"expires_on": until} if until else {})}


async def _begin(request: Request, house: House, account: Account, proof: dict[str, str] | None, me: Visitor) -> Response:
    if account.grant is GrantType.APPLICATION:
        return await _done(request, await house.accounts.app_only(account, proof, by=me.by))
    url = await house.accounts.begin(account, proof, session=session_of(request), redirect_uri=redirect_uri(request))
    return await run_in_threadpool(lambda: page(request, "account_continue.html", account=account, url=url, Provider=Provider))


async def _done(request: Request, done: Done) -> Response:
    return await run_in_threadpool(lambda: page(request, "account_done.html", done=done))


@router.get(CALLBACK)
async def callback(request: Request, house: TheHouse, me: Admin) -> Response:
    """Where the provider sends the browser back to. Its answer counts once, and only in the session that began."""
    try:
        return await _done(request, await house.accounts.finish(dict(request.query_params), session=session_of(request), by=me.by))
    except VaultError as problem:
        text = str(problem)
        return await run_in_threadpool(lambda: page(request, "account_problem.html", status=422, text=text))


@router.post("/accounts/reconnect")
async def reconnect(request: Request, house: TheHouse, me: Admin, name: Text = "") -> Response:
    """The same account signs in again, with what is known of it."""
    account = _known(house, name)
    try:
        return await _begin(request, house, account, None, me)
    except VaultError as problem:
        text = str(problem)
        return await run_in_threadpool(lambda: page(request, "account_problem.html", status=422, text=text))


@router.post("/accounts/disconnect")
async def disconnect(request: Request, house: TheHouse, me: Admin, name: Text = "") -> Response:
    """Its grant is forgotten, and its mail waits."""
    account = _known(house, name)
    try:
        left = await house.accounts.disconnect(account.name, by=me.by)
    except VaultError as problem:
        text = str(problem)
        return await run_in_threadpool(lambda: _list(request, house, status=422, error=text))
    told = f"{account.name} is disconnected; mail that would leave by it waits. {left}"
    return await run_in_threadpool(lambda: _list(request, house, told=told))


@router.post("/accounts/test")
async def try_out(request: Request, house: TheHouse, server: Text = "", to: Text = "", sender: Text = "") -> Response:
    """Sends a real mail; the page grows with every step."""
    try:
        steps = house.accounts.trial(server, recipient=to.strip(), sender=sender.strip())
    except ConfigError as problem:
        text = str(problem)
        return await run_in_threadpool(lambda: _list(request, house, status=422, error=text))
    whole = await run_in_threadpool(lambda: fragment(request, "account_test.html", server=server, to=to.strip(), steps=Markup("\0")))
    return StreamingResponse(_growing(whole, steps), media_type="text/html")


async def _growing(whole: str, steps: AsyncIterator[Step]) -> AsyncIterator[str]:
    before, _, after = str(whole).partition("\0")
    yield before
    async for step in steps:
        tone, word = ("good", "ok") if step.ok else ("bad", "failed")
        yield Markup('<li><strong>{}</strong> <span class="tag {}">{}</span> <span class="anywhere">{}</span></li>\n').format(
            step.name, tone, word, step.said
        )
    yield after


def _known(house: House, name: str) -> Account:
    found = house.directory().accounts.get(name)
    if found is None:
        raise HTTPException(404, f"There is no account {name[:120]!r}; it may have been removed")
    return found
