"""Reads the report "SMTP AUTH clients" as it is exported: CSV, in whatever encoding, language and order of columns.

Columns, by Microsoft's own pages: "Sender address", "Domain", "TLS 1.0", "TLS 1.1", "TLS 1.2" (percentages), "Messages sent"
(learn.microsoft.com/exchange/monitoring/mail-flow-reports/mfr-smtp-auth-clients-report, also in other languages), and in the report
of the former Security & Compliance Center "Sender address", "Message count", "TLS1.0%" to "TLS1.2%", where a cell holds percentage and
number. Since October 2024 there is a column for the authentication protocol as well (the Exchange team's announcement of the end of
basic authentication); its exact name is in no public page, so any with "auth" or "protocol" is taken.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import islice

from mailroom_core.errors import ConfigError
from mailroom_core.policy.addresses import is_deliverable, normalize

MOST_BYTES = 768 * 1024
MOST_CLIENTS = 500
MOST_COLUMNS = 64
_HEAD = 20
"""Lines in which the names of the columns are looked for."""
_SENDER = re.compile(
    r"sender|absender|remitente|mittente|exp[eé]diteur|afzender|avsender|afsender|nadawca|address|送信者|发件人|寄件者", re.IGNORECASE
)
_COUNT = re.compile(r"messag|nachricht|mensaje|bericht|count|anzahl|volum|meddel|wiadomo|mails?\b|メッセージ|邮件|郵件", re.I)
_PROTOCOL = re.compile(r"auth|protocol|protokoll|protocole|protocolo|protocollo", re.I)
_TLS = re.compile(r"tls\D{0,3}1[.,_ ]?([0-3])", re.I)
_TLS_ALONE = re.compile(r"\btls\b", re.I)
_NUMBER = re.compile(r"\s*(\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+|\d{1,15})(?:[.,]\d{1,10})?(?!\d)")
_SHARE = re.compile(r"\s*(\d{1,3}(?:[.,]\d{1,10})?)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SHORT = 60
_VERSIONS = ("1.0", "1.1", "1.2", "1.3")


class NoReport(ConfigError):
    """This is not the report, or it is too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One address that has handed in mail at smtp.office365.com."""

    address: str
    """Normalised."""
    mails: int | None = None
    """In the time of the report; None if it does not say."""
    tls: tuple[tuple[str, float], ...] = ()
    """Version and percentage of its mail, oldest first."""
    protocols: tuple[str, ...] = ()
    """How it signed in: `password`, `OAuth`, or what the report calls it; empty if it does not say."""

    @property
    def modern(self) -> bool:
        """It signs in without a password: nothing has to be done."""
        return self.protocols == (OAUTH,)

    @property
    def tls_words(self) -> str:
        """`1.2`, or `1.0 30 %, 1.2 70 %`."""
        if len(self.tls) == 1:
            return self.tls[0][0]
        return ", ".join(f"{version} {share:g} %" for version, share in self.tls)


PASSWORD, OAUTH = "password", "OAuth"


@dataclass(frozen=True, slots=True)
class Report:
    clients: tuple[Client, ...]
    """Most mail first."""
    skipped: tuple[str, ...]
    """Lines without an address, with what stands there; ten at most."""
    left_out: int
    """Lines that were skipped beyond these."""


@dataclass(frozen=True, slots=True)
class _Columns:
    sender: int
    count: int | None
    protocol: int | None
    tls_alone: int | None
    tls: tuple[tuple[int, str], ...]
    ways: tuple[tuple[int, str], ...]
    """Columns that count the mail of one way to sign in."""


def read(raw: bytes) -> Report:
    """The report of an exported file. Raises NoReport."""
    if len(raw) > MOST_BYTES:
        raise NoReport(f"the file is larger than {MOST_BYTES >> 10} KiB; export fewer days, or filter the report before the export")
    lines = _text(raw).splitlines()
    rows = list(_rows(lines))
    if not rows:
        raise NoReport("the file is empty; choose a date range with mail in it, then export the report again")
    columns, body = _columns(rows)
    found: dict[str, Client] = {}
    skipped = list[str]()
    for number, row in body:
        address = normalize(_cell(row, columns.sender).strip("<> "))
        if not is_deliverable(address):
            skipped.append(f"line {number}: {_short(_cell(row, columns.sender)) or 'no address'}")
            continue
        made = _client(address, row, columns)
        found[address] = _together(found[address], made) if address in found else made
        if len(found) > MOST_CLIENTS:
            raise NoReport(f"the report has more than {MOST_CLIENTS} addresses; filter it by domain, and read one part after the other")
    if not found:
        raise NoReport("no line has an address; export the report with its column Sender address")
    clients = sorted(found.values(), key=lambda each: (-(each.mails or 0), each.address))
    return Report(tuple(clients), tuple(skipped[:10]), max(len(skipped) - 10, 0))


def written(clients: Sequence[Client]) -> str:
    """As CSV that `read` reads, for a form that is sent back."""
    made = StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(["Sender address", "Messages sent", "Authentication protocol", *(f"TLS {version}" for version in _VERSIONS)])
    for each in clients:
        shares = dict(each.tls)
        tls = [f"{shares[version]:g}" if version in shares else "" for version in _VERSIONS]
        writer.writerow([each.address, "" if each.mails is None else each.mails, "; ".join(each.protocols), *tls])
    return made.getvalue()


def _text(raw: bytes) -> str:
    """Excel and PowerShell write UTF-16, with or without its mark."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    head = raw[:400]
    if head[1::2].count(0) > len(head) // 4:
        return raw.decode("utf-16-le", "replace")
    if head[::2].count(0) > len(head) // 4:
        return raw.decode("utf-16-be", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _rows(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Number of the line and cells; without empty lines, and without Excel's `sep=;`."""
    told = re.fullmatch(r"\"?sep=(.)\"?", lines[0].strip()) if lines else None
    rest = lines[1:] if told else lines
    separator = told[1] if told else _separator(rest)
    reader = csv.reader((_CONTROL.sub("", line) for line in rest), delimiter=separator, skipinitialspace=True)
    try:
        for cells in reader:
            if len(cells) > MOST_COLUMNS:
                raise NoReport(f"line {reader.line_num} has {len(cells)} columns; this is another report")
            if any(cell.strip() for cell in cells):
                yield reader.line_num + bool(told), cells
    except csv.Error as problem:
        raise NoReport(f"line {reader.line_num} can't be read as CSV: {problem}") from None


def _separator(lines: Sequence[str]) -> str:
    counted = Counter[str]()
    for line in islice(lines, _HEAD):
        outside = re.sub(r'"[^"]*"', "", line)
        counted.update({each: outside.count(each) for each in ";,\t|"})
    separator, count = max(counted.items(), key=lambda each: each[1], default=(",", 0))
    return separator if count else ","


def _columns(rows: Sequence[tuple[int, list[str]]]) -> tuple[_Columns, Sequence[tuple[int, list[str]]]]:
    """What each column is, by its name, and the sender by its content where no name says it. Raises NoReport."""
    for by_name in (True, False):
        for place, (_, cells) in enumerate(rows[:_HEAD]):
            sender = _sender(cells, [row for _, row in rows[place + 1 :]], by_name=by_name)
            if sender is not None:
                return _named(cells, sender), rows[place + 1 :]
    raise NoReport(
        "there is no column with the addresses of senders; export the report SMTP AUTH clients "
        "(Exchange admin center, Reports, Mail flow) with its column Sender address"
    )


def _sender(names: Sequence[str], below: Sequence[Sequence[str]], *, by_name: bool) -> int | None:
    if any("@" in name for name in names):
        return None  # mail already, not the names of columns
    counted = {
        place: sum("@" in _cell(row, place) for row in below) for place, name in enumerate(names) if not by_name or _SENDER.search(name)
    }
    return max(counted, key=lambda place: (counted[place], -place)) if any(counted.values()) else None


def _named(names: Sequence[str], sender: int) -> _Columns:
    others = [(place, name.strip()) for place, name in enumerate(names) if place != sender]
    tls = tuple((place, f"1.{found[1]}") for place, name in others if (found := _TLS.search(name)))
    ways = tuple((place, OAUTH if re.search("oauth|modern", name, re.I) else PASSWORD) for place, name in others if _is_way(name))
    taken = {place for place, _ in (*tls, *ways)}
    rest = [(place, name) for place, name in others if place not in taken]
    count = next((place for place, name in rest if _COUNT.search(name) and not _SENDER.search(name)), None)
    return _Columns(
        sender=sender,
        count=count,
        protocol=next((place for place, name in rest if place != count and _PROTOCOL.search(name) and not _TLS_ALONE.search(name)), None),
        tls_alone=next((place for place, name in rest if _TLS_ALONE.search(name)), None),
        tls=tls,
        ways=ways,
    )


def _is_way(name: str) -> bool:
    return bool(re.search(r"\b(basic|legacy|oauth|modern)", name, re.I))


def _client(address: str, row: Sequence[str], columns: _Columns) -> Client:
    shares = ((version, _share(_cell(row, place))) for place, version in columns.tls)
    tls = tuple(sorted((version, share) for version, share in shares if share))
    if not tls and columns.tls_alone is not None and (found := re.findall(r"1[.,_]([0-3])", _cell(row, columns.tls_alone))):
        tls = tuple((f"1.{minor}", round(100 / len(set(found)), 1)) for minor in sorted(set(found)))
    ways = {way for place, way in columns.ways if _share(_cell(row, place)) or _number(_cell(row, place))}
    if columns.protocol is not None:
        ways |= set(_protocols(_cell(row, columns.protocol)))
    mails = None if columns.count is None else _number(_cell(row, columns.count))
    return Client(address=address, mails=mails, tls=tls, protocols=tuple(sorted(ways)))


def _protocols(said: str) -> Iterator[str]:
    for word in re.split(r"[,;/+&]| and ", said):
        if re.search("oauth|modern", word, re.I):
            yield OAUTH
        elif re.search("basic|legacy|password|login|plain", word, re.I):
            yield PASSWORD
        elif word.strip() and not re.fullmatch(r"\s*smtp\s*(auth)?\s*", word, re.I):
            yield _short(word)


def _together(one: Client, other: Client) -> Client:
    """Two lines about one address."""
    mails = None if one.mails is None and other.mails is None else (one.mails or 0) + (other.mails or 0)
    shares = dict(one.tls)
    for version, share in other.tls:
        shares[version] = max(share, shares.get(version, 0))
    return replace(one, mails=mails, tls=tuple(sorted(shares.items())), protocols=tuple(sorted({*one.protocols, *other.protocols})))


def _cell(row: Sequence[str], place: int) -> str:
    return row[place].strip() if place < len(row) else ""


def _number(text: str) -> int | None:
    found = _NUMBER.match(text)
    return min(int(re.sub(r"\D", "", found[1])), 10**12) if found else None


def _share(text: str) -> float:
    """`98.5`, `98,5 %`, and `100% (12)` of the former report."""
    found = _SHARE.match(text)
    return min(float(found[1].replace(",", ".")), 100.0) if found else 0.0


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHORT else f"{text[:_SHORT]} ..."
