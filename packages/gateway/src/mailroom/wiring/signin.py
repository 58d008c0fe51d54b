"""Who may use the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailroom.observe import events
from mailroom.settings import Settings, SigninSettings
from mailroom.signin.keys import Keyed
from mailroom.signin.links import FILE, offer_set_up
from mailroom.signin.passwords import Passwords
from mailroom.signin.reception import Reception
from mailroom.signin.record import Record
from mailroom.signin.staff import Staff
from mailroom.wiring.parts import Parts, credential_key, utc_now
from mailroom_core.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from mailroom.console.door import Door
    from mailroom.signin.admission import Admission
    from mailroom.signin.provider import Provider


def make_reception(parts: Parts) -> Reception:
    return Reception(
        users=parts.store.users,
        open_secret=parts.vault.open,
        keyed=Keyed(credential_key(parts)),
        clock=utc_now,
        idle=parts.settings.signin.idle,
        absolute=parts.settings.signin.lifetime,
        passwords=Passwords(),
        record=Record(parts.store.audit),
    )


def make_staff(parts: Parts) -> Staff:
    return Staff(
        users=parts.store.users,
        open_secret=parts.vault.open,
        seal=parts.vault.seal,
        keyed=Keyed(credential_key(parts)),
        clock=utc_now,
        passwords=Passwords(),
        record=Record(parts.store.audit),
    )


def address(settings: Settings, bound: str = "") -> str:
    """Where people find the console, without a slash at the end. `bound` is where the web server is known to listen."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.web.host, settings.web.host)  # noqa: S104  # compared, not bound
    return bound or f"http://{host}:{settings.web.port}"


def make_door(parts: Parts) -> Door:
    """Raises ConfigError."""
    from mailroom.console.door import Door

    provider, admission = make_provider(parts) or (None, None)
    return Door(
        reception=make_reception(parts),
        staff=make_staff(parts),
        clock=utc_now,
        provider=provider,
        admission=admission,
        provider_name=parts.settings.signin.name,
        public_url=parts.settings.public_url,
        set_up_file=parts.settings.data / FILE,
    )


def tell_set_up(parts: Parts, bound: str) -> None:
    """Blocking. Says where the link for the first administrator is, if there is none; never the link itself."""
    try:
        file = offer_set_up(make_staff(parts), parts.settings.data.absolute(), address(parts.settings, bound))
    except StoreError as problem:
        events.store_trouble(str(problem))
    else:
        if file is not None:
            events.set_up_needed(str(file))


def make_provider(parts: Parts) -> tuple[Provider, Admission] | None:
    """Imported only where there is one. Raises ConfigError."""
    given = parts.settings.signin
    if not given.issuer:
        return None
    from mailroom.signin.admission import Admission, Rules
    from mailroom.signin.provider import Provider, Registration

    users = parts.store.users
    registration = Registration(
        issuer=given.issuer,
        client_id=given.client_id,
        client_secret=_client_secret(given),
        address_claim=given.address_claim,
        groups_claim=given.groups_claim,
    )
    rules = Rules(domains=frozenset(domain.lower() for domain in given.domains), roles=given.roles, everybody=given.everybody)
    provider = Provider(registration, users=users, keyed=Keyed(credential_key(parts)), clock=utc_now)
    return provider, Admission(rules, users, Record(parts.store.audit))


def _client_secret(given: SigninSettings) -> str:
    if given.client_secret_file is None:
        return given.client_secret.get_secret_value()
    try:
        return given.client_secret_file.read_text("utf-8").strip()
    except OSError as problem:
        raise ConfigError(f"signin.client_secret_file: {given.client_secret_file} can't be read ({problem.strerror})") from None
