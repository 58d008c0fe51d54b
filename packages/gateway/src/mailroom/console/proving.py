"""What an app registration shows at its provider: entered in a form, or a certificate that is made here."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import HTMLResponse, Response

from mailroom.console.accounts_desk import ProofDesk
from mailroom.console.forms import Entered
from mailroom.console.house import House, TheHouse
from mailroom.console.pages import fragment
from mailroom.console.visitor import Visitor, at_least
from mailroom.objects import Role
from mailroom.vault.certificates import Certificate, read_certificate
from mailroom_core.errors import ConfigError

Admin = Annotated[Visitor, Depends(at_least(Role.ADMIN))]
router = APIRouter(prefix="/accounts/certificates", dependencies=[Depends(at_least(Role.ADMIN))])
LARGEST = 64 * 1024
"""Bytes of a certificate's file."""


async def proof_given(form: Entered, house: TheHouse) -> dict[str, str] | None:
    """As for the vault: None keeps what is there. Raises ConfigError, VaultError."""
    match _text(form.get("proof")):
        case "keep":
            return None
        case "none":
            return {}
        case "made":
            made = _text(form.get("made"))
            if not made:
                raise ConfigError("certificate: make one first, and upload it at Microsoft")
            return {"certificate": await run_in_threadpool(house.accounts.proofs.take, made)}
        case "file":
            raw = await _file(form.get("file"))
            return {"certificate": await run_in_threadpool(read_certificate, raw, _text(form.get("file_password")))}
        case "new":
            return _secret(_text(form.get("secret")), _text(form.get("secret_expires"))) or None
        case "secret" if not _text(form.get("secret")):
            raise ConfigError("client secret: enter its value, or choose another proof")
        case _:
            return _secret(_text(form.get("secret")), _text(form.get("secret_expires")))


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


async def _file(value: object) -> bytes:
    raw = await value.read(LARGEST + 1) if isinstance(value, UploadFile) else b""
    if not raw:
        raise ConfigError("certificate: choose the file with the certificate and its key")
    if len(raw) > LARGEST:
        raise ConfigError("certificate: this file is too large for one; choose a PEM or PFX file with one certificate and its key")
    return raw


def _secret(secret: str, expires: str) -> dict[str, str]:
    if not secret:
        return {}
    try:
        until = date.fromisoformat(expires).isoformat() if expires else ""
    except ValueError:
        raise ConfigError(f"end of the secret: {expires[:20]!r} is no date; write for example 2027-05-01") from None
    return {"secret": secret, **({"expires_on": until} if until else {})}


@router.post("/make")
def make(request: Request, house: TheHouse, me: Admin, name: Annotated[str, Form(max_length=200)] = "") -> HTMLResponse:
    """A key and a certificate, for the form that asked."""
    made = house.accounts.proofs.make(name.strip() or "app", by=me.by)
    return _made(request, house, chosen=made.certificate.sha256)


@router.post("/drop")
def drop(request: Request, house: TheHouse, me: Admin, sha256: Annotated[str, Form(max_length=64)]) -> HTMLResponse:
    """One that no account will use."""
    house.accounts.proofs.drop(sha256, by=me.by)
    return _made(request, house)


def _made(request: Request, house: House, chosen: str = "") -> HTMLResponse:
    return HTMLResponse(fragment(request, "proof_made.html", prepared=house.accounts.proofs.prepared(), chosen=chosen))


@router.get("/{sha256}.crt")
def download(house: TheHouse, sha256: str) -> Response:
    """The certificate without its key, to be uploaded at the provider."""
    found = _find(house.accounts.proofs, sorted(house.directory().accounts), sha256)
    if found is None:
        raise HTTPException(404, "This certificate is not kept here any more; make a new one")
    headers = {"Content-Disposition": f'attachment; filename="mailroom-{found.sha1[:8].lower()}.crt"'}
    return Response(found.public, media_type="application/x-pem-file", headers=headers)


def _find(proofs: ProofDesk, accounts: list[str], sha256: str) -> Certificate | None:
    waiting = [each.certificate for each in proofs.prepared()]
    in_use = [proof.certificate for name in accounts if (proof := proofs.of(name)) and proof.certificate]
    return next((each for each in (*waiting, *in_use) if each.sha256 == sha256), None)
