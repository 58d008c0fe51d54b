"""The control API, `/_emulator/...`: everything that a test wants to see or to change. JSON in, JSON out."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from mailroom_emulator import seed, transport
from mailroom_emulator.graph.routes import OTHER_OPERATIONS, ROUTES
from mailroom_emulator.jws import read_certificate
from mailroom_emulator.mailbox import StoredMessage
from mailroom_emulator.stream import pieces
from mailroom_emulator.tenant import Account, App

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

Json = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]


def router(emulator: "Emulator") -> Router:
    c = _Control(emulator)
    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "/health", c.health),
        ("POST", "/reset", c.reset),
        ("GET", "/clock", c.clock),
        ("POST", "/clock", c.set_clock),
        ("GET", "/accounts", c.accounts),
        ("POST", "/accounts", c.add_account),
        ("PATCH", "/accounts/{name}", c.change_account),
        ("DELETE", "/accounts/{name}", c.remove_account),
        ("POST", "/accounts/{name}/rights", c.rights),
        ("POST", "/accounts/{name}/revoke", c.revoke),
        ("GET", "/accounts/{name}/folders/{folder}", c.folder),
        ("POST", "/accounts/{name}/deliver", c.deliver),
        ("POST", "/accounts/{name}/damage/{message}", c.damage),
        ("GET", "/apps", c.apps),
        ("POST", "/apps", c.add_app),
        ("PATCH", "/apps/{client_id}", c.change_app),
        ("POST", "/apps/{client_id}/certificates", c.add_certificate),
        ("GET", "/switches", c.switches),
        ("POST", "/switches", c.set_switches),
        ("GET", "/operations", c.operations),
        ("GET", "/faults", c.faults),
        ("POST", "/faults", c.add_fault),
        ("DELETE", "/faults", c.remove_faults),
        ("DELETE", "/faults/{id}", c.remove_faults),
        ("GET", "/counters", c.counters),
        ("GET", "/requests", c.requests),
        ("GET", "/outside", c.outside),
        ("GET", "/outside/{id}/raw", c.outside_raw),
    ]
    return Router([Route(f"/_emulator{path}", _careful(call), methods=[method]) for method, path, call in table])


def _careful(call: Endpoint) -> Endpoint:
    """Mistakes in what was sent become a 400 that says so."""

    async def endpoint(request: Request) -> Response:
        try:
            return await call(request)
        except (ValueError, KeyError, TypeError) as error:
            text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            return JSONResponse({"error": text}, 400)

    return endpoint


class _Control:
    def __init__(self, emulator: "Emulator") -> None:
        self._e = emulator

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "tenant": self._e.tenant.id, "domain": self._e.tenant.domain})

    async def reset(self, request: Request) -> Response:
        self._e.reset()
        return Response(status_code=204)

    # Time

    async def clock(self, request: Request) -> Response:
        clock = self._e.clock
        return JSONResponse(
            {"now": clock.now().isoformat(), "frozen": clock.frozen, "scale": clock.scale, "waiting": self._e.agenda.waiting}
        )

    async def set_clock(self, request: Request) -> Response:
        """{"advance": seconds} and/or {"freeze": true | "<time>" | false}"""
        value = await request.json()
        freeze = value.get("freeze")
        if freeze is False:
            self._e.clock.thaw()
        elif freeze is not None:
            at = None if freeze is True else datetime.fromisoformat(freeze)
            self._e.clock.freeze(at.replace(tzinfo=at.tzinfo or UTC) if at else None)
        self._e.clock.advance(timedelta(seconds=float(value.get("advance", 0))))
        self._e.agenda.run_due()
        return await self.clock(request)

    # Accounts

    async def accounts(self, request: Request) -> Response:
        return JSONResponse([self._account_json(a) for a in self._e.tenant.accounts.values()])

    async def add_account(self, request: Request) -> Response:
        row = await request.json()
        account = self._e.tenant.add(seed.read_account(row))
        seed.set_rights(self._e.tenant, account.upn, row.get("rights", {}))
        return JSONResponse(self._account_json(account), 201)

    async def change_account(self, request: Request) -> Response:
        account, value = self._account(request), await request.json()
        for name in ("enabled", "licensed", "copy_for_sent_as", "copy_for_send_on_behalf"):
            if name in value:
                setattr(account, name, bool(value[name]))
        for name in ("max_message_size", "recipient_limit"):
            if name in value:
                setattr(account, name, int(value[name]))
        for alias in value.get("add_aliases", ()):
            self._e.tenant.add_alias(account, str(alias))
        return JSONResponse(self._account_json(account))

    async def remove_account(self, request: Request) -> Response:
        self._e.tenant.remove(self._account(request))
        return Response(status_code=204)

    async def rights(self, request: Request) -> Response:
        """{"sales@contoso.example": ["FullAccess", "SendAs"]}: what this account may do there, from now on."""
        account = self._account(request)
        seed.set_rights(self._e.tenant, account.upn, await request.json())
        return JSONResponse(self._account_json(account))

    async def revoke(self, request: Request) -> Response:
        """{"client_id": optional, "code": 50173, "access_tokens": false}: the grant is dead."""
        value = await request.json() if await request.body() else {}
        account = self._account(request)
        count = self._e.tokens.revoke(
            account,
            value.get("client_id"),
            int(value.get("code", 50173)),
            access_tokens=bool(value.get("access_tokens", False)),
        )
        return JSONResponse({"revoked": count})

    async def folder(self, request: Request) -> Response:
        """What lies in a folder, newest first, without Graph's ceremonies."""
        mailbox = self._e.mailbox(self._account(request))
        folder = mailbox.folder(request.path_params["folder"])
        if folder is None:
            raise ValueError(f"there is no folder {request.path_params['folder']!r}")
        found = [_message_json(m) for m in folder.newest_first()]
        return JSONResponse({"total": len(found), "unread": len(folder.unread), "messages": found})

    async def deliver(self, request: Request) -> Response:
        """The body is raw MIME that arrives from outside in this account's Inbox."""
        raw = await request.body()
        if not raw.strip():
            raise ValueError("the body must be the mail as MIME")
        message_id = transport.receive_mime(self._e, self._account(request), raw)
        return JSONResponse({"id": message_id}, 201)

    async def damage(self, request: Request) -> Response:
        """Make a message one that Exchange can't convert."""
        message = self._e.mailbox(self._account(request)).find(request.path_params["message"])
        if message is None:
            raise ValueError("there is no message with this id")
        message.damaged = True
        return Response(status_code=204)

    # Applications

    async def apps(self, request: Request) -> Response:
        return JSONResponse([_app_json(a) for a in self._e.tenant.apps.values()])

    async def add_app(self, request: Request) -> Response:
        app = seed.read_app(await request.json(), self._e.tenant)
        self._e.tenant.apps[app.client_id] = app
        return JSONResponse(_app_json(app), 201)

    async def change_app(self, request: Request) -> Response:
        """Replace what is named: redirect_uris, roles, secrets, enabled, ...; {"expire_secrets": true} does that."""
        app, value = self._app(request), await request.json()
        if value.pop("expire_secrets", False):
            for secret in app.secrets:
                secret.expires = self._e.clock.now()
        changed = seed.read_app({"client_id": app.client_id, **value}, self._e.tenant)
        for name in value:
            attribute = "secrets" if name == "secret" else name
            setattr(app, attribute, getattr(changed, attribute))
        return JSONResponse(_app_json(app))

    async def add_certificate(self, request: Request) -> Response:
        """The body is the certificate in PEM."""
        certificate = read_certificate(await request.body())
        self._app(request).certificates.append(certificate)
        return JSONResponse({"x5t": certificate.sha1, "x5t#S256": certificate.sha256}, 201)

    # Faults

    async def operations(self, request: Request) -> Response:
        rows = [{"operation": r.operation, "method": r.method, "path": f"/users/{{id}}/{r.path}"} for r in ROUTES]
        return JSONResponse([*rows, *({"operation": name} for name in OTHER_OPERATIONS)])

    async def faults(self, request: Request) -> Response:
        return JSONResponse([f.json() for f in self._e.faults.all])

    async def add_fault(self, request: Request) -> Response:
        return JSONResponse(self._e.faults.add(await request.json()).json(), 201)

    async def remove_faults(self, request: Request) -> Response:
        self._e.faults.remove(request.path_params.get("id"))
        return Response(status_code=204)

    # Switches, counters, the outside world

    async def switches(self, request: Request) -> Response:
        return JSONResponse(self._e.switches.describe())

    async def set_switches(self, request: Request) -> Response:
        self._e.switches.change(await request.json())
        return await self.switches(request)

    async def counters(self, request: Request) -> Response:
        return JSONResponse(self._e.counters.json())

    async def requests(self, request: Request) -> Response:
        limit = int(request.query_params.get("limit", 100))
        recent = list(self._e.counters.recent)[-limit:]
        return JSONResponse([{**r, "at": r["at"].isoformat()} for r in recent])

    async def outside(self, request: Request) -> Response:
        query = request.query_params
        found = self._e.outside.find(query.get("to"), query.get("message_id"), query.get("subject"))
        listed = [copy.json() for copy in found]
        limit = int(query.get("limit", 1000))
        return JSONResponse({"total": len(listed), "messages": listed[-limit:]})

    async def outside_raw(self, request: Request) -> Response:
        copy = self._e.outside.copies.get(request.path_params["id"])
        if copy is None:
            raise ValueError("there is no such mail outside")
        headers = {"Content-Length": str(copy.raw.size)}
        return StreamingResponse(pieces(copy.raw), media_type="message/rfc822", headers=headers)

    def _account(self, request: Request) -> Account:
        return seed.need_account(self._e.tenant, request.path_params["name"])

    def _app(self, request: Request) -> App:
        app = self._e.tenant.apps.get(request.path_params["client_id"].lower())
        if app is None:
            raise ValueError("there is no application with this client_id")
        return app

    def _account_json(self, account: Account) -> Json:
        names = self._e.tenant.accounts
        return {
            "oid": account.oid,
            "upn": account.upn,
            "name": account.name,
            "realm": account.realm.value,
            "shared": account.shared,
            "enabled": account.enabled,
            "licensed": account.licensed,
            "aliases": account.aliases,
            "rights": {names[oid].upn: sorted(r.value for r in rights) for oid, rights in account.rights.items() if oid in names},
        }


def _app_json(app: App) -> Json:
    return {
        "client_id": app.client_id,
        "name": app.name,
        "public": app.public,
        "audience": app.audience.value,
        "redirect_uris": app.redirect_uris,
        "roles": sorted(app.roles),
        "secrets": len(app.secrets),
        "certificates": [c.sha256 for c in app.certificates],
        "enabled": app.enabled,
    }


def _message_json(message: StoredMessage) -> Json:
    content = message.content
    return {
        "id": message.id,
        "immutable_id": message.immutable_id,
        "message_id": content.message_id,
        "subject": content.subject,
        "from": content.from_.address if content.from_ else None,
        "to": [a.address for a in content.to],
        "cc": [a.address for a in content.cc],
        "bcc": [a.address for a in content.bcc],
        "is_draft": message.is_draft,
        "is_read": message.is_read,
        "received": message.received.isoformat(),
        "conversation": message.conversation,
        "properties": message.properties,
    }
