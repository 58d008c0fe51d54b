"""Aggregate reports about mail in our names (RFC 9990, RFC 7489 7.2): from a mail to values.

Whoever knows the address can write to it, so nothing is believed but its form: no document type (and so no entities), at most so many bytes
packed and unpacked, at most so many rows, and every word is cut.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from io import BytesIO
from ipaddress import ip_address
from xml.parsers import expat

from mailroom.doctor.answers import plain
from mailroom.ports import AggregateReport, ReportRow
from mailroom_core.errors import MimeError
from mailroom_core.mime.index import decoded_pieces, decoded_size, index
from mailroom_core.mime.source import ReadAt

MOST_PACKED = 8 * 1024 * 1024
MOST = 64 * 1024 * 1024
"""Bytes of a report as text."""
MOST_ROWS = 50_000
LONGEST = 255
DEEPEST = 12
_FILES = (".xml", ".xml.gz", ".gz", ".zip")
_TYPES = frozenset(
    {"application/gzip", "application/x-gzip", "application/zip", "application/x-zip-compressed", "text/xml", "application/xml"}
)
_CHUNK = 64 * 1024


class NoReport(Exception):
    """The text says what is wrong with it."""


def reports_of(source: ReadAt) -> list[AggregateReport]:
    """All that a mail brings; none for a mail that brings none. Raises NoReport for one that can't be read."""
    try:
        root = index(source)
    except MimeError as problem:
        raise NoReport(f"the mail can't be read: {problem}") from None
    found = []
    for part in root.walk():
        name = part.filename.lower()
        if part.content is None or not (name.endswith(_FILES) or part.content_type in _TYPES):
            continue
        if decoded_size(part) > MOST_PACKED:
            raise NoReport(f"{part.filename or 'the report'} is larger than {MOST_PACKED >> 20} MiB")
        found.append(read(b"".join(decoded_pieces(source, part))))
    return found


def read(packed: bytes) -> AggregateReport:
    """One report: XML, or XML in gzip or zip. Raises NoReport."""
    reader = _Reader()
    for piece in _unpacked(packed):
        reader.feed(piece)
    return reader.finish()


def _unpacked(packed: bytes) -> Iterator[bytes]:
    """In pieces, never more than MOST in all. Raises NoReport."""
    try:
        if packed[:2] == b"\x1f\x8b":
            yield from _gzip(packed)
        elif packed[:2] == b"PK":
            with zipfile.ZipFile(BytesIO(packed)) as archive:
                names = [each for each in archive.infolist() if not each.is_dir()]
                if len(names) != 1:
                    raise NoReport(f"the archive holds {len(names)} files, and a report is one")
                with archive.open(names[0]) as inside:
                    yield from _bounded(iter(lambda: inside.read(_CHUNK), b""))
        else:
            yield from _bounded(packed[start : start + _CHUNK] for start in range(0, len(packed), _CHUNK))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as problem:
        raise NoReport(f"it can't be unpacked: {problem}") from None


def _gzip(packed: bytes) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def pieces() -> Iterator[bytes]:
        rest = packed
        while rest and not unpacker.eof:
            yield unpacker.decompress(rest, _CHUNK)
            rest = unpacker.unconsumed_tail
        if not unpacker.eof:
            raise EOFError("it ends too early")

    return _bounded(pieces())


def _bounded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MOST:
            raise NoReport(f"unpacked it is larger than {MOST >> 20} MiB")
        yield piece


class _Reader:
    """One report, element by element; memory grows with its rows alone."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._path: list[str] = []
        self._words = ""
        self._meta: dict[str, str] = {}
        self._row: dict[str, str] = {}
        self._result: dict[str, str] = {}
        self._signed: list[str] = []
        self._sent = ""
        self._rows: list[ReportRow] = []

    def feed(self, piece: bytes) -> None:
        try:
            self._parser.Parse(piece, False)
        except expat.ExpatError as problem:
            raise NoReport(f"it is not valid XML: {problem}") from None

    def finish(self) -> AggregateReport:
        try:
            self._parser.Parse(b"", True)
        except expat.ExpatError as problem:
            raise NoReport(f"it is not valid XML: {problem}") from None
        missing = [each for each in ("report_metadata/report_id", "policy_published/domain") if not self._meta.get(each)]
        if missing:
            raise NoReport(f"it is no DMARC report: {', '.join(missing)} is missing")
        return AggregateReport(
            reporter=self._meta.get("report_metadata/org_name") or self._meta.get("report_metadata/email", "") or "unnamed",
            number=self._meta["report_metadata/report_id"],
            domain=plain(self._meta["policy_published/domain"]),
            begins=self._moment("begin"),
            ends=self._moment("end"),
            policy=self._meta.get("policy_published/p", ""),
            rows=tuple(self._rows),
        )

    def _moment(self, which: str) -> datetime:
        try:
            return datetime.fromtimestamp(int(self._meta.get(f"report_metadata/date_range/{which}", "")), tz=timezone.utc)
        except (ValueError, OverflowError, OSError):
            raise NoReport(f"it has no valid date ({which})") from None

    def _doctype(self, *_: object) -> None:
        raise NoReport("it declares a document type, which no report needs")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(" ")[2].lower())
        self._words = ""
        if len(self._path) > DEEPEST:
            raise NoReport("its elements are too deep")
        if self._path == ["feedback", "record"]:
            self._row, self._signed, self._sent = {}, [], ""
        elif len(self._path) == 4 and self._path[2] == "auth_results":
            self._result = {}

    def _text(self, words: str) -> None:
        if len(self._words) < LONGEST:
            self._words = (self._words + words)[:LONGEST]

    def _end(self, name: str) -> None:
        path, words = self._path, self._words.strip()
        if path[:1] != ["feedback"]:
            raise NoReport("it is no DMARC report")
        if path[1:2] != ["record"]:
            self._meta.setdefault("/".join(path[1:]), words)
        elif path[2:3] == ["auth_results"]:
            self._auth(path[3:], words)
        elif len(path) == 2:
            self._add()
        else:
            self._row.setdefault("/".join(path[2:]), words)
        self._path.pop()
        self._words = ""

    def _auth(self, path: list[str], words: str) -> None:
        if len(path) == 2:
            self._result.setdefault(path[1], words)
        elif len(path) == 1 and self._result.get("result", "").lower() == "pass":
            if path[0] == "dkim" and len(self._signed) < 10:
                self._signed.append(plain(self._result.get("domain", "")))
            elif path[0] == "spf":
                self._sent = plain(self._result.get("domain", ""))

    def _add(self) -> None:
        if len(self._rows) >= MOST_ROWS:
            raise NoReport(f"it has more than {MOST_ROWS} rows")
        row = self._row
        try:
            source, count = str(ip_address(row.get("row/source_ip", ""))), int(row.get("row/count", ""))
        except ValueError:
            raise NoReport("a row has no valid source_ip or count") from None
        if not 0 <= count < 2**40:
            raise NoReport("a row has no valid count")
        judged = "row/policy_evaluated"
        self._rows.append(
            ReportRow(
                source=source,
                count=count,
                header_from=plain(row.get("identifiers/header_from", "")),
                disposition=row.get(f"{judged}/disposition", "").lower(),
                dkim=row.get(f"{judged}/dkim", "").lower() == "pass",
                spf=row.get(f"{judged}/spf", "").lower() == "pass",
                dkim_domains=tuple(dict.fromkeys(each for each in self._signed if each and " " not in each)),
                spf_domain=self._sent,
            )
        )
