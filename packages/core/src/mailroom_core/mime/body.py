"""Which part is the text that people read, and what hangs on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailroom_core.mime.index import Part, decoded_size


@dataclass(slots=True)
class Body:
    """A mail with one text: HTML if it has it, else plain text; None if it has neither."""

    text: Part | None = None
    attachments: list[Part] = field(default_factory=list)
    """In their order; messages, calendars and further texts as well."""
    dropped: list[Part] = field(default_factory=list)
    """Other forms of the same text."""
    broken: list[Part] = field(default_factory=list)
    """Signed parts that were taken apart."""

    @property
    def is_html(self) -> bool:
        return self.text is not None and self.text.content_type == "text/html"


def select_body(root: Part) -> Body:
    """Take a mail apart for a provider that knows one text and a list of attachments (RFC 2046 5.1, RFC 2387)."""
    body = Body()
    _add(root, body)
    return body


def _add(part: Part, body: Body) -> None:
    if part.content_type == "multipart/alternative" and part.parts:
        _add_alternative(part, body)
    elif part.content_type.startswith("multipart/") and part.parts:
        if part.content_type == "multipart/signed":
            body.broken.append(part)
        for child in part.parts:
            _add(child, body)
    elif body.text is None and _is_text(part):
        body.text = part
    elif decoded_size(part) or part.filename or not _is_text(part):
        body.attachments.append(part)


def _add_alternative(part: Part, body: Body) -> None:
    """RFC 2046 5.1.4: all of them say the same, the last one best; calendars and files say more and become attachments."""
    forms: list[Body] = []
    for child in part.parts:
        if child.content_type.startswith("text/") and child.content_type not in ("text/plain", "text/html", "text/calendar"):
            body.dropped.append(child)
        else:
            forms.append(select_body(child))
    best: Body | None = None
    for form in forms:
        if form.text is not None and (best is None or form.is_html or not best.is_html):
            best = form
    for form in forms:
        if form.text is not None and form is not best:
            body.dropped.append(form.text)
        elif form.text is not None and body.text is None:
            body.text = form.text
        elif form.text is not None:
            body.attachments.append(form.text)
        body.attachments += form.attachments
        body.dropped += form.dropped
        body.broken += form.broken


def _is_text(part: Part) -> bool:
    """Whether it is meant to be read in place. A multipart without parts shows what it has."""
    if part.disposition == "attachment" or part.filename:
        return False
    return part.content_type in ("text/plain", "text/html") or part.content_type.startswith("multipart/")
