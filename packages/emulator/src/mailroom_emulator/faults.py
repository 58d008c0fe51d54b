"""Scripted faults: which requests they hit, and what they do to them.

A fault is `{"match": {...}, "times": 1, "skip": 0, "probability": 1.0, "action": {"kind": ...}}`. The first one that
matches a request and still has `times` left is applied, after having let `skip` matching requests pass.
"""

import itertools
import random
import re
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

Json = dict[str, Any]

MESSAGES = {
    "InvalidAuthenticationToken": "Lifetime validation failed, the token is expired.",
    "ErrorSendAsDenied": "The user account which was used to submit this request does not have the right to send mail"
    " on behalf of the specified sending account., Cannot submit message.",
    "ErrorItemNotFound": "The specified object was not found in the store.",
    "ApplicationThrottled": "Application is over its MailboxConcurrency limit.",
    "ErrorExceededMessageLimit": "Daily Message/Recipient limit exceeded. Follow the instructions in your Inbox to verify your account.",
    "UnknownError": "",
}
DEFAULT_CODES = {
    400: "BadRequest",
    401: "InvalidAuthenticationToken",
    403: "ErrorAccessDenied",
    404: "ErrorItemNotFound",
    413: "RequestEntityTooLarge",
    429: "ApplicationThrottled",
    500: "InternalServerError",
    502: "UnknownError",
    503: "serviceNotAvailable",
    504: "UnknownError",
}


class FaultError(ValueError):
    """What was given is not a fault; the text says why."""


@dataclass(frozen=True)
class Answer:
    """Answer this. `aadsts` gives a token request Entra's own error; `body` is sent as it is instead of Graph's shape."""

    status: int = 503
    code: str = ""
    message: str = ""
    retry_after: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    aadsts: int | None = None
    body: str | None = None


@dataclass(frozen=True)
class Refuse:
    """Do nothing and answer."""

    answer: Answer


@dataclass(frozen=True)
class DoButAnswer:
    """Do it, and answer something else."""

    answer: Answer


@dataclass(frozen=True)
class AnswerAndDoLater:
    """Answer now, do it after a while."""

    answer: Answer
    after: timedelta


@dataclass(frozen=True)
class Drop:
    """Reset the connection: before doing it, after doing it, or when so many bytes of the body have come in."""

    when: str = "before"
    after_bytes: int | None = None


@dataclass(frozen=True)
class Delay:
    """Take a while, then do it and answer truly."""

    span: timedelta


@dataclass(frozen=True)
class Effects:
    """What a fault changes about a sending that otherwise succeeds."""

    sent_copy_missing: bool = False
    sent_copy_lag: timedelta = timedelta()
    new_immutable_id: bool = False
    expire_upload: bool = False


Action = Refuse | DoButAnswer | AnswerAndDoLater | Drop | Delay | Effects
NO_EFFECTS = Effects()


@dataclass(frozen=True)
class Match:
    """Which requests; what is empty does not count. `path` is searched for, without query."""

    operations: frozenset[str] = frozenset()
    method: str = ""
    path: str = ""
    mailbox: str = ""

    def fits(self, operation: str, method: str, path: str, mailbox: str) -> bool:
        return (
            (not self.operations or operation in self.operations)
            and (not self.method or method == self.method)
            and (not self.path or re.search(self.path, path) is not None)
            and (not self.mailbox or mailbox == self.mailbox)
        )


@dataclass
class Fault:
    id: str
    match: Match
    action: Action
    times: int | None
    skip: int
    probability: float
    given: Json
    hits: int = 0

    def json(self) -> Json:
        return {"id": self.id, **self.given, "hits": self.hits, "left": self.times}


class Faults:
    """The faults that are set, in order."""

    def __init__(self, operations: tuple[str, ...], seed: int = 0) -> None:
        self._operations = operations
        self._serial = itertools.count(1)
        self._random = random.Random(seed)  # noqa: S311 - a repeatable sequence is wanted
        self.all: list[Fault] = []

    def add(self, value: Json) -> Fault:
        """Set a fault; raises FaultError for what is not one."""
        _only(value, {"match", "times", "skip", "probability", "action", "seed"}, "a fault")
        if "seed" in value:
            self._random.seed(int(value["seed"]))
        times = value.get("times", 1)
        fault = Fault(
            id=str(next(self._serial)),
            match=self._match(value.get("match") or {}),
            action=read_action(value.get("action") or {}),
            times=None if times is None else int(times),
            skip=int(value.get("skip", 0)),
            probability=float(value.get("probability", 1.0)),
            given=value,
        )
        self.all.append(fault)
        return fault

    def remove(self, fault_id: str | None) -> None:
        self.all = [f for f in self.all if fault_id is not None and f.id != fault_id]

    def take(self, operation: str, method: str, path: str, mailbox: str) -> Action | None:
        """The action for this request, which is used up by that."""
        for fault in self.all:
            if fault.times == 0 or not fault.match.fits(operation, method, path, mailbox):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.probability < 1.0 and self._random.random() >= fault.probability:
                continue
            fault.hits += 1
            if fault.times is not None:
                fault.times -= 1
            return fault.action
        return None

    def _match(self, value: Json) -> Match:
        _only(value, {"operation", "method", "path", "mailbox"}, "a match")
        names = value.get("operation", ())
        operations = frozenset([names] if isinstance(names, str) else names)
        wrong = sorted(operations - set(self._operations))
        if wrong:
            raise FaultError(f"there is no operation {wrong[0]!r}; there are: {', '.join(self._operations)}")
        try:
            re.compile(value.get("path", ""))
        except re.error as error:
            raise FaultError(f"the path is not a regular expression: {error}") from error
        return Match(operations, str(value.get("method", "")).upper(), value.get("path", ""), value.get("mailbox", ""))


def read_action(value: Json) -> Action:
    rest = {k: v for k, v in value.items() if k != "kind"}
    match value.get("kind"):
        case "answer":
            return Refuse(_answer(rest))
        case "do_but_answer":
            return DoButAnswer(_answer(rest))
        case "answer_and_do_later":
            return AnswerAndDoLater(_answer({k: v for k, v in rest.items() if k != "seconds"}), _seconds(rest))
        case "drop":
            return _drop(rest)
        case "delay":
            _only(rest, {"seconds"}, "the action 'delay'")
            return Delay(_seconds(rest))
        case "sent_copy":
            _only(rest, {"missing", "seconds"}, "the action 'sent_copy'")
            return Effects(bool(rest.get("missing", False)), timedelta(seconds=float(rest.get("seconds", 0))))
        case "change_ids":
            _only(rest, set(), "the action 'change_ids'")
            return Effects(new_immutable_id=True)
        case "expire_upload":
            _only(rest, set(), "the action 'expire_upload'")
            return Effects(expire_upload=True)
        case kind:
            raise FaultError(
                f"there is no action of kind {kind!r}; there are: answer, do_but_answer, answer_and_do_later, drop,"
                " delay, sent_copy, change_ids, expire_upload"
            )


def _answer(value: Json) -> Answer:
    _only(value, {f.name for f in fields(Answer)}, "an answer")
    status = int(value.get("status", 503))
    code = str(value.get("code") or DEFAULT_CODES.get(status, "UnknownError"))
    message = str(value.get("message") or MESSAGES.get(code, f"A fault that was asked for: {code}."))
    after = value.get("retry_after")
    return Answer(
        status=status,
        code=code,
        message=message,
        retry_after=None if after is None else float(after),
        headers={str(k): str(v) for k, v in (value.get("headers") or {}).items()},
        aadsts=None if value.get("aadsts") is None else int(value["aadsts"]),
        body=value.get("body"),
    )


def _drop(value: Json) -> Drop:
    _only(value, {"when", "after_bytes"}, "the action 'drop'")
    when = value.get("when", "before")
    if when not in ("before", "after"):
        raise FaultError(f"a connection is dropped 'before' or 'after' doing it, not {when!r}")
    return Drop(when, int(value["after_bytes"]) if "after_bytes" in value else None)


def _seconds(value: Json) -> timedelta:
    if "seconds" not in value:
        raise FaultError("the action needs 'seconds'")
    return timedelta(seconds=float(value["seconds"]))


def _only(value: Json, known: set[str], what: str) -> None:
    wrong = sorted(set(value) - known)
    if wrong:
        raise FaultError(f"{what} has no {wrong[0]!r}; it has: {', '.join(sorted(known)) or 'nothing more'}")
