"""Connecting an account: who signs in, and whether it is the one whom the account is meant for."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

from mailroom.objects import Account
from mailroom.vault.provider import cloud_of, consent_scopes, scopes_of
from mailroom.vault.vault import nothing
from mailroom_core.errors import VaultError
from mailroom_core.flow import AsyncHttp, arun
from mailroom_core.oauth import microsoft
from mailroom_core.oauth.microsoft import App, Grant, Identity
from mailroom_core.oauth.problems import TokenProblem, callback_problem
from mailroom_core.oauth.scopes import Resource


@dataclass(frozen=True, slots=True)
class Consent:
    """One sign-in that is under way. It lives in memory and is used once."""

    account: Account
    app: App
    redirect_uri: str
    state: str = field(repr=False)
    verifier: str = field(repr=False)
    url: str = field(repr=False)
    """Where to send the person's browser."""


def begin(account: Account, app: App, redirect_uri: str) -> Consent:
    """State and PKCE verifier carry 256 random bits each."""
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    url = microsoft.authorize_url(
        app, redirect_uri=redirect_uri, scopes=consent_scopes(account), state=state, verifier=verifier, login_hint=account.mailbox
    )
    return Consent(account, app, redirect_uri, state, verifier, url)


Authorized = Callable[[Callable[[str], Awaitable[str]]], AsyncHttp]
"""Makes an `http` that adds a token."""


async def finish(consent: Consent, answer: Mapping[str, str], http: AsyncHttp, with_token: Authorized) -> tuple[Grant, Identity]:
    """What the browser brought back becomes a grant. Raises VaultError, which says what to do."""
    if not compare_digest(answer.get("state", ""), consent.state):
        raise VaultError("the answer does not belong to this sign-in (wrong state); start it again with: mailroom connect")
    if problem := callback_problem(answer):
        raise VaultError(str(problem))
    flow = microsoft.redeem_code(
        consent.app,
        code=answer.get("code", ""),
        redirect_uri=consent.redirect_uri,
        verifier=consent.verifier,
        scopes=scopes_of(consent.account, Resource.GRAPH),
    )
    grant = await arun(flow, http, nothing)
    if isinstance(grant, TokenProblem):
        raise VaultError(str(grant))
    identity = await who(consent.account, grant, with_token)
    mailbox = consent.account.mailbox.lower()
    if mailbox and mailbox not in identity.addresses:
        raise VaultError(
            f"{identity.addresses[0] if identity.addresses else identity.name} signed in, but the account is meant for {mailbox}; "
            f"sign in as {mailbox}, or name the right mailbox with --mailbox"
        )
    return grant, identity


async def who(account: Account, grant: Grant, with_token: Authorized) -> Identity:
    """The person behind a delegated grant."""

    async def token(refused: str) -> str:
        if refused:
            raise VaultError("Microsoft refuses the token that it has just given; start again")
        return grant.access_token

    identity = await arun(microsoft.who_am_i(cloud_of(account)), with_token(token), nothing)
    if isinstance(identity, TokenProblem):
        raise VaultError(str(identity))
    return identity
