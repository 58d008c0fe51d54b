"""Bounces that no standard describes: which addresses have failed, by what stands around them.

The rules are tables and one pass. A report has an opening, in words for people; then the returned mail, which begins at a line of
`_RETURNED` and is not looked at. In the opening, an address has failed if it opens a line, or if its line says so; where a line
announces the addresses (`_ANNOUNCES`), those above it are others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mailroom_core.inbound import Action, ReportedRecipient, spelling

_ADDRESS = re.compile(
    r"""(?<![\w.+%=@/-])(?:smtp[:=]|rfc822;|mailto:)?
    ([\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.){0,8}[\w-]{1,63})(?![\w@])""",
    re.IGNORECASE | re.VERBOSE,
)
_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_CODE = re.compile(r"(?<![\d.])([45]\d\d)(?=[- :;)])")
_RETURNED = re.compile(
    r"""[-=_*>]{2,}.*\b(?:original|copy\ of|below|returned|unsent|undelivered|headers?|message\ follows|body|mail\ follows|start\ of)\b
    |[-=_*>]{2,}.*(?:ursprüngliche|附件)
    |(?:received|return-path|delivered-to|dkim-signature|content-type|mime-version|x-mailer|x-originating-ip)\s?:\s
    |below\ this\ line|this\ is\ a\ copy\ of
    |(?:the\ )?(?:original|returned)\ (?:message|mail|headers?)\b.*(?::|follows.?|below.?)$
    |(?:a\ copy\ of\ )?(?:the|your)\ (?:original\ )?(?:message|mail)\ (?:follows|is\ (?:included|attached|enclosed)|was\ as\ follows)
    |your\ message\ reads""",
    re.IGNORECASE | re.VERBOSE,
)
_ANNOUNCES = re.compile(
    r"""following\ (?:\w+\ )?(?:recipient|address|user|destination|mailbox|person|e-?mail)|did\ not\ (?:reach|receive)
    |(?:delivered|sent|delivery)\ to:?$|(?:recipients?|address(?:es)?|groups?)\ (?:have\ |has\ )?(?:failed|could\ not|rejected).*:
    |not\ delivered\ to\ the|recipients\ or\ groups|not\ been\ delivered\ (?:to|is)|transcript\ of\ session\ follows
    |(?:folgende|diese).{1,20}(?:empfänger|adresse)|destinataires?\ suivants?|siguientes?\ destinatarios|seguenti\ destinatari""",
    re.IGNORECASE | re.VERBOSE,
)
_OPENS = re.compile(
    r"""[ >*"'(\[•-]*(?:(?:to|recipients?|address|user|an|for|failed\ recipients?|rcpt\ to|undeliverable\ address|delivery\ failed.{1,20}
    |intended\ recipient|your\ message\ to)\ ?[:=]?)?\ ?[<"'(\[]*\ ?""",
    re.IGNORECASE | re.VERBOSE,
)
_EXPANDED = re.compile(r"(expanded|generated) from|originally addressed", re.IGNORECASE)
_FAILS = re.compile(
    r"""unknown|not\ (?:found|exist|known|valid|listed|recogni[sz]ed|delivered|a\ valid|our\ customer|reachable|allowed|available|accept)
    |not\ (?:in\ directory|match|responding)|did\ not|no\ such|no\ (?:longer|mailbox|user|valid|matches)|doesn.?t\ (?:exist|have)
    |does\ not\ (?:exist|have)|invalid|fail(?:ed|ure|s)?\b|reject|refused|undeliver|unable|not\ able|could\ ?n.?t|could\ not|cannot
    |can.?t\ be|disabled|inactive|suspended|expired|exceed|quota|full\b|bounced|unrouteable|unroutable|denied|blocked|closed
    |deactivated|deleted|terminated|moved|over\ ?limit|returned|problem|error|delayed|not\ yet|malformed|incorrect|\b5\d\d\b|\b5\.\d\.\d
    |nicht\ (?:zugestellt|gefunden|bekannt)|unbekannt|inconnu|non\ recens|desconocido|sconosciuto|onbekend|impossib
    |не\ может|невозможно|无法""",
    re.IGNORECASE | re.VERBOSE,
)
_ONLY_WAITS = re.compile(
    r"""not\ (?:yet\ )?been\ delivered\ (?:yet|to)|not\ yet\ been\ delivered|no\ action\ is\ required
    |do(?:n't|\ not)\ need\ to\ (?:resend|re-send|take)|warning\ (?:message\ )?only|still\ (?:being|trying)|will\ be\ retried
    |just\ a\ warning|will\ continue\ to\ (?:attempt|try)|(?:has\ been|is)\ delayed|delivery\ attempts\ will\ continue
    |delayed\ \d+|been\ postponed""",
    re.IGNORECASE | re.VERBOSE,
)
_GIVES_UP = re.compile(r"permanent|fatal|given up|giving up|not be retried|has been returned|undeliverable", re.IGNORECASE)
_HELP = re.compile(
    r"""contact|assistance|questions|for\ help|help\ desk|support|please\ (?:visit|see|forward|send|call|write|e-?mail|reply)|subscri|abuse
    |e\.g\.|try\ (?:send|e-?mail)|accepting\ mail\ from|another\ means""",
    re.IGNORECASE | re.VERBOSE,
)
_NOT_FAILED = re.compile(
    r"[> ]*(from|sender|reply-to|message-id|in-reply-to|references|cc|mail from|return-path|original sender|envelope-from|x-[\w-]+) ?[:=]",
    re.IGNORECASE,
)
_NAMES_SENDER = re.compile(r"message-?id|\bid=?\s?<|mail from:|\bfrom:?\s?<", re.IGNORECASE)
_NOBODY = re.compile(
    r"(mailer-?daemon|post_?master|abuse|support|help(desk)?|webmaster|hostmaster|majordomo|listserv|no-?reply)@", re.IGNORECASE
)
_MOST_LINES = 400
_MOST_LINE = 1000
_MOST_DIAGNOSTIC = 500
_MOST_RECIPIENTS = 1000


def failures_in(words: str, own: set[str], named: Sequence[str] = ()) -> list[ReportedRecipient]:
    """Who has failed, or waits, according to the text of a report. `own` are addresses (by `spelling`) that can't be meant: those of
    the report itself; `named` are those that its head names as failed.
    """
    lines = [" ".join(line[:_MOST_LINE].split()) for line in words.split("\n")[:_MOST_LINES]]
    opening = lines[: _returned(lines)]
    text = "\n".join(opening)
    found: dict[str, tuple[str, int]] = {}
    if named:
        found = {spelling(address): (address, _line_of(opening, address)) for address in named}
    elif _FAILS.search(text):
        for number, address in _candidates(opening, own):
            found.setdefault(spelling(address), (address, number))
    waits = _ONLY_WAITS.search(text) is not None and not _GIVES_UP.search(text)
    action = Action.DELAYED if waits else Action.FAILED
    others = {number for _, number in found.values()}
    return [_recipient(address, action, opening, number, others) for address, number in found.values()][:_MOST_RECIPIENTS]


def said_about(words: str, address: str) -> str:
    """What a report's text says of an address that it names elsewhere, in one line."""
    lines = [" ".join(line[:_MOST_LINE].split()) for line in words.split("\n")[:_MOST_LINES]]
    opening = lines[: _returned(lines)]
    return _diagnostic(opening, _line_of(opening, address), {number for number, line in enumerate(opening) if _ADDRESS.match(line)})


def _returned(lines: list[str]) -> int:
    """The line at which the returned mail begins; the first line of a report is never one of it."""
    return next((number for number, line in enumerate(lines) if number and _RETURNED.match(line[:200])), len(lines))


def _candidates(lines: list[str], own: set[str]) -> list[tuple[int, str]]:
    """Those behind the announcement before those above it, those that open a line before those in a sentence: where there are any, the
    others name somebody else.
    """
    says = [_FAILS.search(line) is not None for line in lines]
    opening: list[tuple[int, str]] = []
    inside: list[tuple[int, str]] = []
    for number, address, opens in _addresses(lines, own):
        if opens:
            opening.append((number, address))
        elif any(says[max(0, number - 1) : number + 3]) and not any(_HELP.search(line) for line in lines[max(0, number - 1) : number + 1]):
            inside.append((number, address))
    start = next((number for number, line in enumerate(lines) if _ANNOUNCES.search(line)), 0)
    behind = ([each for each in found if each[0] >= start] for found in (opening, inside))
    return next((found for found in (*behind, opening, inside) if found), [])


def _addresses(lines: list[str], own: set[str]) -> Iterator[tuple[int, str, bool]]:
    """Line, address, and whether it opens its line."""
    for number, line in enumerate(lines):
        expanded = _EXPANDED.search(line) is not None
        if _NOT_FAILED.match(line) or (_NAMES_SENDER.search(line) and not expanded):
            continue
        for match in _ADDRESS.finditer(line):
            address = match[1].strip(".'")
            before = line[: match.start()]
            opens = len(before) < 60 and _OPENS.fullmatch(before) is not None and (before != "" or not _goes_on(lines, number))
            if spelling(address) not in own and (opens or not _NOBODY.match(address)):
                yield number, address, expanded or opens


def _goes_on(lines: list[str], number: int) -> bool:
    """Whether a line is in the middle of a sentence that began above it."""
    above = lines[number - 1] if number else ""
    return (above.endswith(",") or above[-1:].isalpha()) and "@" not in above.rpartition(" ")[2]


def _line_of(lines: list[str], address: str) -> int:
    return next((number for number, line in enumerate(lines) if address.lower() in line.lower()), 0)


def _recipient(address: str, action: Action, lines: list[str], number: int, others: set[int]) -> ReportedRecipient:
    diagnostic = _diagnostic(lines, number, others)
    status = _STATUS.search(diagnostic)
    return ReportedRecipient(address, action, status[1] if status else "", diagnostic)


def _diagnostic(lines: list[str], number: int, others: set[int]) -> str:
    """What is said about the address: its line and some below it, up to the line of another one; if they say nothing, the whole opening.

    A reason often stands behind a blank line, so the first gap ends it only where a code was found before.
    """
    near: list[str] = []
    for place in range(number, min(number + 12, len(lines))):
        if place in others and place != number:
            break
        if not lines[place] and (_CODE.search(" ".join(near)) or _STATUS.search(" ".join(near))):
            break
        near.append(lines[place])
    text = " ".join(line for line in near if line)
    rest = _ADDRESS.sub("", text)
    if not (_CODE.search(rest) or _STATUS.search(rest) or _FAILS.search(rest)):
        text = " ".join(line for line in lines if line)
    return text[:_MOST_DIAGNOSTIC]
