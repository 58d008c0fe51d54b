"""Accounts: identities that we hold a grant for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Provider(Enum):
    MICROSOFT = "microsoft"
    GOOGLE = "google"
    """By its SMTP server, with XOAUTH2."""


class GrantType(Enum):
    """How we came to our rights."""

    DELEGATED = "delegated"
    """A person signed in (authorization code with PKCE); we act for them."""
    APPLICATION = "application"
    """App-only (client credentials); an administrator consented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An identity that we hold a grant for. Its secrets lie in the vault under its name, never here."""

    name: str
    provider: Provider = Provider.MICROSOFT
    grant: GrantType = GrantType.DELEGATED
    mailbox: str = ""
    """The address of the mailbox that signs in; empty for app-only until a server names one."""
    tenant: str = "common"
    client_id: str = ""
    cloud: str = "global"
    login_url: str = ""
    """Only for other hosts than the provider's own, such as the emulator."""
    graph_url: str = ""
    read_write: bool = True
    """Ask for Mail.ReadWrite: drafts, large attachments, and looking before sending again."""
    read: bool = False
    """Without it, ask for Mail.Read: mail can be fetched, and stays as it is in its mailbox."""
    shared: bool = True
    """Ask for the .Shared permissions as well (work and school accounts only)."""
    smtp: bool = False
    """Ask for SMTP.Send as well, for a smarthost that signs in with this account."""
    imap: bool = False
    """Ask for IMAP.AccessAsUser.All as well, for an incoming server that signs in with this account."""
    pop: bool = False
    """The same with POP.AccessAsUser.All."""
    external_recipients_per_day: int = 0
    """Recipients outside our own domains that all accounts of the tenant may have in any 24 hours; 0 is no limit of ours."""

    @property
    def place(self) -> tuple[object, ...]:
        """Where its secrets are shown, and as which app."""
        return (self.provider, self.cloud, self.login_url, self.graph_url, self.client_id)
