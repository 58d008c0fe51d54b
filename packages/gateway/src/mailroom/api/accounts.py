"""Signing an account in from a program: where to send the person's browser."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from mailroom.api.guard import MayWriteObjects
from mailroom.api.objects import Name
from mailroom.api.office import TheOffice
from mailroom.api.problems import Problem
from mailroom.objects import GrantType
from mailroom_core.errors import VaultError

router = APIRouter(tags=["Objects"])


class SignIn(BaseModel):
    """The address is for one person and one sign-in, and ends after 15 minutes."""

    url: str


@router.post("/accounts/{name:path}/signin")
async def sign_in(token: MayWriteObjects, office: TheOffice, name: Name) -> SignIn:
    """Begin a sign-in of an account. Its owner opens the address; an administrator of the console takes the answer."""
    account = office.directory().accounts.get(name)
    if account is None:
        raise Problem(404, f"There is no account {name!r}; GET /v1/accounts lists those that there are")
    if account.grant is GrantType.APPLICATION:
        raise Problem(409, f"{name!r} is app-only, and nobody signs in for it; run: mailroom connect, or connect it in the console")
    try:
        return SignIn(url=await office.sign_in(account))
    except VaultError as problem:
        raise Problem(409, str(problem)) from None
