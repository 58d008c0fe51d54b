"""The permissions that Mailroom asks for at Microsoft, and what a granted scope amounts to.

Source: Microsoft Graph docs, concepts/permissions-reference.md; Microsoft Entra docs, identity-platform/v2-oauth2-auth-code-flow.md
(both read 2026-11-20);
Office developer Exchange docs, how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth.md (read 2026-11-20).
"""

from __future__ import annotations

from enum import Enum

SIGN_IN = ("offline_access", "openid")


class Resource(Enum):
    """What a token opens. One grant covers several resources, one token only one of them."""

    GRAPH = "graph"
    """Microsoft Graph."""
    SMTP = "smtp"
    """The provider's own SMTP server, by XOAUTH2."""
    IMAP = "imap"
    """Its IMAP server."""
    POP = "pop"
    """Its POP3 server."""


class Tier(Enum):
    """What an account may do. `READ_WRITE` includes `SEND`; only with it can we look what became of a mail."""

    SEND = "Mail.Send"
    READ_WRITE = "Mail.ReadWrite"


def delegated_scopes(resource: str, tier: Tier, *, read: bool = False, shared: bool = False) -> tuple[str, ...]:
    """What a person consents to. `read` asks for Mail.Read, which READ_WRITE has in it; `shared` also for mailboxes that others share
    with them: work and school accounts only."""
    names = ["User.Read", "Mail.Send"]
    if tier is Tier.READ_WRITE:
        names.append("Mail.ReadWrite")
    elif read:
        names.append("Mail.Read")
    if shared:
        names += [f"{name}.Shared" for name in names if name.startswith("Mail.")]
    return (*SIGN_IN, *(f"{resource}/{name}" for name in names))


_AT_OUTLOOK = {Resource.SMTP: "SMTP.Send", Resource.IMAP: "IMAP.AccessAsUser.All", Resource.POP: "POP.AccessAsUser.All"}


def outlook_scopes(outlook: str, resource: Resource) -> tuple[str, ...]:
    """What a person consents to for a protocol of Exchange Online. `outlook` is a name of its own: no token is for it and Graph."""
    return (*SIGN_IN, f"{outlook}/{_AT_OUTLOOK[resource]}")


def application_scopes(resource: str) -> tuple[str, ...]:
    """What an app-only grant asks for: all that an administrator has consented to, in one word."""
    return (f"{resource}/.default",)


def granted(scope: str) -> frozenset[str]:
    """The permissions in a token response's `scope`, lower case and without the resource: `mail.send`, `mail.readwrite`, ..."""
    return frozenset(word.rpartition("/")[2].lower() for word in scope.split())


def tier_of(scope: str) -> Tier | None:
    """What a delegated grant allows. None: not even sending, or an app-only grant, whose `scope` does not say."""
    names = granted(scope)
    if "mail.send" not in names:
        return None
    return Tier.READ_WRITE if "mail.readwrite" in names else Tier.SEND
