"""What an account's provider is asked, and where it is."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace

from mailroom.objects import Account, GrantType, Provider
from mailroom_core.errors import VaultError
from mailroom_core.flow import Flow
from mailroom_core.oauth import google, google_problems, microsoft, problems
from mailroom_core.oauth.grants import Grant, Identity, Secret
from mailroom_core.oauth.microsoft import Assertion, Cloud
from mailroom_core.oauth.problems import TokenProblem
from mailroom_core.oauth.scopes import Resource, Tier, delegated_scopes, outlook_scopes

App = microsoft.App | google.App
_CONSENT_IS_MISSING = {"AADSTS65001", "AADSTS90094"}
NAMES = {Provider.MICROSOFT: "Microsoft", Provider.GOOGLE: "Google"}


def cloud_of(account: Account) -> Cloud:
    """Where a Microsoft account lives; the addresses of an emulator replace the real ones."""
    cloud = microsoft.CLOUDS[account.cloud]
    return replace(cloud, login=account.login_url or cloud.login, graph=account.graph_url or cloud.graph)


def _site_of(account: Account) -> google.Site:
    return google.Site.at(account.login_url) if account.login_url else google.Site()


def app_of(account: Account, proof: Mapping[str, str], sign: Callable[[microsoft.App, str], str]) -> App:
    """The app registration with its proof; `sign` makes an assertion from a PEM. Raises VaultError."""
    secret = proof.get("secret")
    if account.provider is Provider.GOOGLE:
        if not secret:
            raise VaultError(f"the client secret of {account.name!r} is missing; run: mailroom connect {account.name} --google --secret")
        return google.App(account.client_id, Secret(secret), _site_of(account))
    app = microsoft.App(account.client_id, account.tenant, cloud=cloud_of(account))
    if secret:
        return replace(app, proof=Secret(secret))
    if pem := proof.get("certificate"):
        return replace(app, proof=Assertion(lambda: sign(app, pem)))
    return app


def prove_itself(account: Account, app: App) -> None:
    """An app that acts by itself has nothing else to show. Raises VaultError."""
    if account.grant is GrantType.APPLICATION and isinstance(app, microsoft.App) and app.proof is None:
        again = f"mailroom connect {shlex.quote(account.name)} --secret (or --certificate FILE)"
        what = f"the account {account.name!r} is not connected: it has neither a secret nor a certificate"
        raise VaultError(f"{what}; enter one under Accounts, or run: {again}")


def first_resource(account: Account) -> Resource:
    """What the token that comes with a sign-in is for."""
    return Resource.SMTP if account.provider is Provider.GOOGLE else Resource.GRAPH


def scopes_of(account: Account, resource: Resource) -> tuple[str, ...]:
    """What Microsoft is asked for with one token: the permissions at one resource."""
    cloud = cloud_of(account)
    if resource is not Resource.GRAPH:
        return outlook_scopes(cloud.outlook, resource)
    tier = Tier.READ_WRITE if account.read_write else Tier.SEND
    return delegated_scopes(cloud.resource, tier, read=account.read, shared=account.shared)


def consent_scopes(account: Account) -> tuple[str, ...]:
    """What a person is asked to agree to at Microsoft: the permissions at every resource that the account is used for."""
    wanted = (Resource.GRAPH, *(each for each, asked in _extras(account).items() if asked))
    return tuple(dict.fromkeys(scope for each in wanted for scope in scopes_of(account, each)))


def _extras(account: Account) -> dict[Resource, bool]:
    """What a person is asked for besides Graph, if the account says so."""
    return {Resource.SMTP: account.smtp, Resource.IMAP: account.imap, Resource.POP: account.pop}


def lacks(account: Account, resource: Resource) -> str:
    """Why no token for this resource can be asked for, and what to do; empty if it can."""
    if account.provider is Provider.GOOGLE:
        return f"the account {account.name!r} is Google's, and is not for Graph: use SMTP or IMAP" if resource is Resource.GRAPH else ""
    if account.grant is GrantType.DELEGATED and not _extras(account).get(resource, True):
        again = f"run: mailroom connect {account.name} --{resource.value}"
        server = {Resource.POP: "POP3"}.get(resource, resource.value.upper())
        return f"nobody was asked whether the account {account.name!r} may sign in to the {server} server; {again}"
    return ""


def sign_in_url(app: App, account: Account, *, redirect_uri: str, state: str, verifier: str) -> str:
    """Where to send the browser of the person who connects the account."""
    hint = account.mailbox
    if isinstance(app, google.App):
        return google.authorize_url(app, redirect_uri=redirect_uri, state=state, verifier=verifier, login_hint=hint)
    scopes = consent_scopes(account)
    return microsoft.authorize_url(app, redirect_uri=redirect_uri, scopes=scopes, state=state, verifier=verifier, login_hint=hint)


def redeem(app: App, account: Account, *, code: str, redirect_uri: str, verifier: str) -> Flow[Grant | TokenProblem]:
    if isinstance(app, google.App):
        return google.redeem_code(app, code=code, redirect_uri=redirect_uri, verifier=verifier)
    scopes = scopes_of(account, Resource.GRAPH)
    return microsoft.redeem_code(app, code=code, redirect_uri=redirect_uri, verifier=verifier, scopes=scopes)


def explained(app: App, problem: TokenProblem) -> str:
    """What went wrong and what to do, with the link for an administrator where only one can help."""
    if isinstance(app, microsoft.App) and problem.code in _CONSENT_IS_MISSING and app.tenant != "consumers":
        return f"{problem}. The link for an administrator: {microsoft.admin_consent_url(app)}"
    return str(problem)


def refused(account: Account, answer: Mapping[str, str]) -> TokenProblem | None:
    """What the browser brought back instead of a code."""
    if account.provider is Provider.GOOGLE:
        return google_problems.callback_problem(answer)
    return problems.callback_problem(answer)


def who(account: Account) -> Flow[Identity | TokenProblem]:
    """The person behind a delegated grant."""
    if account.provider is Provider.GOOGLE:
        return google.who_am_i(_site_of(account))
    return microsoft.who_am_i(cloud_of(account))


def fresh_token(app: App, account: Account, resource: Resource, refresh_token: str) -> Flow[Grant | TokenProblem]:
    """A token for one resource, from what we hold: the refresh token, or the app's own proof."""
    if isinstance(app, google.App):
        return google.refresh(app, refresh_token=refresh_token)
    if account.grant is GrantType.APPLICATION:
        return microsoft.client_credentials(app, resource)
    return microsoft.refresh(app, refresh_token=refresh_token, scopes=scopes_of(account, resource))
