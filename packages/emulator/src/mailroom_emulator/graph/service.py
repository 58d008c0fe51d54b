"""One request to Graph from its first byte to its last: who asks, may they, what is the answer."""

import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope

from mailroom_emulator.entra.scopes import GRAPH, GRAPH_APP
from mailroom_emulator.entra.tokens import Claims
from mailroom_emulator.exchange import Exchange
from mailroom_emulator.faults import Effects
from mailroom_emulator.graph import batch, permissions, throttle, uploads
from mailroom_emulator.graph.call import REQUEST_LIMIT, Call, json_object, read_body
from mailroom_emulator.graph.errors import GraphError, bad_request, error_body, not_authenticated, too_large
from mailroom_emulator.graph.routes import Found, Target, exists
from mailroom_emulator.graph.subscriptions import Subscriptions
from mailroom_emulator.hosts import seen_by
from mailroom_emulator.jws import BadToken
from mailroom_emulator.tenant import Account

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator


async def answer(exchange: Exchange, receive: Receive, effects: Effects, target: Target | None, found: Found | None) -> Response:
    """The answer of Graph; raises GraphError for the other kind."""
    emulator, scope = exchange.emulator, exchange.scope
    headers = Headers(scope=scope)
    claims, user = authenticate(emulator, headers)
    if target is None or found is None:
        raise _not_served(scope, target)
    account = _account(emulator, target, user)
    permissions.check(found.route.need, claims, emulator.tenant.apps.get(claims.client_id), account, user)
    await throttle.admit(exchange, claims.client_id, account, headers)
    call = Call(
        emulator=emulator,
        operation=found.route.operation,
        path=scope["path"],
        query=_query(scope["query_string"]),
        headers=headers,
        params=found.params,
        claims=claims,
        account=account,
        user=user,
        hosts=seen_by(scope["scheme"], headers),
        receive=receive,
        effects=effects,
    )
    return await found.route.handler(call)


def authenticate(emulator: "Emulator", headers: Headers) -> tuple[Claims, Account | None]:
    """The claims of the bearer token and the account that they are about, or Graph's 401."""
    header = headers.get("authorization", "")
    if not header.lower().startswith("bearer ") or not header[7:].strip():
        raise not_authenticated("Access token is empty.")
    try:
        claims = emulator.tokens.read_access_token(header[7:].strip())
    except BadToken as error:
        raise not_authenticated(f"IDX14100: JWT is not well formed: {error}.") from error
    if claims.audience not in (GRAPH, GRAPH_APP):
        raise not_authenticated("Access token validation failure. Invalid audience.")
    if claims.expires <= emulator.clock.now():
        raise not_authenticated("Lifetime validation failed, the token is expired.")
    if claims.token_id in emulator.tokens.revoked_token_ids:
        raise not_authenticated("The token has been revoked.")
    user = emulator.tenant.accounts.get(claims.account_oid) if claims.account_oid else None
    if claims.account_oid and user is None:
        raise not_authenticated("The user of this token does not exist any more.")
    return claims, user


async def subscription_answer(exchange: Exchange, receive: Receive, subscription_id: str) -> Response:
    """A request to `/subscriptions`."""
    emulator, headers = exchange.emulator, Headers(scope=exchange.scope)
    claims, user = authenticate(emulator, headers)
    raw = await read_body(receive, REQUEST_LIMIT, too_large(emulator.switches.oversize_status))
    handler = Subscriptions(emulator, claims, user, headers)
    return await handler.answer(exchange.operation, subscription_id, json_object(raw))


async def batch_answer(exchange: Exchange, receive: Receive, serve: batch.Serve) -> Response:
    """A request to `/$batch`."""
    authenticate(exchange.emulator, Headers(scope=exchange.scope))
    raw = await read_body(receive, REQUEST_LIMIT, too_large(exchange.emulator.switches.oversize_status))
    return JSONResponse(await batch.answer(exchange.scope, json_object(raw), serve))


def mailbox_name(emulator: "Emulator", target: Target | None, headers: Headers) -> str:
    """Whose mailbox a request is about, as far as one can tell before anything is checked; else empty."""
    name = target.account if target else None
    if target is not None and name is None:
        try:
            name = emulator.tokens.read_access_token(headers.get("authorization", "")[7:].strip()).account_oid
        except BadToken:
            name = None
    account = emulator.tenant.account(name) if name else None
    return account.upn if account else ""


def _account(emulator: "Emulator", target: Target, user: Account | None) -> Account:
    if target.account is None:
        if user is None:
            raise bad_request("/me request is only valid with delegated authentication flow.")
        account: Account | None = user
    else:
        account = emulator.tenant.account(target.account)
    if account is None:
        text = f"Resource '{target.account}' does not exist or one of its queried reference-property objects are not present."
        if target.rest:
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{target.account}' is invalid.")
        raise GraphError(404, "Request_ResourceNotFound", text)
    if target.rest and not account.licensed:
        raise GraphError(
            404,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )
    return account


def _not_served(scope: Scope, target: Target | None) -> GraphError:
    if target is not None and exists(target.rest):
        return GraphError(405, "ErrorInvalidRequest", "The OData request is not supported.")
    return bad_request(f"Resource not found for the segment '{scope['path'].rpartition('/')[2]}'.")


def _query(raw: bytes) -> dict[str, str]:
    pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
    return {name.removeprefix("$").lower(): value for name, value in pairs}


async def upload_answer(exchange: Exchange, receive: Receive, effects: Effects, session_id: str) -> Response:
    """A request to an uploadUrl."""
    emulator, scope = exchange.emulator, exchange.scope
    if effects.expire_upload and session_id in emulator.uploads:
        emulator.uploads[session_id].expires = emulator.clock.now()
    headers = Headers(scope=scope)
    authtoken = _query(scope["query_string"]).get("authtoken")
    session = uploads.find_session(emulator, session_id, authtoken, headers)
    await throttle.admit(exchange, session.call.claims.client_id, session.call.account, headers)
    match scope["method"]:
        case "PUT":
            return await uploads.put_range(session, headers, receive)
        case "GET":
            return uploads.status(session)
        case "DELETE":
            return uploads.cancel(session)
        case _:
            raise GraphError(405, "ErrorInvalidRequest", "The OData request is not supported.")


def refusal(emulator: "Emulator", headers: Headers, error: GraphError, request_id: str) -> Response:
    client_id = headers.get("client-request-id", request_id)
    body = error_body(error.code, error.message, emulator.clock.now(), request_id, client_id)
    return JSONResponse(body, error.status, headers=error.headers)


def stamp_headers(response: Response, headers: Headers, request_id: str) -> None:
    """What every answer of Graph carries."""
    response.headers["request-id"] = request_id
    response.headers["client-request-id"] = headers.get("client-request-id", request_id)
    response.headers["x-ms-ags-diagnostic"] = '{"ServerInfo":{"DataCenter":"Emulator","Slice":"E","Ring":"1"}}'
    if response.media_type == "application/json":
        response.headers["odata-version"] = "4.0"
        response.headers["content-type"] = (
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
        )
    applied = [
        item.strip()
        for item in headers.get("prefer", "").split(",")
        if item.strip().lower().startswith(("idtype=", "outlook.body-content-type="))
    ]
    if applied and response.status_code < 300:
        response.headers["preference-applied"] = ", ".join(applied)


def new_request_id() -> str:
    return str(uuid.uuid4())
