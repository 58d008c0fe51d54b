"""What the console needs to let people in: the reception, cookies, and the addresses that it answers to."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request
from starlette.responses import Response

from mailroom.ports import Clock
from mailroom.signin.guest import Guest
from mailroom.signin.keys import new_id
from mailroom.signin.reception import Reception
from mailroom.signin.staff import Staff
from mailroom.signin.throttle import Throttle

if TYPE_CHECKING:
    from mailroom.signin.admission import Admission
    from mailroom.signin.provider import Provider

_LOCAL = {"localhost", ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Made by `wiring`, found by every request in `app.state.door`."""

    reception: Reception
    staff: Staff
    clock: Clock
    throttle: Throttle = field(default_factory=Throttle)
    provider: Provider | None = None
    admission: Admission | None = None
    provider_name: str = ""
    """On the button."""
    public_url: str = ""
    """Where browsers find us; empty: by the address that we listen on."""
    set_up_file: Path | None = None
    """Holds the link for the first administrator until it was used."""

    @property
    def secure(self) -> bool:
        """Whether browsers talk to us, or to a proxy before us, by TLS."""
        return self.public_url.startswith("https://")

    def cookie(self, name: str) -> str:
        """With the prefix that a browser takes from nobody else (RFC 6265bis 4.1.3.2), where TLS allows that."""
        return f"__Host-mailroom-{name}" if self.secure else f"mailroom-{name}"

    def set_cookie(self, response: Response, name: str, value: str) -> None:
        """Until the browser is closed; it can't be read by scripts and is not sent along by other sites."""
        response.set_cookie(self.cookie(name), value, path="/", secure=self.secure, httponly=True, samesite="lax")

    def drop_cookie(self, response: Response, name: str) -> None:
        response.delete_cookie(self.cookie(name), path="/", secure=self.secure, httponly=True, samesite="lax")

    def address(self, request: Request) -> str:
        """Our own address for links, without a slash at the end. Never what a request calls us, but where it arrived."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host, port = request.scope.get("server") or ("127.0.0.1", 8020)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _the_door(request: Request) -> Door:
    return _door(request)


def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


TheDoor = Annotated[Door, Depends(_the_door)]


def session_of(request: Request) -> str:
    """The id of the session that the browser shows; empty if it has none."""
    return request.cookies.get(_door(request).cookie("session"), "")


def visit_of(request: Request) -> str:
    return request.cookies.get(_door(request).cookie("visit"), "")


def guest_of(request: Request) -> Guest:
    """Its address is that of the connection, or what a proxy of ours says (`web.trusted_proxies`)."""
    address = request.client.host if request.client else ""
    return Guest(visit=visit_of(request), address=address, agent=request.headers.get("user-agent", ""))


def begin_visit() -> str:
    """A new visit, for a browser that has none."""
    return new_id()


def begin_session(request: Request, response: Response, session: str) -> None:
    """The browser gets an id that nobody has seen before; the visit that led here is over."""
    door = _door(request)
    door.set_cookie(response, "session", session)
    door.drop_cookie(response, "visit")


def end_session(request: Request, response: Response) -> None:
    _door(request).drop_cookie(response, "session")


def own_host(request: Request) -> None:
    """Refuse a request under a name that is not ours: a page elsewhere may have pointed its own name at us (DNS rebinding).

    An address can't be pointed anywhere, and is let through. Raises HTTPException.
    """
    door = _door(request)
    try:
        name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        name = "?"
    if name in _LOCAL or _is_address(name) or name == urlsplit(door.public_url).hostname:
        return
    raise HTTPException(421, "Mailroom does not know itself by this name; set public_url in its settings to the address that people use")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
