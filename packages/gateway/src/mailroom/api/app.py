"""The web application: programs under `/v1`, supervisors under `/health`, `/ready` and `/metrics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import Scope

from mailroom.api import (
    accounts,
    asking,
    audit,
    conversations,
    cutover,
    doctor,
    doctor_odoo,
    explain,
    inbound,
    installation,
    messages,
    objects,
    page,
    problems,
    received,
    sending,
    status,
    support,
    trying,
    webhooks,
)
from mailroom.api.bodies import MAX_SMALL, too_large
from mailroom.api.guard import Guard, known, plain_bearer
from mailroom.api.mail import Batch, Mail
from mailroom.api.office import Office
from mailroom.api.problems import MEDIA, ProblemBody
from mailroom.edge import Edge, Rules

_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "What is wrong, and what to do", "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}},
    "5XX": {"description": "Not now", "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}},
}


OWN_LIMITS = ("/v1/messages", "/v1/inbound", "/v1/route/explain")
"""Paths that take whole mails, and look at the size themselves."""


def _limit(scope: Scope) -> int | None:
    return None if scope["path"].startswith(OWN_LIMITS) and scope["method"] == "POST" else MAX_SMALL


def _headers(scope: Scope) -> Mapping[str, str]:
    return {**_ALWAYS, **scope.get("state", {}).get("headers", {})}


async def _admit(request: Request) -> None:
    if request.url.path.startswith("/v1/"):
        known(request, request.app.state.office, plain_bearer(request.headers.get("authorization", "").encode("latin-1")))


def make_app(office: Office, others: Sequence[BaseRoute]) -> FastAPI:
    """Made once; `others` are the routes for supervisors."""
    app = FastAPI(
        title="Mailroom",
        version=version("mailroom-gateway"),
        description="Send mail, and learn what became of it.",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=_PROBLEMS,
    )
    app.state.office, app.state.guard = office, Guard()
    problems.install(app)
    for part in (
        sending,
        messages,
        webhooks,
        trying,
        objects,
        accounts,
        audit,
        explain,
        asking,
        doctor_odoo,
        installation,
        doctor,
        cutover,
        conversations,
        inbound,
        received,
        status,
        support,
    ):
        app.include_router(part.router, prefix="/v1")
    webhooks.describe(app)
    app.router.routes.insert(0, sending.Straight())
    app.router.routes.extend(others)
    app.router.routes.append(page.route(app.openapi))
    too_large_here = partial(too_large, advice="send less")
    app.add_middleware(Edge, rules=Rules(headers=_headers, limit=_limit, too_large=too_large_here, admit=_admit))
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Bodies that are read by hand are described by hand."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            known = plain().setdefault("components", {}).setdefault("schemas", {})
            models = [(model, "validation") for model in (Mail, Batch, ProblemBody, *objects.shapes())]
            known |= models_json_schema(models, ref_template="#/components/schemas/{model}")[1]["$defs"]  # type: ignore[arg-type]  # a list is invariant
            known.pop("HTTPValidationError", None)
        return app.openapi_schema or {}

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way, fastapi.tiangolo.com/how-to/extending-openapi
