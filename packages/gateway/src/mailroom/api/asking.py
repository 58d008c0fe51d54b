"""What an error says, for programs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StringConstraints

from mailroom.api.guard import MayReadObjects
from mailroom.doctor.explain import LONGEST, explained_body

router = APIRouter(prefix="/doctor", tags=["Doctor"])


class ErrorText(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST)]
    """As it stands in a log, a bounce or an answer."""


class Explained(BaseModel):
    code: str
    """What was recognised in the text."""
    of: str
    """Whose words it is, such as `Exchange Online`."""
    means: str
    todo: str
    """May be empty, where `means` says it all."""
    source: str
    """Where we know it from."""


class Explanations(BaseModel):
    known: bool
    explanations: list[Explained]
    """The most exact first, four at most."""
    unknown: str
    """What to do if it is not known; else empty."""


@router.post("/explain")
def explain(token: MayReadObjects, wanted: ErrorText) -> Explanations:
    """What the text of an error means, and what to do. Nothing of it is kept."""
    return Explanations.model_validate(explained_body(wanted.text))
