"""Accounts: who Mailroom may send as, how they are doing, and connecting them at Microsoft and Google."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from mailroom import tables
from mailroom.console import proving
from mailroom.console.accounts_desk import CALLBACK, Done, Shown
from mailroom.console.door import Door, session_of
from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import fragment, page
from mailroom.console.proving import proof_given
from mailroom.console.steps import GROWS, growing
from mailroom.console.visitor import Visitor, at_least
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
def form(request: Request, house: TheHouse, provider: Provider) -> Response:
    return _form(request, house, provider)


def _form(request: Request, house: House, provider: Provider, *, status: int = 200, error: str = "", **given: Any) -> HTMLResponse:
    """Blocking. What was entered stays, except secrets."""
    values: dict[str, Any] = {
        "name": "",
        "mailbox": "",
        "client_id": "",
        "tenant": "",
        "grant": "delegated",
        "proof": "secret",
        "send_only": False,
        "read": False,
        "smtp": False,
        "imap": False,
        "pop": False,
        "personal": False,
        "login_url": "",
        "graph_url": "",
    } | given
    known: dict[str, Any] = {"provider": provider, "redirect_uri": redirect_uri(request), "typical": typical(provider)}
    prepared = house.accounts.proofs.prepared()
    return page(request, "account_connect.html", status=status, error=error, given=values, prepared=prepared, **known)


@router.post("/accounts/connect/{provider}")
async def connect(
    request: Request,
    house: TheHouse,
    provider: Provider,
    me: Admin,
    entered: Entered,
    name: Text = "",
    mailbox: Text = "",
    client_id: Text = "",
    tenant: Text = "",
    grant: Annotated[GrantType, Form()] = GrantType.DELEGATED,
    proof: Text = "",
    send_only: Flag = False,
    read: Flag = False,
    smtp: Flag = False,
    imap: Flag = False,
    pop: Flag = False,
    personal: Flag = False,
    login_url: Text = "",
    graph_url: Text = "",
) -> Response:
    """Checks what was entered; a person's sign-in goes on at the provider, app-only is done at once."""
    given: dict[str, Any] = {"name": name, "mailbox": mailbox, "client_id": client_id, "tenant": tenant, "grant": grant.value}
    given |= {"proof": proof or "secret", "send_only": send_only, "read": read}
    given |= {"smtp": smtp, "imap": imap, "pop": pop, "personal": personal}
    table = {
        "provider": provider.value,
        "grant": grant.value if provider is Provider.MICROSOFT else GrantType.DELEGATED.value,
        "mailbox": mailbox.strip(),
        "client_id": client_id.strip(),
        "tenant": tenant.strip() or ("consumers" if personal else "common"),
        "read_write": not send_only,
        "read": read,
        "smtp": smtp,
        "imap": imap,
        "pop": pop,
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
        return await _begin(request, house, account, await proof_given(entered, house), me)
    except (ConfigError, VaultError) as problem:
        urls = {"login_url": login_url, "graph_url": graph_url}
        why = str(problem)
        return await run_in_threadpool(lambda: _form(request, house, provider, status=422, error=why, **given, **urls))


async def _begin(request: Request, house: House, account: Account, proof: dict[str, str] | None, me: Visitor) -> Response:
    if account.grant is GrantType.APPLICATION:
        return await _done(request, await house.accounts.app_only(account, proof, by=me.by))
    url = await house.accounts.begin(account, proof, session=session_of(request), redirect_uri=redirect_uri(request))
    return await run_in_threadpool(lambda: page(request, "account_continue.html", account=account, url=url, Provider=Provider))


def address_of(name: str) -> str:
    """Its page."""
    return f"/accounts/of/{quote(name)}"


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


@router.get("/accounts/of/{name:path}")
def one(request: Request, house: TheHouse, name: str) -> Response:
    house.look()
    return _one(request, house, _known(house, name))


def _one(request: Request, house: House, account: Account, *, status: int = 200, error: str = "", **entered: Any) -> HTMLResponse:
    """Blocking."""
    shown = next((each for each in house.accounts.shown() if each.account.name == account.name), None)
    if shown is None:
        raise HTTPException(404, f"There is no account {account.name!r} any more")
    given = {
        "mailbox": account.mailbox,
        "client_id": account.client_id,
        "tenant": account.tenant,
        "send_only": not account.read_write,
        "read": account.read,
        "smtp": account.smtp,
        "imap": account.imap,
        "pop": account.pop,
        "proof": _usual_proof(shown),
        "external_recipients_per_day": account.external_recipients_per_day or "",
    } | entered
    known: dict[str, Any] = {"row": shown, "given": given, "prepared": house.accounts.proofs.prepared(), "now": house.clock()}
    return page(request, "account.html", status=status, error=error, redirect_uri=redirect_uri(request), **known)


def _usual_proof(shown: Shown) -> str:
    if shown.proof is not None:
        return "keep"
    return "made" if shown.account.grant is GrantType.APPLICATION else "none"


@router.post("/accounts/reconnect")
async def reconnect(
    request: Request,
    house: TheHouse,
    me: Admin,
    entered: Entered,
    name: Text = "",
    changed: Flag = False,
    mailbox: Text = "",
    client_id: Text = "",
    tenant: Text = "",
    proof: Text = "",
    send_only: Flag = False,
    read: Flag = False,
    smtp: Flag = False,
    imap: Flag = False,
    pop: Flag = False,
) -> Response:
    """The same account signs in again: with what is known of it, or (`changed`) with what its page had."""
    account = _known(house, name)
    if not changed:
        return await _again(request, house, account, None, me)
    asked = {"read": read, "smtp": smtp, "imap": imap, "pop": pop}
    given = {"mailbox": mailbox, "client_id": client_id, "tenant": tenant, "send_only": send_only, "proof": proof, **asked}
    table = {"mailbox": mailbox.strip(), "client_id": client_id.strip(), "tenant": tenant.strip()}
    try:
        fresh = tables.read("account", name, {**tables.write(account), **table, "read_write": not send_only, **asked})
        assert isinstance(fresh, Account)
        shows = await proof_given(entered, house)
        if shows is None and fresh.client_id != account.client_id:
            raise ConfigError("another client ID is another app registration: enter its own secret or certificate, too")
        return await _begin(request, house, fresh, shows, me)
    except (ConfigError, VaultError) as problem:
        why = str(problem)
        return await run_in_threadpool(lambda: _one(request, house, account, status=422, error=why, **given))


async def _again(request: Request, house: House, account: Account, proof: dict[str, str] | None, me: Visitor) -> Response:
    try:
        return await _begin(request, house, account, proof, me)
    except VaultError as problem:
        why = str(problem)
        return await run_in_threadpool(lambda: _one(request, house, account, status=422, error=why))


@router.post("/accounts/limit")
def limit(request: Request, house: TheHouse, me: Admin, name: Text = "", external_recipients_per_day: Text = "") -> Response:
    """What all accounts of the tenant may send outside in a day; nobody signs in again for it."""
    account = _known(house, name)
    try:
        number = int(external_recipients_per_day.strip() or 0)
    except ValueError:
        number = -1
    if number < 0:
        error = "External recipients a day: write digits alone, for example 9500; nothing is no limit of ours"
        return _one(request, house, account, status=422, error=error, external_recipients_per_day=external_recipients_per_day[:20])
    house.objects.put("account", name, {**tables.write(account), "external_recipients_per_day": number}, by=me.by)
    return RedirectResponse(address_of(name), 303)


@router.post("/accounts/remove")
def remove(request: Request, house: TheHouse, me: Admin, name: Text = "") -> Response:
    """With all that is kept of it; not while a server uses it."""
    account = _known(house, name)
    try:
        house.objects.remove("account", account.name, by=me.by)
    except ConfigError as problem:
        return _one(request, house, account, status=409, error=str(problem))
    return RedirectResponse("/accounts", 303)


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
    whole = await run_in_threadpool(lambda: fragment(request, "account_test.html", server=server, to=to.strip(), steps=GROWS))
    return StreamingResponse(growing(whole, steps), media_type="text/html")


def _known(house: House, name: str) -> Account:
    found = house.directory().accounts.get(name)
    if found is None:
        raise HTTPException(404, f"There is no account {name[:120]!r}; it may have been removed")
    return found


router.include_router(proving.router)
