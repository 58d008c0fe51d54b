"""As whom a mailbox may send: what Graph tells of it, and what it does not.

Graph tells the addresses of a mailbox, whether a mailbox is open to us, and under which From a mail of ours stands in Sent Items. It tells
neither Send As and Send on Behalf nor the tenant's SendFromAliasEnabled (Exchange PowerShell: Get-RecipientPermission, Get-Mailbox,
Get-OrganizationConfig). Source: Microsoft Graph docs, resources/user.md and concepts/outlook-send-mail-from-other-user.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailroom_core.flow import Flow, NoResponse, Request, Response, ask, json_object
from mailroom_core.model import Held, Reply, Trouble
from mailroom_core.providers.graph.errors import judge, no_answer
from mailroom_core.providers.graph.mailbox import Mailbox

DENIED = frozenset({"ErrorSendAsDenied", "ErrorAccessDenied"})
"""`Reply.name`s that say: not as this sender."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Of one mailbox, in lower case."""

    primary: str
    others: tuple[str, ...] = ()
    """Its aliases; and the name that its owner signs in with, where that is an address of its own."""

    def has(self, address: str) -> bool:
        return address.lower() in (self.primary, *self.others)


@dataclass(frozen=True, slots=True)
class Shown:
    """Under which names a mail was sent. They are the same with Send As, and differ with Send on Behalf."""

    author: str
    sender: str


def addresses_of(mailbox: Mailbox) -> Flow[Addresses | Trouble]:
    """Needs User.Read for one's own, and User.Read.All for others'."""
    response = yield from _asked(mailbox.get(query={"$select": "mail,userPrincipalName,proxyAddresses"}))
    if not isinstance(response, Response):
        return response
    fields = json_object(response)
    listed = fields.get("proxyAddresses")
    proxies = [each for each in (listed if isinstance(listed, list) else []) if isinstance(each, str)]
    mails = [each[5:].lower() for each in proxies if each.lower().startswith("smtp:")]
    primary = next((each[5:].lower() for each in proxies if each.startswith("SMTP:")), "")
    given = [str(fields.get(name) or "").lower() for name in ("mail", "userPrincipalName")]
    found = dict.fromkeys(each for each in (primary, *given, *mails) if "@" in each)
    if not found:
        return Held(Reply(response.status, "Graph does not tell the addresses of the mailbox"))
    first, *others = found
    return Addresses(first, tuple(others))


def may_open(mailbox: Mailbox) -> Flow[Trouble | None]:
    """What stands in the way of opening a mailbox; None: nothing does."""
    response = yield from _asked(mailbox.get("mailFolders", "inbox", query={"$select": "id"}))
    return None if isinstance(response, Response) else response


def objection(mailbox: Mailbox, address: str) -> Flow[Trouble | None]:
    """What Graph has against a sender, asked with a mail to nobody, which can't be sent. None: it minds the missing recipients alone.

    A no for the sender is one. That it looks at the sender before the recipients is not documented, so None proves nothing by itself.
    """
    mail = {"subject": "", "from": {"emailAddress": {"address": address}}, "toRecipients": []}
    response = yield from _asked(mailbox.post_json("sendMail", fields={"message": mail}))
    return None if isinstance(response, Response) or response.reply.name == "ErrorInvalidRecipients" else response


def shown_as(mailbox: Mailbox, message: str) -> Flow[Shown | Trouble]:
    """The names on a mail that is in the mailbox."""
    response = yield from _asked(mailbox.get("messages", message, query={"$select": "from,sender"}))
    if not isinstance(response, Response):
        return response
    fields = json_object(response)
    return Shown(_address(fields.get("from")), _address(fields.get("sender")))


def _asked(request: Request) -> Flow[Response | Trouble]:
    try:
        response = yield from ask(request)
    except NoResponse as problem:
        return no_answer(problem)
    return response if 200 <= response.status < 300 else judge(response)


def _address(value: object) -> str:
    inner = value.get("emailAddress") if isinstance(value, dict) else None
    return str(inner.get("address") or "").lower() if isinstance(inner, dict) else ""
