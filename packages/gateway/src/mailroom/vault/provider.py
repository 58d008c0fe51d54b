"""What an account's provider is asked, and where it is."""

from __future__ import annotations

from dataclasses import replace

from mailroom.objects import Account, GrantType
from mailroom_core.flow import Flow
from mailroom_core.oauth import microsoft
from mailroom_core.oauth.microsoft import App, Cloud, Grant
from mailroom_core.oauth.problems import TokenProblem
from mailroom_core.oauth.scopes import Resource, Tier, delegated_scopes, smtp_scopes


def cloud_of(account: Account) -> Cloud:
    """Where the account lives; the addresses of an emulator replace the real ones."""
    cloud = microsoft.CLOUDS[account.cloud]
    return replace(cloud, login=account.login_url or cloud.login, graph=account.graph_url or cloud.graph)


def scopes_of(account: Account, resource: Resource) -> tuple[str, ...]:
    """What a token is asked for: the permissions at one resource."""
    cloud = cloud_of(account)
    if resource is Resource.SMTP:
        return smtp_scopes(cloud.outlook)
    tier = Tier.READ_WRITE if account.read_write else Tier.SEND
    return delegated_scopes(cloud.resource, tier, shared=account.shared)


def consent_scopes(account: Account) -> tuple[str, ...]:
    """What a person is asked to agree to: the permissions at every resource that the account is used for."""
    wanted = scopes_of(account, Resource.GRAPH)
    return tuple(dict.fromkeys((*wanted, *scopes_of(account, Resource.SMTP)))) if account.smtp else wanted


def lacks(account: Account, resource: Resource) -> str:
    """The option of `mailroom connect` without which nobody was asked for this resource; empty if none is missing."""
    return "--smtp" if resource is Resource.SMTP and account.grant is GrantType.DELEGATED and not account.smtp else ""


def fresh_token(app: App, account: Account, resource: Resource, refresh_token: str) -> Flow[Grant | TokenProblem]:
    """A token for one resource, from what we hold: the refresh token, or the app's own proof."""
    if account.grant is GrantType.APPLICATION:
        return microsoft.client_credentials(app, resource)
    return microsoft.refresh(app, refresh_token=refresh_token, scopes=scopes_of(account, resource))
