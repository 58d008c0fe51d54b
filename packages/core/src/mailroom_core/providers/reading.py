"""Where well-known services let mailboxes be read by IMAP and POP3, and what they want for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Service:
    """TLS from the first byte, on the usual ports."""

    key: str
    name: str
    imap: str
    pop: str
    sign_in: str
    """Who signs in, in words."""
    hint: str
    source: str
    """Where this is known from."""
    only_account: bool = False
    """Passwords are not taken."""


SERVICES: tuple[Service, ...] = (
    Service(
        key="microsoft",
        name="Microsoft 365, Outlook.com",
        imap="outlook.office365.com",
        pop="outlook.office365.com",
        sign_in="a connected Microsoft account that was asked for IMAP or POP3; passwords are not taken any more",
        hint="Graph does the same without IMAP, and tells of new mail by itself: mailroom incoming add",
        source="Office developer Exchange docs, how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth.md (read 2026-11-20)",
        only_account=True,
    ),
    Service(
        key="gmail",
        name="Gmail, Google Workspace",
        imap="imap.gmail.com",
        pop="pop.gmail.com",
        sign_in="a connected Google account, or the address and an app password",
        hint="Gmail archives what IMAP deletes in a folder: to delete it, let it be moved to [Gmail]/Trash. POP3 is to be allowed in the "
        "settings of Gmail first",
        source="Google Workspace admin help and Gmail docs, gmail/imap/imap-smtp (read 2026-11-21)",
    ),
)
BY_KEY = {each.key: each for each in SERVICES}
