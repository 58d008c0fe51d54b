"""What somebody wrote into an answer, without what the mail program put below it.

Careful rather than clever: where own words stand between quotes, nothing is taken away, and the whole text stays at hand beside it.
"""

from __future__ import annotations

import re

_LONGEST_INTRO = 4
"""Lines over which mail programs break `On Friday, Mary <mary@example.com> wrote:`."""
_WROTE = re.compile(
    r"\b(wrote|writes|schrieb|a écrit|escribió|ha scritto|schreef|skrev|napisał|kirjoitti|escreveu|napsal|írta|yazdı)\b[^:]{0,80}:\s*$",
    re.IGNORECASE,
)
_BEGINS = re.compile(
    r"\*?(on|am|le|el|il|op|den|dne|em|w dniu|dnia|at|pe|vào|"
    r"(mon|tue|wed|thu|fri|sat|sun)[a-z]*|\d{1,4}[-./]\d{1,2}[-./]\d{1,4})\b",
    re.IGNORECASE,
)
_RULE = re.compile(
    r"[-_ ]{2,}\s*(original message|original appointment|forwarded message|ursprüngliche nachricht|weitergeleitete nachricht"
    r"|message d'origine|message transféré|mensaje original|messaggio originale|oorspronkelijk bericht|mensagem original"
    r"|ursprungligt meddelande)\s*[-_ ]{2,}",
    re.IGNORECASE,
)
_FROM = re.compile(r"\*{0,2}(from|von|de|da|van|från|fra|od|lähettäjä)\s?:\*{0,2}\s*\S", re.IGNORECASE)
_FURTHER = re.compile(
    r"\*{0,2}(sent|date|to|cc|subject|gesendet|datum|an|betreff|envoyé|à|objet|enviado|para|asunto|inviato|a|oggetto|verzonden|aan|onderwerp"
    r"|skickat|till|ämne|sendt|til|emne|wysłano|do|temat|assunto|data)\s?:\*{0,2}",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(r"-- ?")
_SENT_FROM = re.compile(
    r"(sent from my \S.{0,40}|get outlook for \S.{0,60}|sent from outlook for \S.{0,60}|von meinem \S.{0,40} gesendet"
    r"|envoyé de mon \S.{0,40}|enviado desde mi \S.{0,40}|inviato da(l mio)? \S.{0,40}|verstuurd vanaf mijn \S.{0,40}"
    r"|gesendet mit der \S.{0,60})",
    re.IGNORECASE,
)
_MOST_LINE = 200
"""Characters of a line in which one of these is looked for."""


def reply_of(text: str) -> str:
    """The new words of an answer; the whole text if nothing would be left of it."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = lines[: _signature_begins(lines[: _quote_begins(lines)])]
    return "\n".join(kept).strip() or "\n".join(lines).strip()


def _quote_begins(lines: list[str]) -> int:
    for number, line in enumerate(lines):
        if line.startswith((">", "|")):
            return number if _all_quoted(lines[number:]) else len(lines)
        if _RULE.match(line.strip()[:_MOST_LINE]) or _is_head_block(lines, number):
            return number
        length = _intro(lines, number)
        if length:
            rest = lines[number + length :]
            return number if _all_quoted(rest) or not any(each.startswith(">") for each in rest) else len(lines)
    return len(lines)


def _all_quoted(lines: list[str]) -> bool:
    """Whether nothing stands below the first quote but quotes, blank lines and a signature."""
    for line in lines:
        if _SIGNATURE.fullmatch(line):
            return True
        if line.strip() and not line.startswith((">", "|")):
            return False
    return True


def _intro(lines: list[str], number: int) -> int:
    """How many lines the words above a quote take; 0 if here are none. They have a date or an address."""
    if not _BEGINS.match(lines[number].strip()):
        return 0
    joined = ""
    for length, line in enumerate(lines[number : number + _LONGEST_INTRO], start=1):
        if not line.strip():
            return 0
        joined += " " + line.strip()[-_MOST_LINE:]
        if _WROTE.search(joined[-_MOST_LINE:]):
            return length if "@" in joined or any(char.isdigit() for char in joined) else 0
    return 0


def _is_head_block(lines: list[str], number: int) -> bool:
    """`From:`, `Sent:`, `To:`, `Subject:` in a row, as Outlook puts them above the old mail."""
    if not _FROM.match(lines[number].strip()):
        return False
    further = [line.strip() for line in lines[number + 1 : number + 8] if line.strip()]
    return sum(1 for line in further[:6] if _FURTHER.match(line)) >= 2


def _signature_begins(lines: list[str]) -> int:
    end = next((number for number, line in enumerate(lines) if number and _SIGNATURE.fullmatch(line)), len(lines))
    while end and _says_nothing(lines[end - 1].strip()):
        end -= 1
    return end


def _says_nothing(line: str) -> bool:
    return not line or set(line) <= {"_"} or (len(line) < 100 and _SENT_FROM.fullmatch(line) is not None)
