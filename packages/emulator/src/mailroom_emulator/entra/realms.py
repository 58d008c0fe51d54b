"""The `{tenant}` of a path: which accounts may sign in there, and which applications may use it."""

from dataclasses import dataclass

from mailroom_emulator.entra.errors import EntraError
from mailroom_emulator.tenant import CONSUMER_TENANT, Account, App, Audience, Realm, Tenant


@dataclass(frozen=True)
class Segment:
    """One `{tenant}`; `concrete` means that it names one tenant."""

    text: str
    realms: frozenset[Realm]
    concrete: bool


def resolve(tenant: Tenant, text: str) -> Segment:
    name = text.lower()
    if name == "common":
        return Segment(text, frozenset(Realm), False)
    if name == "organizations":
        return Segment(text, frozenset({Realm.ORGANIZATION}), False)
    if name in ("consumers", CONSUMER_TENANT):
        return Segment(text, frozenset({Realm.CONSUMERS}), False)
    if name == tenant.id or name in tenant.domains:
        return Segment(text, frozenset({Realm.ORGANIZATION}), True)
    raise EntraError(90002, tenant=text)


def admit(tenant: Tenant, segment: Segment, app: App) -> None:
    """Refuse an application that is not registered for this kind of sign-in."""
    if app.audience is Audience.SINGLE_TENANT and not segment.concrete:
        raise EntraError(50194, client=app.client_id)
    if segment.realms == {Realm.CONSUMERS} and app.audience is not Audience.EVERYONE:
        raise EntraError(700016, client=app.client_id, tenant=segment.text)


def admits(segment: Segment, app: App, account: Account) -> bool:
    if account.realm is Realm.CONSUMERS and app.audience is not Audience.EVERYONE:
        return False
    return account.realm in segment.realms
