"""Sign-in with an OpenID Connect provider: authorization code flow with PKCE, over Authlib.

State, nonce and verifier hang on the browser's visit: the store keeps the hash of visit and state, once; the other two are derived
from them and kept nowhere. An ID token counts if a key of the provider has signed it, with an algorithm of ours (never `none`, never a
shared secret), for us, in answer to this very request (OpenID Connect Core 1.0, 3.1.3.7).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from mailroom.ports import Clock
from mailroom.signin.guest import Guest
from mailroom.signin.keys import Keyed, new_id
from mailroom.signin.reception import Refusal, SignInRefused
from mailroom.users import Link, LinkKind, Users

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
ON_THE_WAY = timedelta(minutes=10)
LEEWAY = 60
"""Seconds that the provider's clock may be wrong."""
FRESH = 3600.0
"""Seconds for which what the provider says of itself is believed without asking again."""
KEYS_EVERY = 60.0
TIMEOUT = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How the provider knows us."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    address_claim: str = ""
    """What holds the e-mail address; empty: `email`, if the provider has verified it."""
    groups_claim: str = "groups"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider vouches for."""

    subject: str
    """Issuer, a space, `sub`: what never changes."""
    address: str
    """Empty if the provider gives none that we believe."""
    groups: frozenset[str]


class ProviderTrouble(Exception):
    """The provider can't be reached, or does not do what it should: for the log, and in general words for the page."""


class Provider:
    """One provider. In the event loop; the store is asked in threads."""

    def __init__(self, registration: Registration, *, users: Users, keyed: Keyed, clock: Clock) -> None:
        self._registration = registration
        self._users = users
        self._keyed = keyed
        self._clock = clock
        self._metadata: tuple[float, dict[str, Any]] = (-FRESH, {})
        self._keys: tuple[float, KeySet | None] = (-FRESH, None)

    async def begin(self, guest: Guest, redirect_uri: str, *, next: str) -> str:
        """Where to send the browser. Raises ProviderTrouble."""
        metadata = await self._told()
        state = new_id()
        bound = f"{guest.visit}.{state}"
        key = self._keyed.stored("state", bound)
        link = Link(key=key, kind=LinkKind.PROVIDER, data=next, expires_at=self._clock() + ON_THE_WAY)
        await asyncio.to_thread(self._users.put_link, link)
        async with self._client(redirect_uri) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"],
                state=state,
                nonce=self._keyed.derived("nonce", bound),
                code_verifier=self._keyed.derived("verifier", bound),
            )
        return str(url)

    async def finish(self, guest: Guest, redirect_uri: str, answer: Mapping[str, str]) -> tuple[Identity, str]:
        """Who it is, and where they wanted to go. Raises SignInRefused and ProviderTrouble."""
        bound = f"{guest.visit}.{answer.get('state', '')}"
        link = await asyncio.to_thread(self._users.spend_link, self._keyed.stored("state", bound), LinkKind.PROVIDER)
        if not guest.visit or link is None:
            raise SignInRefused(Refusal.STATE)
        if answer.get("iss", self._registration.issuer) != self._registration.issuer:  # RFC 9207 2.4
            raise ProviderTrouble(f"the answer comes from {answer['iss'][:200]!r}, not from {self._registration.issuer}")
        if answer.get("error") in {"access_denied", "consent_required", "interaction_required", "login_required"}:
            raise SignInRefused(Refusal.DECLINED)
        if not answer.get("code"):
            raise ProviderTrouble(f"no code: {answer.get('error', '')[:100]} {answer.get('error_description', '')[:300]}")
        token = await self._redeem(answer["code"], redirect_uri, self._keyed.derived("verifier", bound))
        claims = await self._checked(token, nonce=self._keyed.derived("nonce", bound))
        return self._identity(claims), link.data

    def _client(self, redirect_uri: str) -> Any:
        return AsyncOAuth2Client(
            client_id=self._registration.client_id,
            client_secret=self._registration.client_secret or None,
            token_endpoint_auth_method="client_secret_post" if self._registration.client_secret else "none",
            scope="openid email profile",
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT,
        )

    async def _redeem(self, code: str, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        metadata = await self._told()
        try:
            async with self._client(redirect_uri) as client:
                token: Mapping[str, Any] = await client.fetch_token(metadata["token_endpoint"], code=code, code_verifier=verifier)
        except OAuthError as problem:
            raise ProviderTrouble(f"the code was not taken: {problem.error} {problem.description}"[:500]) from None
        except (httpx2.HTTPError, ValueError, TypeError) as problem:
            raise ProviderTrouble(f"the code could not be redeemed: {type(problem).__name__}") from None
        return token

    async def _checked(self, token: Mapping[str, Any], *, nonce: str) -> Mapping[str, Any]:
        """The claims of the ID token."""
        text = token.get("id_token")
        if not isinstance(text, str):
            raise ProviderTrouble("there is no ID token in the answer; is the scope openid allowed?")
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        try:
            try:
                read = jwt.decode(text, key=await self._signers(), registry=registry)
            except InvalidKeyIdError:
                read = jwt.decode(text, key=await self._signers(again=True), registry=registry)
            claims = CodeIDToken(
                read.claims,
                read.header,
                {
                    "iss": {"essential": True, "value": self._registration.issuer},
                    "aud": {"essential": True, "value": self._registration.client_id},
                },
                {"nonce": nonce, "client_id": self._registration.client_id, "access_token": token.get("access_token")},
            )
            claims.validate(now=int(self._clock().timestamp()), leeway=LEEWAY)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as problem:
            raise ProviderTrouble(f"the ID token is not to be believed: {type(problem).__name__}: {problem}"[:300]) from None
        return dict(claims)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        name = self._registration.address_claim
        address = claims.get(name) if name else claims.get("email") if claims.get("email_verified") is True else ""
        groups = claims.get(self._registration.groups_claim)
        return Identity(
            subject=f"{claims['iss']} {claims['sub']}",
            address=address.strip().casefold() if isinstance(address, str) else "",
            groups=frozenset(str(each) for each in groups) if isinstance(groups, list) else frozenset(),
        )

    # -- what the provider says of itself
    async def _told(self) -> dict[str, Any]:
        at, metadata = self._metadata
        if time.monotonic() - at >= FRESH:
            issuer = self._registration.issuer
            metadata = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if metadata.get("issuer") != issuer:
                raise ProviderTrouble(f"the provider calls itself {metadata.get('issuer')!r}; write exactly that as signin.issuer")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if urlsplit(str(metadata.get(name, ""))).scheme not in {"https", urlsplit(issuer).scheme}:
                    raise ProviderTrouble(f"the provider's {name} is no address that we go to: {metadata.get(name)!r}")
            self._metadata = (time.monotonic(), metadata)
        return metadata

    async def _signers(self, *, again: bool = False) -> KeySet:
        at, keys = self._keys
        if keys is None or time.monotonic() - at >= (KEYS_EVERY if again else FRESH):
            keys = KeySet.import_key_set(await self._get((await self._told())["jwks_uri"]))  # type: ignore[arg-type]  # checked there
            self._keys = (time.monotonic(), keys)
        return keys

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            async with httpx2.AsyncClient(timeout=TIMEOUT) as client:
                answer = await client.get(url)
            value = answer.json() if answer.status_code == 200 else None
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as problem:
            raise ProviderTrouble(f"{url}: {type(problem).__name__}: {problem}"[:300]) from None
        if not isinstance(value, dict):
            raise ProviderTrouble(f"{url} answers {answer.status_code} and no JSON object; is signin.issuer right?")
        return value
