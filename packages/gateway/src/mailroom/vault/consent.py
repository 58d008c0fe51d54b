"""Connecting an account: who signs in, and whether it is the one whom the account is meant for."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

from mailroom.objects import Account
from mailroom.vault import provider
from mailroom.vault.provider import App
from mailroom.vault.vault import nothing
from mailroom_core.errors import VaultError
from mailroom_core.flow import AsyncHttp, arun
from mailroom_core.oauth.grants import Grant, Identity
from mailroom_core.oauth.problems import TokenProblem


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
    url = provider.sign_in_url(app, account, redirect_uri=redirect_uri, state=state, verifier=verifier)
    return Consent(account, app, redirect_uri, state, verifier, url)


Authorized = Callable[[Callable[[str], Awaitable[str]]], AsyncHttp]
"""Makes an `http` that adds a token."""


async def finish(consent: Consent, answer: Mapping[str, str], http: AsyncHttp, with_token: Authorized) -> tuple[Grant, Identity]:
    """What the browser brought back becomes a grant. Raises VaultError, which says what to do."""
    if not compare_digest(answer.get("state", ""), consent.state):
        raise VaultError("the answer does not belong to this sign-in (wrong state); start it again with: mailroom connect")
    account = consent.account
    if problem := provider.refused(account, answer):
        raise VaultError(provider.explained(consent.app, problem))
    code = answer.get("code", "")
    flow = provider.redeem(consent.app, account, code=code, redirect_uri=consent.redirect_uri, verifier=consent.verifier)
    grant = await arun(flow, http, nothing)
    if isinstance(grant, TokenProblem):
        raise VaultError(provider.explained(consent.app, grant))
    if not grant.refresh_token:
        raise VaultError(f"{provider.NAMES[account.provider]} gave a token, but no lasting permission (refresh token); connect again")
    identity = await who(account, grant, with_token)
    mailbox = account.mailbox.lower()
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
            raise VaultError(f"{provider.NAMES[account.provider]} refuses the token that it has just given; start again")
        return grant.access_token

    identity = await arun(provider.who(account), with_token(token), nothing)
    if isinstance(identity, TokenProblem):
        raise VaultError(str(identity))
    return identity
