"""The forms of incoming servers: one for each kind of mailbox."""

from __future__ import annotations

from typing import Any

from mailroom.console.forms import Field
from mailroom.objects import Directory, GraphInbox, ImapInbox, Inbox, IncomingServer, PopInbox
from mailroom_core.model import After
from mailroom_core.providers.reading import BY_KEY

KINDS = {"graph": "Microsoft 365, by Graph", "imap": "IMAP", "pop": "POP3"}
NAME = Field("name", "Name", required=True)
_AFTER = {
    After.READ: "Mark it as read",
    After.MOVE: "Move it to the folder below",
    After.DELETE: "Delete it",
    After.NOTHING: "Leave it as it is, for an account that may only read",
}
_AFTER_POP = {After.DELETE: "Delete it", After.NOTHING: "Leave it there"}
_SECURITY = (("tls", "TLS from the start"), ("starttls", "STARTTLS"), ("none", "None, within a private network"))


def source_fields(kind: str, directory: Directory, old: IncomingServer | None = None) -> tuple[Field, ...]:
    """What says which mailbox it is, and who signs in. A file of the machine is chosen on it; it can be left out from here."""
    accounts = tuple((name, name) for name in sorted(directory.accounts))
    if kind == "graph":
        return (
            Field("account", "Account", "choice", choices=accounts or (("", "No account yet: connect one first"),)),
            Field("mailbox", "Mailbox", help="The address of another mailbox that the account may read. Empty: the account's own."),
            Field("folder", "Folder", help="A well-known name such as inbox, or a path such as Inbox/Invoices.", required=True),
        )
    door = (
        Field("host", "Host", required=True),
        Field("port", "Port", "number", "With TLS from the start 993 for IMAP and 995 for POP3, with STARTTLS 143 and 110."),
        Field("security", "Encryption", "choice", choices=_SECURITY),
        Field("account", "Account", "choice", "Signs in with its token (XOAUTH2) instead of a password.", (("", "None"), *accounts)),
        Field("user", "User", help="Who signs in with a password. With an account: another mailbox that it may open; empty is its own."),
        Field("password", "Password", "password", "Empty: it stays as it is. It is kept sealed, and never shown."),
    )
    named = getattr(old.source, "ca_file", "") if old else ""
    own_ca = (
        (Field("ca_file", "File with its CA", help="As chosen with `mailroom apply`. Empty: the CAs of this machine."),) if named else ()
    )
    if kind == "pop":
        return (*door, *own_ca)
    folder = Field("folder", "Folder", help="A name such as INBOX, or a path such as INBOX/Invoices.", required=True)
    return (*door, folder, Field("idle", "Wait there, so that mail is taken as soon as it comes (IDLE)", "tick"), *own_ca)


def common_fields(kind: str, directory: Directory) -> tuple[Field, ...]:
    destinations = tuple((name, name) for name in sorted(directory.destinations))
    then = _AFTER_POP if kind == "pop" else _AFTER
    move_to = () if kind == "pop" else (Field("move_to", "Folder to move it to", help="Only where mail is moved."),)
    return (
        Field("after", "When a mail is safe here", "choice", choices=tuple((each.value, words) for each, words in then.items())),
        *move_to,
        Field(
            "destination",
            "Destination",
            "choice",
            "Takes what no alias wants.",
            choices=(("", "None: it waits in quarantine"), *destinations),
        ),
        Field("every_minutes", "Minutes between two looks", "number"),
        Field(
            "authserv_id",
            "Name in Authentication-Results",
            help="Under which this mailbox's own server says who is proven. Empty: nobody counts as proven.",
        ),
        Field("active", "In use", "tick"),
    )


def usual(kind: str, preset: str = "") -> IncomingServer:
    """What a new one begins with; a well-known service fills in its host."""
    service = BY_KEY.get(preset)
    source: Inbox = GraphInbox(account="")
    if kind == "imap":
        source = ImapInbox(host=service.imap if service else "")
    if kind == "pop":
        source = PopInbox(host=service.pop if service else "")
    return IncomingServer(name="", source=source, after=After.DELETE if kind == "pop" else After.READ)


def shown(fields: tuple[Field, ...], server: IncomingServer) -> dict[str, Any]:
    """Its values by field; a password is never among them."""
    return {each.name: _plain(getattr(server.source, each.name, getattr(server, each.name, ""))) for each in fields}


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)
