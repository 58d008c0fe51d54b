"""A mail made harmless: what people see of it without running, loading or telling anything.

Four walls, of which one would do: tags and attributes that are not known are taken out (nh3), and so is where links lead; the frame
is sandboxed without scripts and without our origin; its policy allows no address at all; and the page around it allows no frame from
elsewhere, so that nothing leads out of it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

import nh3
from fastapi import HTTPException

from mailroom.console.html_cost import is_costly
from mailroom_core.inbound import Attachment
from mailroom_core.mime.index import Part, decoded, decoded_pieces, decoded_size
from mailroom_core.mime.source import ReadAt
from mailroom_core.mime.texts import attached, texts

Close = Callable[[], None]
FRAME = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'",
    "X-DNS-Prefetch-Control": "off",
}
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MOST_IMAGES = 4 * 1024 * 1024
"""Bytes of inline images that a frame shows."""
_STYLE, _STYLE_END = re.compile(r"<style\b[^<>]*>", re.IGNORECASE), re.compile(r"</style\s*>", re.IGNORECASE)
# Strangers write what these read: no pattern may try a run of characters in more than one way.
_REMOTE = re.compile(r"""(?:\bsrc|\bbackground|\bposter)\s*=[\s"']*(?:https?:)?//|url\([\s"']*(?:https?:)?//|@import""", re.IGNORECASE)
_LOADS = re.compile(r"""@import[^;]*;?|url\([^)]*\)?""", re.IGNORECASE)
_TAGS = nh3.ALLOWED_TAGS | {"center", "font", "big", "u", "address", "section", "article", "header", "footer", "main", "nav", "aside"}
_LAYOUT = frozenset(
    {
        "style",
        "class",
        "align",
        "valign",
        "bgcolor",
        "width",
        "height",
        "border",
        "cellpadding",
        "cellspacing",
        "color",
        "face",
        "size",
        "dir",
        "lang",
    }
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows of a mail."""

    html: bool
    text: str
    attachments: tuple[Attachment, ...]
    remote: bool
    """It wants to load something from elsewhere, which does not happen."""
    sealed: bool
    cut: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """One attachment, ready to be sent."""

    name: str
    size: int
    pieces: Iterator[bytes]


def shown(source: ReadAt, root: Part) -> Shown:
    """Raises MimeError."""
    words = texts(source, root)
    remote = bool(words.html and _REMOTE.search(words.html))
    return Shown(bool(words.html), words.text, words.attachments, remote, words.sealed, words.cut)


def unreadable(problem: str) -> Shown:
    """Only its source can be shown."""
    return Shown(html=False, text="", attachments=(), remote=False, sealed=False, cut=False, problem=problem)


def attachment(source: ReadAt, root: Part, number: int) -> File:
    """Raises HTTPException."""
    found = next((each for each in texts(source, root).attachments if each.number == number), None)
    if found is None:
        raise HTTPException(404, "This mail has no such attachment")
    part = attached(root, found)
    return File(found.name or f"attachment-{number}", decoded_size(part), decoded_pieces(source, part))


def disposition(name: str) -> str:
    """A header field with a name that somebody else has written (RFC 6266 4.3)."""
    plain = "".join(each if each.isascii() and each.isprintable() and each not in '"\\%' else "_" for each in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"


def frame(source: ReadAt, root: Part) -> str:
    """The HTML of a mail as a document for a sandboxed frame; its words alone, where it would take too long. Raises MimeError."""
    words = texts(source, root)
    if is_costly(words.html):
        return f'<!doctype html><html><head><meta charset="utf-8"></head><body><pre>{escape(words.text)}</pre></body></html>'
    pictures = _Pictures(source, root, words.attachments)
    styles = _LOADS.sub("none", "\n".join(_styles(words.html)).replace("<", ""))
    body = nh3.clean(
        words.html,
        tags=_TAGS,
        clean_content_tags={"script", "style", "title", "noscript", "template", "svg", "math"},
        attributes=_attributes(),
        attribute_filter=pictures.filter,
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
        link_rel=None,
    )
    own = (
        "html{background:#fff;color:#1c2632;font:15px/1.5 system-ui,sans-serif}body{margin:12px;overflow-wrap:anywhere}"
        "img{max-width:100%}a{color:#1f5fbf;text-decoration:underline}"
    )
    return f'<!doctype html><html><head><meta charset="utf-8"><style>{own}</style><style>{styles}</style></head><body>{body}</body></html>'


def _styles(html: str) -> Iterator[str]:
    """What stands between `<style>` and `</style>`; behind the last of those nobody looks."""
    end: re.Match[str] | None = None
    while begin := _STYLE.search(html, end.end() if end else 0):
        end = _STYLE_END.search(html, begin.end())
        if end is None:
            return
        yield html[begin.end() : end.start()]


def _attributes() -> dict[str, set[str]]:
    allowed = deepcopy(nh3.ALLOWED_ATTRIBUTES)
    for tag in _TAGS:
        allowed.setdefault(tag, set()).update(_LAYOUT)
    return allowed


class _Pictures:
    """Puts the mail's own pictures where it refers to them; every other address of a picture is taken out."""

    def __init__(self, source: ReadAt, root: Part, attachments: tuple[Attachment, ...]) -> None:
        self._source = source
        self._root = root
        self._known = {each.content_id.strip("<>"): each for each in attachments if each.content_id and each.content_type in IMAGES}
        self._left = MOST_IMAGES
        self._made: dict[str, str | None] = {}

    def filter(self, tag: str, name: str, value: str) -> str | None:
        if name == "href" or name == "cite":
            return None
        if name == "style":
            return _LOADS.sub("none", value)
        if name != "src" and name != "background":
            return value
        if value.startswith("cid:") and tag == "img":
            key = value.removeprefix("cid:")
            if key not in self._made:
                self._made[key] = self._picture(key)
            return self._made[key]
        return value if value.startswith("data:image/") and tag == "img" else None

    def _picture(self, key: str) -> str | None:
        found = self._known.get(key)
        if found is None or found.size > self._left:
            return None
        self._left -= found.size
        raw = decoded(self._source, attached(self._root, found), 0, found.size)
        return f"data:{found.content_type};base64,{base64.b64encode(raw).decode('ascii')}"
