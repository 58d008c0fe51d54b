"""What ends by itself: a client secret, a certificate, a sign-in that nobody uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote

from cryptography import x509

from mailroom.objects import Account, Directory, GrantType, OutgoingServer, Provider, SmarthostRoute

SOON = timedelta(days=30)
"""So long before its end somebody is told."""
DISUSE = {Provider.MICROSOFT: timedelta(days=90), Provider.GOOGLE: timedelta(days=182)}
"""How long a refresh token lives without use (Microsoft Entra docs, identity-platform/refresh-tokens.md; Google Identity docs,
Refresh token expiration: six months)."""

Open = Callable[[str], dict[str, str] | None]
"""A secret of the vault by its name."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something of an account or a server that ends."""

    owner: str
    what: str
    at: datetime
    advice: str
    source: str = "kept here"
    """Who says so."""

    def is_soon(self, now: datetime) -> bool:
        return self.at - now <= SOON

    def told(self, now: datetime) -> str:
        """One line for people."""
        days = (self.at - now).days
        when = f"ends in {days} days, on {self.at:%d %b %Y}" if self.at > now else f"has ended on {self.at:%d %b %Y}"
        return f"{self.what} of {self.owner} {when}. {self.advice}"


def expiries(directory: Directory, opened: Open) -> list[Expiry]:
    """Of all accounts and servers, the nearest first. Blocking. Raises VaultError."""
    found: list[Expiry] = []
    for account in directory.accounts.values():
        found += of_account(account, opened(f"app:{account.name}") or {}, opened(f"account:{account.name}") or {})
    for server in directory.servers.values():
        found += of_server(server)
    return sorted(found, key=lambda each: each.at)


def of_server(server: OutgoingServer) -> list[Expiry]:
    """Our own certificate. Blocking."""
    if not isinstance(server.route, SmarthostRoute) or not server.route.client_certificate:
        return []
    return list(_certificate(server.name, _read(server.route.client_certificate), f"Renew {server.route.client_certificate}"))


def of_account(account: Account, proof: Mapping[str, str], kept: Mapping[str, str]) -> list[Expiry]:
    """`proof` is the app registration's, `kept` the grant."""
    connect = f"mailroom connect {quote(account.name)}"
    found = list(
        _certificate(account.name, proof.get("certificate", ""), f"Make a new one under Accounts, or run: {connect} --certificate FILE")
    )
    if on := proof.get("expires_on"):
        advice = f"Make a new one, and enter it under Accounts, or run: {connect} --secret --secret-expires DATE"
        found.append(Expiry(account.name, "client secret", datetime.fromisoformat(on).replace(tzinfo=UTC), advice))
    if account.grant is GrantType.DELEGATED and (end := _end_of_grant(account, kept)):
        found.append(Expiry(account.name, "sign-in", end, f"Send with it, or sign in again under Accounts, or run: {connect}"))
    return found


def _end_of_grant(account: Account, kept: Mapping[str, str]) -> datetime | None:
    """What the provider said, or the end of the time without use."""
    if not kept.get("refresh_token"):
        return None
    ends = [datetime.fromisoformat(kept["ends_at"])] if "ends_at" in kept else []
    if "used_at" in kept:
        ends.append(datetime.fromisoformat(kept["used_at"]) + DISUSE[account.provider])
    return min(ends, default=None)


def _certificate(owner: str, pem: str, advice: str) -> Iterable[Expiry]:
    try:
        end = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    except ValueError:
        return []
    return [Expiry(owner, "certificate", end, advice)]


def _read(file: str) -> str:
    try:
        return Path(file).read_text()
    except (OSError, ValueError):
        return ""
