"""What would happen to a mail that comes in, and why. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from mailroom.console.forms import Entered, Field, Given, given_by
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import page
from mailroom.console.visitor import Visitor, at_least
from mailroom.intake.judge import explained
from mailroom.objects import Role
from mailroom_core.errors import ConfigError, MimeError
from mailroom_core.mime.headers import addresses, field, format_addresses, text_field
from mailroom_core.mime.source import InMemory, ReadAt
from mailroom_core.policy.decision import Decision, Verdict

router = APIRouter(prefix="/routing")
Operator = Annotated[Visitor, Depends(at_least(Role.OPERATOR))]
FIELDS = (
    Field("sender", "From"),
    Field("to", "To"),
    Field("subject", "Subject"),
    Field("source", "Source"),
    Field("incoming", "Incoming server"),
    Field("recipient", "Recipient"),
)
TONES = {
    Verdict.QUARANTINED: "warn",
    Verdict.LOOP: "warn",
    Verdict.REFUSED: "bad",
    Verdict.IGNORED: "quiet",
    Verdict.BOUNCE: "quiet",
}
"""Everything else is good."""


@dataclass(frozen=True, slots=True)
class _Uploaded:
    """A `ReadAt` over a file of a form."""

    file: BinaryIO
    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(length)


@router.get("")
def show(request: Request, house: TheHouse, who: Operator, to: str = "") -> Response:
    return _page(request, house, {each.name: "" for each in FIELDS} | {"to": to[:300]})


@router.post("")
def explain(request: Request, house: TheHouse, who: Operator, form: Entered) -> Response:
    """Of a file, of what was pasted, or of a mail with this sender, recipient and subject."""
    house.look()
    given = given_by(FIELDS, form)
    recipients = tuple(each.strip() for each in given["recipient"].replace(",", " ").split())
    try:
        source = _source(form, given)
        decision = explained(house.way_in.judge, source, house.clock(), incoming=given["incoming"], recipients=recipients)
    except (ConfigError, MimeError) as problem:
        return _page(request, house, given, status=422, error=str(problem))
    return _page(request, house, given, decision=decision)


def _source(form: FormData, given: Given) -> ReadAt:
    """Raises ConfigError, MimeError."""
    file = form.get("file")
    if isinstance(file, UploadFile) and file.size:
        return _Uploaded(file.file, file.size)
    if given["source"]:
        return InMemory(given["source"].replace("\r\n", "\n").replace("\n", "\r\n").encode("utf-8", "replace") + b"\r\n\r\n")
    if not given["sender"] or not given["to"]:
        raise ConfigError("Say from whom to whom, paste a mail's source, or choose a file")
    boxes = [(name, addresses(given[name])) for name in ("sender", "to")]
    if wrong := next((given[name] for name, found in boxes if not found), ""):
        raise ConfigError(f"{wrong[:120]!r} is no address; write anna@example.com")
    head = [field(label, format_addresses(found)) for label, (_, found) in zip(("From", "To"), boxes, strict=True)]
    return InMemory(b"".join([*head, text_field("Subject", given["subject"]), b"\r\n"]))


def _page(
    request: Request, house: House, given: Given, *, status: int = 200, error: str = "", decision: Decision | None = None
) -> Response:
    values: dict[str, Any] = {
        "incoming": sorted(house.directory().incoming),
        "tone": TONES.get(decision.verdict, "good") if decision else "",
    }
    return page(request, "routing.html", status=status, given=given, error=error, decision=decision, **values)
