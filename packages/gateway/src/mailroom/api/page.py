"""The description of the API as one page for people. It loads nothing, from here or from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

_STYLE = """:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{overflow-x:auto;padding:.5rem;border:1px solid color-mix(in srgb,currentcolor 25%,transparent)}
details{border-top:1px solid color-mix(in srgb,currentcolor 25%,transparent);padding:.4rem 0}summary{cursor:pointer}
table{border-collapse:collapse}td{padding:.1rem 1rem .1rem 0;vertical-align:top}b.m{display:inline-block;min-width:4.5rem}"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def route(openapi: Callable[[], dict[str, Any]]) -> Route:
    """`/v1/docs`."""

    async def show(_: Request) -> Response:
        return HTMLResponse("".join(_page(openapi())), headers={"Content-Security-Policy": _POLICY})

    return Route("/v1/docs", show)


def _page(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    title = escape(f"{info['title']} API")
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    yield f"<style>{_STYLE}</style><h1>{title} {escape(info['version'])}</h1><p>{escape(info['description'])} "
    yield "Every request carries <code>Authorization: Bearer TOKEN</code>; <code>mailroom token add</code> makes one. "
    yield 'The same as a file for programs: <a href="openapi.json">openapi.json</a>.</p>'
    section = ""
    for path, ways in document["paths"].items():
        for method, operation in ways.items():
            if operation["tags"][0] != section:
                section = operation["tags"][0]
                yield f"<h2>{escape(section)}</h2>"
            yield from _operation(path, method, operation)
    yield "<h2>Shapes</h2>"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_schema(schema)}</details>'
    yield "</html>"


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<details><summary><b class="m">{method.upper()}</b> <code>{escape(path)}</code></summary>'
    yield f"<p>{escape(operation.get('description', ''))}</p><table>"
    for each in operation.get("parameters", ()):
        text = each.get("description") or each["schema"].get("description", "")
        yield f"<tr><td><code>{escape(each['name'])}</code><td>{escape(each['in'])}<td>{_kind(each['schema'])}<td>{escape(text)}"
    yield "</table>"
    for title, contents in (("Body", [operation.get("requestBody", {})]), ("Answer", list(operation["responses"].values())[:1])):
        for media, content in (pair for one in contents for pair in one.get("content", {}).items()):
            yield f"<p>{title}: <code>{escape(media)}</code> {_kind(content.get('schema', {}))}</p>"
    yield "</details>"


def _schema(schema: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' *' if name in schema.get('required', ()) else ''}<td>{_kind(value)}"
        f"<td>{escape(value.get('description', ''))}"
        for name, value in schema.get("properties", {}).items()
    )
    shown = f"<table>{rows}</table>" if rows else f"<pre>{escape(json.dumps(schema))}</pre>"
    return f"<p>{escape(schema.get('description', ''))}</p>{shown}"


def _kind(schema: dict[str, Any]) -> str:
    """The type of a value in a word, with a link where it has a shape of its own."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    if several := schema.get("anyOf"):
        return " or ".join(map(_kind, several))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "enum" in schema:
        return escape(", ".join(map(str, schema["enum"])))
    return escape(str(schema.get("format") or schema.get("type", "anything")))
