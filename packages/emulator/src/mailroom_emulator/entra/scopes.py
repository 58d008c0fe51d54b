"""Scopes: which resource they belong to, and what may be asked for."""

from dataclasses import dataclass

from mailroom_emulator.entra.errors import EntraError

GRAPH = "https://graph.microsoft.com"
GRAPH_APP = "00000003-0000-0000-c000-000000000000"
OUTLOOK = "https://outlook.office.com"
OPENID = {"openid", "profile", "email", "offline_access"}
RESOURCES = {
    GRAPH: GRAPH,
    GRAPH_APP: GRAPH,
    OUTLOOK: OUTLOOK,
    "https://outlook.office365.com": OUTLOOK,
}
DELEGATED = {
    GRAPH: {
        "User.Read",
        "User.ReadBasic.All",
        "User.Read.All",
        "Mail.Read",
        "Mail.ReadBasic",
        "Mail.ReadWrite",
        "Mail.Send",
        "Mail.Read.Shared",
        "Mail.ReadWrite.Shared",
        "Mail.Send.Shared",
        "MailboxSettings.Read",
        "MailboxSettings.ReadWrite",
    },
    OUTLOOK: {"SMTP.Send", "IMAP.AccessAsUser.All", "POP.AccessAsUser.All"},
}
ROLES = {
    GRAPH: {"User.Read.All", "Mail.Read", "Mail.ReadBasic", "Mail.ReadWrite", "Mail.Send", "MailboxSettings.Read"},
    OUTLOOK: {"SMTP.SendAsApp", "IMAP.AccessAsApp", "POP.AccessAsApp"},
}
NOT_FOR_CONSUMERS = {"Mail.Read.Shared", "Mail.ReadWrite.Shared", "Mail.Send.Shared"}  # facts 1.1


@dataclass(frozen=True)
class Wanted:
    """What a request asks for: full names per resource, whether `.default` was among them, and how it was written."""

    names: frozenset[tuple[str, str]]  # (resource, permission)
    default_of: frozenset[str]
    openid: frozenset[str]
    spelling: dict[tuple[str, str], str]

    @property
    def resources(self) -> set[str]:
        return {resource for resource, _ in self.names} | set(self.default_of)


def parse(text: str) -> Wanted:
    """The scopes of a request; raises AADSTS70011 for one that no resource has, AADSTS500011 for an unknown resource."""
    names: set[tuple[str, str]] = set()
    default_of: set[str] = set()
    spelling: dict[tuple[str, str], str] = {}
    for scope in text.split():
        if scope in OPENID:
            continue
        resource_text, slash, permission = scope.rpartition("/")
        resource = RESOURCES.get(resource_text.rstrip("/")) if slash else GRAPH
        if resource is None:
            raise EntraError(500011, resource=resource_text, tenant="the tenant")
        if permission == ".default":
            default_of.add(resource)
            continue
        known = {p.lower(): p for p in DELEGATED[resource]}
        if permission.lower() not in known:
            raise EntraError(70011, scope=scope)
        key = (resource, known[permission.lower()])
        names.add(key)
        spelling[key] = scope
    openid = frozenset(s for s in text.split() if s in OPENID)
    return Wanted(frozenset(names), frozenset(default_of), openid, spelling)
