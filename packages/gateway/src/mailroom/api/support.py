"""The support bundle, for programs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mailroom.api.guard import MayReadObjects
from mailroom.api.office import TheOffice
from mailroom.api.problems import Problem
from mailroom.objects import Scope
from mailroom.support import bundle
from mailroom.support.desk import Busy
from mailroom_core.errors import ConfigError, VaultError

router = APIRouter(tags=["Doctor"])
ZIP = "application/zip"


class Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mails: Annotated[list[Annotated[str, StringConstraints(max_length=40)]], Field(max_length=bundle.MOST_MAILS)] = []
    """Ids of the mails in question."""
    content: bool = False
    """Also what these mails say: subjects and texts. Files that hang on them never."""
    keep_names: bool = False
    """Names of domains and hosts and public network addresses stay as they are."""
    legend: bool = False
    """Say who is behind which mask."""


class File(BaseModel):
    name: str
    text: str


class Bundle(BaseModel):
    """All of it, as it should be given away; who is behind a mask stands beside it."""

    files: list[File]
    legend: dict[str, str] | None
    """Mask and what it stands for, if that was asked for."""


@router.post("/support/bundle", responses={200: {"model": Bundle, "content": {ZIP: {}}}}, response_model=Bundle)
async def make(token: MayReadObjects, request: Request, office: TheOffice, wanted: Wanted) -> Bundle | Response:
    """What somebody who helps needs: versions, settings, health and the mails in question, without secrets, addresses masked. It takes
    half a minute at most. With `Accept: application/zip`, as the file that is given away; masks are other ones each time."""
    if wanted.mails and Scope.READ not in token.scopes:
        needs = (
            f"The token {token.name!r} may not read mails: that needs the scope {Scope.READ.value}; leave `mails` out, or use another token"
        )
        raise Problem(403, needs)
    asked = bundle.Wanted(mails=tuple(wanted.mails), content=wanted.content, keep_names=wanted.keep_names)
    try:
        made = await office.support.make(asked, by=f"token:{token.name}")
    except ConfigError as problem:
        raise Problem(422, str(problem)) from None
    except VaultError as problem:
        raise Problem(409, str(problem)) from None
    except Busy as problem:
        raise Problem(503, str(problem), headers={"Retry-After": "30"}) from None
    if ZIP in request.headers.get("accept", ""):
        headers = {"Content-Disposition": 'attachment; filename="mailroom-support.zip"'}
        return Response(await run_in_threadpool(made.zip), media_type=ZIP, headers=headers)
    files = [File(name=each.name, text=each.text) for each in made.files]
    return Bundle(files=files, legend=dict(made.legend) if wanted.legend else None)
