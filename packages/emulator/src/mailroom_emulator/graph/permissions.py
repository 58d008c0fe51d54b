"""What a token may do with a mailbox (facts 1.1, 1.6, 4.7)."""

from dataclasses import dataclass

from mailroom_emulator.entra.tokens import Claims
from mailroom_emulator.graph.errors import GraphError, access_denied
from mailroom_emulator.tenant import Account, App, Right


@dataclass(frozen=True)
class Need:
    """Any one of these permissions; delegated access to another's mailbox wants its `.Shared` form."""

    names: frozenset[str]

    def shared(self) -> frozenset[str]:
        return frozenset(f"{name}.Shared" for name in self.names)


READ = Need(frozenset({"Mail.Read", "Mail.ReadWrite"}))
WRITE = Need(frozenset({"Mail.ReadWrite"}))
SEND = Need(frozenset({"Mail.Send"}))
PROFILE = Need(frozenset({"User.Read", "User.ReadBasic.All", "User.Read.All"}))


def check(need: Need, claims: Claims, app: App | None, account: Account, user: Account | None) -> None:
    """Raises the 403 that Graph answers when the token or the mailbox's rights don't suffice."""
    granted = claims.permissions
    if need is PROFILE:
        _check_profile(granted, account, user)
        return
    if user is None:
        if not need.names & granted:
            raise access_denied()
        if app is not None and app.only_mailboxes is not None and account.oid not in app.only_mailboxes:
            raise GraphError(403, "ErrorAccessDenied", "Access to OData is disabled.")
        return
    if user.oid == account.oid:
        if not (need.names | need.shared()) & granted:
            raise access_denied()
        return
    if not need.shared() & granted or not user.may(Right.FULL_ACCESS, account):
        raise access_denied()


def _check_profile(granted: frozenset[str], account: Account, user: Account | None) -> None:
    own = user is not None and user.oid == account.oid
    wanted = {"User.ReadBasic.All", "User.Read.All"} | ({"User.Read"} if own else set())
    if not wanted & granted:
        raise GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
