"""The words of an HTML body, in lines: for programs that want text, and for finding where a quote begins.

No browser: tags are found by their angle brackets, in one pass whose time grows with the length alone. What is quoted
(`blockquote`) gets `> ` in front of its lines, as in plain text.
"""

from __future__ import annotations

import html
import re

# A comment or a declaration, the content of an element that nobody reads, or one tag.
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:]*)[^<>]*>|<!--|<[!?][^<>]*>")
_HIDDEN = {name: re.compile(rf"</{name}\b[^<>]*>", re.IGNORECASE) for name in ("script", "style", "head", "title")}
_BLOCKS = frozenset(
    {
        "address",
        "article",
        "blockquote",
        "center",
        "dd",
        "div",
        "dl",
        "dt",
        "fieldset",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
    }
    | {"header", "hr", "li", "ol", "p", "pre", "section", "table", "tbody", "td", "th", "thead", "tr", "ul"}
)
_APART = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"})
_BLANKS = re.compile(r"[ \t\r\n\f\v]+")
_MOST_QUOTES = 20


def html_text(source: str) -> str:
    """The text of an HTML document, for which nothing is fetched and nothing is run."""
    writer = _Writer()
    endless: set[str] = set()  # hidden elements that are not closed behind here, so that nobody looks for their end again
    pos = 0
    while match := _TAG.search(source, pos):
        writer.words(source[pos : match.start()])
        pos = match.end()
        if match[0] == "<!--":
            pos = _behind(source, "-->", pos)
        elif match[2]:
            name = match[2].lower()
            if name in _HIDDEN and not match[1] and name not in endless:
                end = _HIDDEN[name].search(source, pos)
                if end is None:
                    endless.add(name)  # it hides nothing
                else:
                    pos = end.end()
            else:
                writer.tag(name, closing=bool(match[1]))
    writer.words(source[pos:])
    return writer.text()


def _behind(source: str, what: str, pos: int) -> int:
    found = source.find(what, pos)
    return found + len(what) if found >= 0 else len(source)


class _Writer:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._quotes = 0

    def words(self, piece: str) -> None:
        if piece:
            self._line.append(_BLANKS.sub(" ", html.unescape(piece).replace("\xa0", " ")))

    def tag(self, name: str, *, closing: bool) -> None:
        if name == "br":
            self._end_line(always=True)
        elif name in _BLOCKS:
            self._end_line()
            if name in _APART:
                self._blank()
        if name == "blockquote":
            self._quotes = max(0, self._quotes - 1) if closing else min(self._quotes + 1, _MOST_QUOTES)

    def text(self) -> str:
        self._end_line()
        return "\n".join(self._lines).strip("\n")

    def _end_line(self, *, always: bool = False) -> None:
        text = _BLANKS.sub(" ", "".join(self._line)).strip()
        self._line = []
        if text or always:
            self._lines.append("> " * self._quotes + text if self._quotes else text)

    def _blank(self) -> None:
        if self._lines and self._lines[-1].strip("> "):
            self._lines.append("")
