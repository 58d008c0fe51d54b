"""What the text of an error means, and what to do: the tables of all whom we talk with, asked from outside.

Codes are looked for first, because texts change; of several that are found in one text, the most exact stand first. What no table knows
is said to be unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mailroom.doctor import connections
from mailroom.transports.smtp_table import TABLE
from mailroom_core.inbound import Action, ReportedRecipient
from mailroom_core.model import Reply
from mailroom_core.oauth import google_problems, problems
from mailroom_core.policy import bounces
from mailroom_core.policy.reasons import Reason
from mailroom_core.providers.graph import errors
from mailroom_core.providers.odoo.problems import TEXTS as ODOO

LONGEST = 4000
"""Characters of a text that are looked at."""
MOST = 4
"""Explanations of one text."""
UNKNOWN = (
    "Mailroom does not know this text. Look for its code in the provider's own documentation; show its support the whole text with its "
    "time and its ids; and report it to Mailroom, so that the table learns it"
)
_AADSTS = re.compile(r"AADSTS(\d{4,8})", re.IGNORECASE)
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_CODE = re.compile(r"(?<![\w.:#/-])([245]\d\d)(?=[ \-:;,#]|$)(?!-\d\d)")
_WORD = re.compile(r"\b(?:Error[A-Z][A-Za-z0-9]+|[A-Za-z]+(?:_[a-z]+)+|[A-Z][A-Za-z]{8,}|[a-z]+[A-Z][A-Za-z]+)\b")
_NUMBERS = re.compile(r"\d+(\.\d+){3,}")
"""Addresses and versions."""
_GRAPH = re.compile(r"\bgraph\b", re.IGNORECASE)
_GOOGLE = re.compile(r"google|gmail|rapt", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Of one thing that was recognised in a text."""

    code: str
    """What was recognised."""
    of: str
    """Whose words it is: `Exchange Online`, `Microsoft Entra`, ..."""
    means: str
    todo: str
    source: str
    """Where we know it from."""


def explain(text: str) -> tuple[Explanation, ...]:
    """The most exact first; empty: no table knows it."""
    said = " ".join(text[:LONGEST].split())
    by_name = (*_of_entra(said), *_of_google(said), *_of_graph(said), *_of_odoo(said))
    found = by_name or tuple(_of_servers(said)) or tuple(_of_connections(said)) or tuple(_in_plain_words(said))
    return tuple(dict.fromkeys(found))[:MOST]


def explain_reply(reply: Reply) -> tuple[Explanation, ...]:
    """Of an answer of the next hop."""
    return explain(str(reply))


def explained_body(text: str) -> dict[str, Any]:
    """As JSON."""
    found = explain(text)
    return {
        "known": bool(found),
        "explanations": [
            {"code": each.code, "of": each.of, "means": each.means, "todo": each.todo, "source": each.source} for each in found
        ],
        "unknown": "" if found else UNKNOWN,
    }


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _of_entra(text: str) -> Iterator[Explanation]:
    numbers = _AADSTS.findall(text)
    words = [] if numbers or _GOOGLE.search(text) else _WORD.findall(text)
    for name in (*numbers, *words):
        if row := problems.known(name):
            code = f"AADSTS{name}" if name.isdigit() else name
            yield Explanation(code, "Microsoft Entra", row.text, row.what_to_do, row.source)


def _of_google(text: str) -> Iterator[Explanation]:
    if _AADSTS.search(text):
        return
    for name in _WORD.findall(text):
        subtype = next((each for each in ("invalid_rapt", "rapt_required") if each in text), "")
        row = next((row for row in google_problems.ROWS if row.fits(name, subtype, text)), None)
        if row is not None:
            yield Explanation(name, "Google", row.text, row.what_to_do, row.source)


def _of_graph(text: str) -> Iterator[Explanation]:
    for name in _WORD.findall(text):
        if row := errors.known(name):
            yield Explanation(name, "Microsoft Graph", row.text, _sentence(row.todo), row.source)
    if _GRAPH.search(text):
        statuses = {int(each) for each in _CODE.findall(text)}
        for row in errors.ROWS:
            if status := next((each for each in row.statuses if each in statuses), 0):
                yield Explanation(str(status), "Microsoft Graph", row.text, _sentence(row.todo), row.source)


def _of_servers(text: str) -> Iterator[Explanation]:
    enhanced, codes = frozenset(_ENHANCED.findall(text)), frozenset(int(each) for each in _CODE.findall(text))
    row = next((row for row in TABLE if row.told(codes, enhanced, text)), None)
    if row is not None:
        by = sorted(each for each in enhanced if not row.enhanced or re.fullmatch(row.enhanced, each))
        code = " ".join([str(each) for each in sorted(codes)][:1] + by[:1])
        yield Explanation(code or _words(row.text, text), row.of, row.means, _sentence(row.advice), row.source)


def _of_odoo(text: str) -> Iterator[Explanation]:
    for pattern, (_, advice) in ODOO:
        if found := re.search(pattern, text):
            yield Explanation(found[0], "Odoo", _sentence(advice), "", "Odoo 19.0, its sources, April 2026")


def _of_connections(text: str) -> Iterator[Explanation]:
    row = next((row for row in connections.ROWS if re.search(row.text, text, re.IGNORECASE)), None)
    if row is not None:
        yield Explanation(_words(row.text, text), "the network", row.means, _sentence(row.todo), row.source)


def _in_plain_words(text: str) -> Iterator[Explanation]:
    """What bounces are read by: words and codes that mean the same with all servers."""
    enhanced = _ENHANCED.search(text)
    code = _CODE.search(text)
    if not enhanced and not code and len(text.split()) < 2:
        return
    plain = _NUMBERS.sub("", text)
    reason = bounces.judge(ReportedRecipient("", Action.FAILED, enhanced[1] if enhanced else "", plain)).reason
    if reason is not Reason.UNKNOWN:
        shown = " ".join(each[1] for each in (code, enhanced) if each)
        means, advice = _sentence(reason.value.what), reason.value.advice.rstrip(".")
        yield Explanation(shown or reason.name, "a mail server", means, advice, "RFC 3463 3, RFC 5321 4.2.3 and the words of mail servers")


def _words(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.IGNORECASE)
    return found[0] if found else ""
