"""`/subscriptions`: create with handshake, read, renew, reauthorize, delete (facts 3.9)."""

import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from mailroom_emulator.entra.tokens import Claims
from mailroom_emulator.graph import permissions
from mailroom_emulator.graph.errors import GraphError, access_denied, bad_request
from mailroom_emulator.graph.fields import stamp
from mailroom_emulator.graph.filters import parse_time
from mailroom_emulator.mailbox import Folder
from mailroom_emulator.notifications import LONGEST, PER_MAILBOX, SHORTEST, Subscription, shakes_hands
from mailroom_emulator.tenant import Account

if TYPE_CHECKING:
    from mailroom_emulator.emulator import Emulator

_RESOURCE = re.compile(
    r"^/?(?:(?P<me>me)|users/(?P<user>[^/]+))(?:/mailfolders(?:\('(?P<call>[^']+)'\)|/(?P<name>[^/]+)))?/messages/?$",
    re.IGNORECASE,
)
_KINDS = {"created", "updated", "deleted"}
OPERATIONS = {
    ("POST", 0): "createSubscription",
    ("GET", 0): "listSubscriptions",
    ("GET", 1): "getSubscription",
    ("PATCH", 1): "renewSubscription",
    ("DELETE", 1): "deleteSubscription",
    ("POST", 2): "reauthorizeSubscription",
}


class Subscriptions:
    """One request; `user` is None for an app-only token."""

    def __init__(self, emulator: "Emulator", claims: Claims, user: Account | None, headers: Headers) -> None:
        self._e = emulator
        self._claims = claims
        self._user = user
        self._headers = headers

    async def answer(self, operation: str, subscription_id: str, value: dict[str, Any]) -> Response:
        if operation not in OPERATIONS.values():
            raise GraphError(405, "ErrorInvalidRequest", "The OData request is not supported.")
        if operation == "createSubscription":
            return await self._create(value)
        if operation == "listSubscriptions":
            mine = [s for s in self._e.notifications.all.values() if self._is_mine(s)]
            return JSONResponse({"value": [as_json(s) for s in mine]})
        subscription = self._e.notifications.all.get(subscription_id)
        if subscription is None or not self._is_mine(subscription) or subscription.expires <= self._e.clock.now():
            raise GraphError(404, "ResourceNotFound", "The object was not found.")
        if operation == "renewSubscription":
            subscription.expires = self._expiry(value)
        elif operation == "deleteSubscription":
            del self._e.notifications.all[subscription_id]
            return Response(status_code=204)
        elif operation == "reauthorizeSubscription":
            return Response(status_code=204)
        return JSONResponse(as_json(subscription))

    async def _create(self, value: dict[str, Any]) -> Response:
        account, folder = self._resource(str(value.get("resource", "")))
        kinds = frozenset(k.strip().lower() for k in str(value.get("changeType", "")).split(",") if k.strip())
        if not kinds or not kinds <= _KINDS:
            raise bad_request("changeType must be some of created, updated, deleted.", "InvalidRequest")
        state = value.get("clientState")
        if state is not None and len(str(state)) > 128:
            raise bad_request("clientState must not be longer than 128 characters.", "InvalidRequest")
        if self._e.notifications.of_mailbox(account.oid) >= PER_MAILBOX:
            raise GraphError(403, "ExtensionError", "Mailbox has reached its subscription limit.")
        prefer = self._headers.get("prefer", "").lower()
        subscription = Subscription(
            id=str(uuid.uuid4()),
            client_id=self._claims.client_id,
            mailbox=account.oid,
            folder=folder.id if folder else None,
            kinds=kinds,
            resource=str(value["resource"]),
            url=_endpoint(value.get("notificationUrl"), "notificationUrl"),
            lifecycle_url=_endpoint(value["lifecycleNotificationUrl"], "lifecycleNotificationUrl")
            if value.get("lifecycleNotificationUrl")
            else None,
            client_state=str(state) if state is not None else None,
            expires=self._expiry(value),
            immutable='idtype="immutableid"' in prefer,
        )
        for url in filter(None, (subscription.url, subscription.lifecycle_url)):
            problem = await shakes_hands(url)
            if problem is not None:
                raise bad_request(problem, "ValidationError")
        self._e.notifications.add(subscription)
        return JSONResponse(as_json(subscription), 201)

    def _resource(self, text: str) -> tuple[Account, Folder | None]:
        found = _RESOURCE.match(text.partition("?")[0])
        if found is None or "?" in text:
            raise bad_request(f"The resource '{text}' can't be subscribed to here.", "InvalidRequest")
        account = self._user if found["me"] else self._e.tenant.account(found["user"].strip("'()"))
        if account is None:
            raise GraphError(404, "ResourceNotFound", "The user of the resource was not found.")
        if self._user is not None and self._user.oid != account.oid:
            raise access_denied()  # a delegated token reaches the signed-in user's own mailbox only
        app = self._e.tenant.apps.get(self._claims.client_id)
        permissions.check(permissions.READ, self._claims, app, account, self._user)
        name = found["call"] or found["name"]
        folder = self._e.mailbox(account).folder(name) if name else None
        if name and folder is None:
            raise GraphError(404, "ResourceNotFound", "The folder of the resource was not found.")
        return account, folder

    def _expiry(self, value: dict[str, Any]) -> datetime:
        now = self._e.clock.now()
        expires = parse_time(str(value.get("expirationDateTime", "")))
        if expires <= now or expires > now + LONGEST:
            raise bad_request("Subscription expiration can only be 10080 minutes in the future.", "ValidationError")
        return max(expires, now + SHORTEST)

    def _is_mine(self, subscription: Subscription) -> bool:
        own = self._user is None or self._user.oid == subscription.mailbox
        return subscription.client_id == self._claims.client_id and own


def _endpoint(value: object, name: str) -> str:
    """HTTPS, as Graph wants it; plain HTTP on this machine, as tests want it."""
    url = str(value or "")
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise bad_request(f"{name} must be an HTTPS URL.", "InvalidRequest")
    return url


def as_json(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": subscription.id,
        "resource": subscription.resource,
        "applicationId": subscription.client_id,
        "changeType": ",".join(sorted(subscription.kinds)),
        "clientState": subscription.client_state,
        "notificationUrl": subscription.url,
        "lifecycleNotificationUrl": subscription.lifecycle_url,
        "expirationDateTime": stamp(subscription.expires),
    }
