"""What Microsoft Graph's errors mean for a mail: one table, read by `judge`.

A code decides before a status, and the deepest code that the table knows before those around it; the message decides nothing,
because the vendor changes it. What no row knows is `Deferred` and marked `unmapped`. `may_have_acted` tells whether an answer to
a send leaves open that the mail went out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from mailroom_core.flow import NoResponse, Response, json_object
from mailroom_core.model import Deferred, Failed, Held, Reply, Trouble

HOURS = timedelta(hours=2)
"""For limits that are counted over a day. A part of the budget comes back every hour, so looking again is worth it."""
_LONGEST = timedelta(days=1)


class Fate(Enum):
    """What becomes of the mail."""

    DEFER = "later"
    DEFER_LANE = "later, and so is everything of this mailbox"
    DEFER_HOURS = "hours later, and so is everything of this mailbox"
    FAIL = "never"
    FAIL_ADDRESS = "never, because of the address"
    HOLD = "a person decides about this mail"
    HOLD_LANE = "a person must act before anything of this mailbox goes on"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `codes` of the error object or, where there are none, `statuses`."""

    fate: Fate
    text: str
    """What happened."""
    todo: str
    source: str
    codes: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    may_have_acted: bool = False
    """As the answer to a send, it says nothing about whether the mail went out."""


_THROTTLING = "Microsoft Graph docs, concepts/throttling.md and throttling-limits.md, read 2026-11-20"
_ERRORS = "Microsoft Graph docs, concepts/errors.md, read 2026-11-20"
_SEND_AS = "Microsoft Graph docs, concepts/outlook-send-mail-from-other-user.md, read 2026-11-20"
_LIMIT_ACCESS = "Microsoft Graph docs, concepts/auth-limit-mailbox-access.md, read 2026-11-20"
_MESSAGE = "Microsoft Graph docs, resources/message.md; msgraph-sdk-dotnet#2105; read 2026-11-20"
_OURS = "this is a fault of this program: report it with this line, and send the mail through another server meanwhile"
_EXCHANGE = "Microsoft, Exchange Web Services reference, ResponseCode (office-developer-exchange-docs, responsecode.md), read 2026-11-21"
_RESTRICTED = (
    "Microsoft, Remove blocked users from the Restricted entities page; code of microsoft/botframework-solutions, which knows "
    "ErrorMessageSubmissionBlocked; read 2026-11-21"
)
_WAITS = "nobody has to act: it is tried again"
_ITSELF = "it goes on by itself"
_CARRIED = "send the mail through a server that can carry it"
_RECONNECT = "connect the account again"
_ROOM = "delete mail in it, or raise its quota"

ROWS: tuple[Row, ...] = (
    # -- the mail or its recipients
    Row(
        Fate.FAIL_ADDRESS,
        "A recipient's address is not valid",
        "correct it and send the mail again",
        "SMTP2Graph/SMTP2Graph#30",
        codes=("ErrorInvalidRecipients",),
    ),
    Row(
        Fate.FAIL,
        "The account may not send as this sender",
        "in the Exchange admin center, give it 'Send As' on the sender's mailbox"
        " (Add-RecipientPermission -AccessRights SendAs), or let the server rewrite the sender",
        _SEND_AS,
        codes=("ErrorSendAsDenied",),
    ),
    Row(
        Fate.FAIL,
        "The mail is larger than the mailbox may send",
        "send it smaller, or raise the mailbox's limit (Set-Mailbox -MaxSendSize, at most 150 MB)",
        "microsoft-graph-docs-contrib#2561; InnoGE/laravel-msgraph-mail#41",
        codes=("ErrorMessageSizeExceeded",),
    ),
    Row(
        Fate.FAIL,
        "Exchange has found a virus in the mail",
        "look at the files of the mail with a virus scanner, then send it again without them",
        _EXCHANGE,
        codes=("ErrorVirusDetected", "ErrorVirusMessageDeleted"),
    ),
    Row(
        Fate.HOLD,
        "The request is larger than Graph takes at once",
        _CARRIED,
        "microsoft-graph-docs-contrib#758, #682",
        codes=("RequestEntityTooLarge",),
    ),
    # -- our own request
    Row(
        Fate.HOLD,
        "Graph can't read the mail as it was handed over",
        _OURS,
        "Microsoft Graph docs, api-reference/v1.0/api/user-sendmail.md, read 2026-11-20; mguessan/davmail#472",
        codes=("ErrorMimeContentInvalidBase64String", "ErrorMimeContentInvalid", "UnableToDeserializePostBody"),
    ),
    Row(
        Fate.HOLD,
        "Graph does not take a header of the mail",
        _OURS,
        _MESSAGE,
        codes=("InvalidInternetMessageHeader", "InvalidInternetMessageHeaderCollection"),
    ),
    Row(
        Fate.HOLD,
        "Graph finds a search too complicated",
        _OURS,
        "Microsoft Graph docs, api-reference/v1.0/api/user-list-messages.md, read 2026-11-20",
        codes=("InefficientFilter",),
    ),
    Row(
        Fate.HOLD,
        "Graph wants this attachment handed over in another way",
        _OURS,
        "Microsoft Graph docs, concepts/outlook-large-attachments.md, read 2026-11-20",
        codes=("ErrorAttachmentSizeShouldNotBeLessThanMinimumSize",),
    ),
    # -- rights and mailboxes
    Row(
        Fate.HOLD_LANE,
        "Graph does not accept the account's token",
        _RECONNECT,
        _ERRORS,
        codes=("InvalidAuthenticationToken",),
    ),
    Row(
        Fate.HOLD_LANE,
        "The account has no right to this mailbox",
        "grant the app Mail.Send (and Mail.ReadWrite for large mail) or, in a shared"
        " mailbox, Full Access; if access of apps is limited, add the mailbox to what the app may reach. Where Mail.Send alone is"
        " granted, connect the account again for sending only",
        f"{_ERRORS}; {_LIMIT_ACCESS}",
        codes=("ErrorAccessDenied",),
    ),
    Row(
        Fate.HOLD_LANE,
        "There is no such mailbox, or it has no licence, or it lies on a server of its own",
        "check the server's mailbox address and the licence in the Microsoft 365 admin center",
        f"microsoft-graph-docs#10481; aomail-ai/aomail-app#18; O365/python-o365#438; {_EXCHANGE}",
        codes=("ErrorInvalidUser", "ResourceNotFound", "MailboxNotEnabledForRESTAPI", "ErrorNonExistentMailbox"),
    ),
    Row(
        Fate.HOLD_LANE,
        "The account is disabled in Exchange",
        "the administrator enables it, or another account is connected instead",
        _EXCHANGE,
        codes=("ErrorAccountDisabled",),
    ),
    Row(
        Fate.HOLD_LANE,
        "The password of the mailbox's owner has expired, or must be changed at the first sign-in",
        "its owner signs in with a browser and sets a new one, then connects the account again",
        _EXCHANGE,
        codes=("ErrorPasswordExpired", "ErrorPasswordChangeRequired"),
    ),
    Row(
        Fate.HOLD_LANE,
        "Microsoft has blocked the mailbox from sending, because spam left it or it looked like that",
        "sign in to the mailbox with a browser and follow its notice; the administrator changes its password and takes it off the"
        " Restricted entities in the Microsoft Defender portal (security.microsoft.com/restrictedentities)",
        _RESTRICTED,
        codes=("ErrorMessageSubmissionBlocked",),
    ),
    Row(
        Fate.HOLD_LANE,
        "The mailbox is full",
        _ROOM,
        "Exchange error ErrorQuotaExceeded; general knowledge, not looked up",
        codes=("ErrorQuotaExceeded",),
    ),
    # -- limits
    Row(
        Fate.DEFER_HOURS,
        "The mailbox has used up its daily limit of messages or recipients",
        f"{_ITSELF}. If a notice in the mailbox asks to verify the account, follow it",
        "public programs that handle ErrorExceededMessageLimit, with the statuses 400, 403 and 429; read 2026-11-20",
        codes=("ErrorExceededMessageLimit",),
    ),
    Row(
        Fate.DEFER_LANE,
        "Graph wants us to slow down",
        _ITSELF,
        _THROTTLING,
        codes=("ApplicationThrottled", "TooManyRequests", "activityLimitReached", "ErrorServerBusy"),
    ),
    # -- things that changed under our hands
    Row(
        Fate.DEFER,
        "The draft is not there any more",
        "it is made anew",
        "microsoft-graph-docs#1533; msgraph-sdk-dotnet#2947",
        codes=("ErrorItemNotFound",),
    ),
    Row(
        Fate.DEFER,
        "The item was changed at the same time",
        "it is tried again",
        "Exchange error ErrorIrresolvableConflict; general knowledge, not looked up",
        codes=("ErrorIrresolvableConflict",),
    ),
    Row(
        Fate.DEFER,
        "Graph has forgotten where we were",
        "it is read again from the beginning",
        "Microsoft Graph docs, concepts/delta-query-overview.md, read 2026-11-20; microsoft-graph-docs#2350",
        codes=("SyncStateNotFound", "resyncRequired"),
    ),
    Row(
        Fate.DEFER_LANE,
        "The mailbox is being moved, or its database is out of reach",
        _WAITS,
        _EXCHANGE,
        codes=("ErrorMailboxMoveInProgress", "ErrorMailboxStoreUnavailable", "ErrorMailboxFailover"),
        may_have_acted=True,
    ),
    # -- by status, where no code said more
    Row(Fate.HOLD_LANE, "Graph does not accept the account's token", _RECONNECT, _ERRORS, statuses=(401,)),
    Row(Fate.DEFER, "Graph gave up waiting for our request", "nobody has to act", "RFC 9110 15.5.9", statuses=(408,), may_have_acted=True),
    Row(Fate.DEFER, "The item was changed at the same time", "it is tried again", _ERRORS, statuses=(409, 412)),
    Row(
        Fate.HOLD,
        "The request is larger than Graph takes at once",
        _CARRIED,
        "microsoft-graph-docs-contrib#758, #682",
        statuses=(413,),
    ),
    Row(Fate.DEFER_LANE, "Graph wants us to slow down", _ITSELF, _THROTTLING, statuses=(429,)),
    Row(
        Fate.DEFER,
        "Graph is in trouble",
        "nobody has to act, it mostly passes",
        f"{_ERRORS}; that a 504 may have sent the mail: Microsoft Q&A 2286986, n8n-io/n8n#19602",
        statuses=(500, 502, 503, 504),
        may_have_acted=True,
    ),
    Row(Fate.HOLD_LANE, "The mailbox is full", _ROOM, _ERRORS, statuses=(507,)),
    Row(Fate.DEFER_HOURS, "We have used up our bandwidth at Graph", _ITSELF, _ERRORS, statuses=(509,)),
)

NO_MAILBOX = frozenset({"ErrorInvalidUser", "ResourceNotFound", "MailboxNotEnabledForRESTAPI"})
"""`Reply.name`s that say: this sender has no mailbox. Graph uses them in turn for one and the same user (microsoft-graph-docs#10481)."""

_BY_CODE = {code.lower(): (code, row) for row in ROWS for code in row.codes}
_BY_STATUS = {status: row for row in ROWS for status in row.statuses}


def judge(response: Response) -> Trouble:
    """The outcome for a mail whose request was answered with an error."""
    name, row = _find(response)
    wish = retry_after(response)
    if row is None:
        text = f"Graph answered {response.status} {name}".rstrip() + ", which this program does not know; it is tried again"
        return Deferred(_reply(response, name, text), wish, unmapped=True)
    reply = _reply(response, name, f"{row.text}; {row.todo}")
    match row.fate:
        case Fate.DEFER:
            # A 503 with a wish is throttling (Microsoft Graph docs, concepts/throttling.md), and that counts per mailbox.
            return Deferred(reply, wish, lane=response.status == 503 and wish is not None)
        case Fate.DEFER_LANE:
            return Deferred(reply, wish, lane=True)
        case Fate.DEFER_HOURS:
            return Deferred(reply, wish or HOURS, lane=True)
        case Fate.FAIL | Fate.FAIL_ADDRESS:
            return Failed(reply, bad_address=row.fate is Fate.FAIL_ADDRESS)
        case _:
            return Held(reply, lane=row.fate is Fate.HOLD_LANE)


def known(code: str) -> Row | None:
    """What the table says of a code; letter case does not count."""
    return _BY_CODE[code.lower()][1] if code.lower() in _BY_CODE else None


def may_have_acted(response: Response) -> bool:
    """Whether an error that answers a send leaves open that the mail went out."""
    _, row = _find(response)
    if row is None:
        return response.status >= 500
    return row.may_have_acted and not (response.status == 503 and retry_after(response) is not None)


def wants_sign_in(reply: Reply) -> bool:
    """Whether the way out begins with a new sign-in, or with other permissions."""
    return reply.code == 401 or reply.name in ("InvalidAuthenticationToken", "ErrorAccessDenied")


def no_answer(problem: NoResponse) -> Deferred:
    """The outcome of a lost request that can't have sent anything."""
    return Deferred(Reply(0, f"No answer from Graph ({problem.why}); it is tried again. If it lasts, check network, proxy and DNS"))


def retry_after(response: Response) -> timedelta | None:
    """The provider's wish. Seconds, also fractional (concepts/throttling.md has 2.128); None if absent or unreadable."""
    try:
        wish = timedelta(seconds=float(response.headers.get("retry-after", "")))
    except (ValueError, OverflowError):
        return None
    return min(max(wish, timedelta()), _LONGEST)


def error_codes(response: Response) -> tuple[str, ...]:
    """The codes of the error object, from the outermost to the deepest; `innerError` occurs in two spellings."""
    codes: list[str] = []
    error = json_object(response).get("error")
    while isinstance(error, dict):
        if isinstance(error.get("code"), str):
            codes.append(error["code"])
        error = error.get("innerError", error.get("innererror"))
    return tuple(codes)


def _find(response: Response) -> tuple[str, Row | None]:
    codes = error_codes(response)
    for code in reversed(codes):
        if found := _BY_CODE.get(code.lower()):
            return found
    return (codes[0][:80] if codes else ""), _BY_STATUS.get(response.status)


def _reply(response: Response, name: str, text: str) -> Reply:
    error = json_object(response).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    said = " ".join(message.split())[:200] if isinstance(message, str) else ""
    return Reply(response.status, f"{text} (Graph: {said})" if said else text, name=name)
