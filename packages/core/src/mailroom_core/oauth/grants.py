"""What every provider's sign-in has in common: the proof of an app, PKCE, and what a token endpoint gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from oauthlib.common import add_params_to_uri
from oauthlib.oauth2 import WebApplicationClient

from mailroom_core.flow import Response, json_object

_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}", re.ASCII)  # RFC 7636 4.1


@dataclass(frozen=True, slots=True)
class Secret:
    """A client secret."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """A token, and what came with it. Store a new refresh token before the access token is used: the old one may be spent."""

    access_token: str = field(repr=False)
    expires_in: timedelta
    refresh_token: str | None = field(default=None, repr=False)
    """None: keep the one that you have (app-only grants never get one)."""
    scope: str = ""
    refresh_expires_in: timedelta | None = None
    """Only where the provider says when the grant itself ends."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in: compare `addresses` (lower case) with the mailbox that the account is meant for."""

    id: str
    name: str
    addresses: tuple[str, ...]


def challenge(client_id: str, verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636 4.2), 43 to 128 unreserved characters that only we know; ValueError if not."""
    if not _VERIFIER.fullmatch(verifier):
        raise ValueError("a PKCE verifier has 43 to 128 letters, digits, or -._~ (RFC 7636 4.1)")
    made: str = WebApplicationClient(client_id).create_code_challenge(verifier, "S256")
    return made


def read_grant(response: Response) -> Grant | None:
    """What a token endpoint gave; None if it gave nothing that could be used."""
    fields = json_object(response)
    token, refreshed = fields.get("access_token"), fields.get("refresh_token")
    if response.status != 200 or not isinstance(token, str) or not token:
        return None
    return Grant(
        access_token=token,
        expires_in=_seconds(fields.get("expires_in")),
        refresh_token=refreshed if isinstance(refreshed, str) and refreshed else None,
        scope=str(fields.get("scope") or ""),
        refresh_expires_in=_seconds(fields["refresh_token_expires_in"]) if "refresh_token_expires_in" in fields else None,
    )


def _seconds(value: object) -> timedelta:
    """`expires_in` comes as a number or as its text; unreadable means used at once and never again."""
    try:
        return timedelta(seconds=int(str(value)))
    except (ValueError, OverflowError):
        return timedelta()


def with_query(base: str, parameters: Mapping[str, str]) -> str:
    """An address with those of the parameters that are not empty."""
    return str(add_params_to_uri(base, [(name, value) for name, value in parameters.items() if value]))
