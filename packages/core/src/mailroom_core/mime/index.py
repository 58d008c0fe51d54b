"""Where the parts of a mail lie: one pass over the source, offsets instead of copies.

`index` reads the source once, in windows, and keeps heads and offsets only. What it measures on the way (`Content`) lets others
write exact lengths before they write a byte, and read any range of a decoded body without the rest.

Tolerated, as everybody meets them: a last boundary that never comes, boundaries of an outer part inside of an inner one, heads
without an empty line, text before and after the parts. Refused with MimeError, because nobody writes such mail by accident:
more than `MAX_PARTS` parts or `MAX_DEPTH` levels, a head above `MAX_HEAD`, heads above `MAX_HEADS` together.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mailroom_core.errors import MimeError
from mailroom_core.mime.decode import Decoder, decoder, is_encoded
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.lines import LineLengths
from mailroom_core.mime.params import parameters
from mailroom_core.mime.source import ReadAt

WINDOW = 256 * 1024
MAX_PARTS = 10_000
MAX_DEPTH = 100
MAX_HEAD = 1024 * 1024
MAX_HEADS = 16 * 1024 * 1024

# RFC 2046 5.1.1. At most 1,000 characters, so that the end of a window may cut a boundary line without any being missed.
_DELIMITER = re.compile(rb"\n--([^\n]{0,1000})(?=\n|\Z)")
_MAX_LINE = 1003
# `Fields` decides where a head ends; these only say how far to read for it.
_HEAD_LINE = re.compile(rb"[!-9;-~]+[ \t]*:|[ \t]")
_MBOX_LINE = re.compile(rb">?From ")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Decoding can begin here: `raw` is an offset in the source, `decoded` in the content, `pending` the decoder's state."""

    raw: int
    decoded: int
    pending: bytes


@dataclass(frozen=True, slots=True)
class Content:
    """What is known of a leaf's body.

    `size` is that of the decoded body. `seven_bit` and `long_lines` are about the bytes in the source. `ascii`, `utf8` and `lone_lfs`
    (line feeds without a carriage return) are about the decoded bytes, and measured for text only.
    """

    size: int
    seven_bit: bool
    long_lines: bool
    ascii: bool
    utf8: bool
    lone_lfs: int
    checkpoints: tuple[Checkpoint, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One entity (RFC 2045 2.4). Offsets are in the source; the head ends behind its last field, the body begins behind the empty line.

    `content_type` is lower-case, without parameters; text/plain where there is none, application/octet-stream where it makes no
    sense. `content` is None for multiparts and messages with parts of their own.
    """

    head_start: int
    head_end: int
    body_start: int
    body_end: int
    content_type: str
    params: Mapping[str, str]
    encoding: str
    disposition: str
    filename: str
    content_id: str
    content: Content | None
    parts: tuple[Part, ...] = ()

    @property
    def charset(self) -> str:
        return self.params.get("charset", "")

    def walk(self) -> Iterator[Part]:
        """This part and all parts inside, in order."""
        yield self
        for part in self.parts:
            yield from part.walk()


def index(source: ReadAt, *, window: int = WINDOW) -> Part:
    """The parts of the mail in `source`, read once in windows of that many bytes. Raises MimeError."""
    return _Indexer(source, window).run()


def read_head(source: ReadAt, part: Part) -> Fields:
    """The fields of a part, read anew."""
    return Fields(source.read_at(part.head_start, part.head_end - part.head_start))


def decoded_size(part: Part) -> int:
    """The bytes of a part's decoded body; of a multipart or message, of its body as it stands."""
    return part.content.size if part.content else part.body_end - part.body_start


def decoded(source: ReadAt, part: Part, start: int, length: int) -> bytes:
    """`length` bytes of the decoded body from `start`, less only at its end. Reads little more of the source than they need."""
    if part.content is None or not is_encoded(part.encoding):
        end = min(part.body_start + start + length, part.body_end)
        return source.read_at(part.body_start + start, max(0, end - part.body_start - start))
    found = bisect_right(part.content.checkpoints, start, key=lambda point: point.decoded)
    point = part.content.checkpoints[found - 1] if found else Checkpoint(part.body_start, 0, b"")
    out = bytearray()
    skip = start - point.decoded
    for piece in _decode(source, part, point):
        out += piece[skip:]
        skip = max(0, skip - len(piece))
        if len(out) >= length:
            break
    return bytes(out[:length])


def decoded_pieces(source: ReadAt, part: Part) -> Iterator[bytes]:
    """The whole decoded body, in pieces of up to `WINDOW` bytes."""
    return _decode(source, part, Checkpoint(part.body_start, 0, b""))


def _decode(source: ReadAt, part: Part, point: Checkpoint) -> Iterator[bytes]:
    reader = decoder(part.encoding if part.content else "", point.pending)
    raw = point.raw
    while raw < part.body_end and not reader.done:
        data = source.read_at(raw, min(WINDOW, part.body_end - raw))
        if not data:
            raise MimeError("the mail became shorter while it was read; it has to be sent anew")
        raw += len(data)
        yield reader.feed(data)
    yield reader.finish()


class _Measure:
    """Decodes a body while it passes and keeps what `Content` tells."""

    def __init__(self, start: int, encoding: str, *, is_text: bool, step: int) -> None:
        self._raw = self._last = start
        self._step = step if is_encoded(encoding) else 0
        self._decoder: Decoder = decoder(encoding)
        self._utf8 = codecs.getincrementaldecoder("utf-8")() if is_text else None
        self._after_cr = False
        self._size = self._lone_lfs = 0
        self._seven_bit = self._ascii = self._valid = True
        self._lines = LineLengths()
        self._checkpoints: list[Checkpoint] = []

    def feed(self, data: bytes) -> None:
        if self._step and self._raw - self._last >= self._step and not self._decoder.done:
            self._checkpoints.append(Checkpoint(self._raw, self._size, self._decoder.pending))
            self._last = self._raw
        self._raw += len(data)
        self._seven_bit = self._seven_bit and data.isascii()
        self._lines.feed(data)
        self._look(self._decoder.feed(data))

    def finish(self) -> Content:
        self._look(self._decoder.finish(), final=True)
        return Content(
            size=self._size,
            seven_bit=self._seven_bit,
            long_lines=self._lines.too_long,
            ascii=self._ascii,
            utf8=self._valid,
            lone_lfs=self._lone_lfs,
            checkpoints=tuple(self._checkpoints),
        )

    def _look(self, text: bytes, *, final: bool = False) -> None:
        self._size += len(text)
        if self._utf8 is None:
            return
        self._lone_lfs += text.count(b"\n") - text.count(b"\r\n") - (self._after_cr and text.startswith(b"\n"))
        self._after_cr = text.endswith(b"\r") if text else self._after_cr
        self._ascii = self._ascii and text.isascii()
        if self._valid and not self._ascii:
            try:
                self._utf8.decode(text, final)
            except UnicodeDecodeError:
                self._valid = False


class _Open:
    """A part whose end has not come yet."""

    def __init__(self, start: int, fields: Fields, default_type: str) -> None:
        self.head_start = start
        self.head_end = start + fields.end
        self.body_start = start + fields.body_start
        content_type = fields.unfolded("Content-Type")
        self.type, self.params = parameters(content_type or default_type)
        if self.type.count("/") != 1 or self.type.startswith("/") or self.type.endswith("/"):
            self.type = default_type if self.type in ("", "text") else "application/octet-stream"
        self.disposition, disposition_params = parameters(fields.unfolded("Content-Disposition") or "")
        self.filename = disposition_params.get("filename") or self.params.get("name", "")
        self.content_id = (fields.get("Content-ID") or "").strip(" <>")
        self.encoding = parameters(fields.unfolded("Content-Transfer-Encoding") or "7bit")[0]
        # RFC 2046 5.1.1: it does not end with blanks. One that no line can hold can't be found.
        boundary = self.params.get("boundary", "").rstrip().encode("utf-8") if self.type.startswith("multipart/") else b""
        self.boundary = boundary if len(boundary) < 990 else b""
        self.holds_message = self.type in ("message/rfc822", "message/global") and not is_encoded(self.encoding)
        self.parts: list[Part] = []
        self.measure: _Measure | None = None

    def close(self, end: int) -> Part:
        return Part(
            head_start=self.head_start,
            head_end=self.head_end,
            body_start=self.body_start,
            body_end=max(self.body_start, end),
            content_type=self.type,
            params=self.params,
            encoding=self.encoding,
            disposition=self.disposition,
            filename=self.filename,
            content_id=self.content_id,
            content=self.measure.finish() if self.measure else None,
            parts=tuple(self.parts),
        )


class _Indexer:
    """The pass. `_data` is what is in memory, at `_base` of the source; `_pos` is an offset in it, all before it is dealt with."""

    def __init__(self, source: ReadAt, window: int) -> None:
        self._source = source
        self._window = window
        self._data = b""
        self._base = self._pos = 0
        self._open: list[_Open] = []  # from the outermost to the innermost part that has not ended
        self._levels: dict[bytes, int] = {}  # boundary -> index in _open
        self._count = self._heads = 0

    def run(self) -> Part:
        self._begin("text/plain")
        while (found := self._delimiter()) is not None:
            level, is_last, end = found
            self._close_down_to(level, end)
            multipart = self._open[level]
            if is_last:
                multipart.boundary = b""
            self._levels = {part.boundary: i for i, part in enumerate(self._open) if part.boundary}
            if not is_last:
                self._begin("message/rfc822" if multipart.type == "multipart/digest" else "text/plain")
        end = self._base + len(self._data)
        self._close_down_to(0, end)
        return self._open[0].close(end)

    def _begin(self, default_type: str) -> None:
        """Read the head at `_pos` and open its part; for a message, the message inside as well."""
        if self._count >= MAX_PARTS or len(self._open) >= MAX_DEPTH:
            raise MimeError(f"the mail has more than {MAX_PARTS} parts, or more than {MAX_DEPTH} levels of them")
        self._count += 1
        fields = Fields(self._head())
        part = _Open(self._base + self._pos, fields, default_type)
        self._open.append(part)
        self._pos += fields.body_start
        if part.boundary:
            self._levels[part.boundary] = len(self._open) - 1
        elif part.holds_message:
            self._begin("text/plain")
        else:
            is_text = part.type.startswith("text/")
            part.measure = _Measure(part.body_start, part.encoding, is_text=is_text, step=self._window)

    def _head(self) -> bytes:
        """The bytes from `_pos` to the empty line, with it, or to a line that can't be in a head."""
        length = 0
        while line := self._line(length):
            if not line.strip(b"\r\n"):
                length += len(line)
                break
            if not (_HEAD_LINE.match(line) or (not length and _MBOX_LINE.match(line))) or self._is_delimiter(line):
                break
            length += len(line)
        self._heads += length
        if self._heads > MAX_HEADS:
            raise MimeError(f"the heads of the mail's parts are larger than {MAX_HEADS} bytes together")
        return self._data[self._pos : self._pos + length]

    def _line(self, ahead: int) -> bytes:
        """The line that begins `ahead` bytes behind `_pos`."""
        while True:
            end = self._data.find(b"\n", self._pos + ahead) + 1
            if (end or len(self._data)) - self._pos > MAX_HEAD:
                raise MimeError(f"a head at offset {self._base + self._pos} of the mail is larger than {MAX_HEAD} bytes")
            if end:
                return self._data[self._pos + ahead : end]
            if not self._more():
                return self._data[self._pos + ahead :]

    def _more(self) -> bool:
        """Read the next window; drop what is before `_pos`, but for one byte: it may be the line end before a boundary."""
        drop = max(0, self._pos - 1)
        data = self._source.read_at(self._base + len(self._data), self._window)
        self._data = self._data[drop:] + data
        self._base += drop
        self._pos -= drop
        return bool(data)

    def _delimiter(self) -> tuple[int, bool, int] | None:
        """Pass the body up to the next boundary line: its level, whether it is the last one, where the body before it ends."""
        measure = self._open[-1].measure
        search = -1 if self._pos else 0  # from _pos: the line end before it may belong to a boundary line
        more = True
        while True:
            limit = len(self._data) if not more else self._data.rfind(b"\n") + 1
            for match in _DELIMITER.finditer(self._data, self._pos + search, limit) if self._levels else ():
                found = self._level(match[1])
                if found:
                    end = match.start() - self._data.endswith(b"\r", 0, match.start())
                    self._pass(measure, end)
                    self._pos = min(match.end() + 1, len(self._data))
                    return *found, self._base + end
            if not more:
                self._pass(measure, len(self._data))
                return None
            hold = self._hold(self._pos + search)
            self._pass(measure, hold)
            search = hold - self._pos
            more = self._more()

    def _pass(self, measure: _Measure | None, until: int) -> None:
        if until > self._pos:
            if measure:
                measure.feed(self._data[self._pos : until])
            self._pos = until

    def _hold(self, search: int) -> int:
        """From where on the data may be the beginning of a boundary line, its line end included."""
        end = len(self._data)
        last = self._data.rfind(b"\n", max(search, end - _MAX_LINE))
        if last >= 0 and b"--".startswith(self._data[last + 1 : last + 3]):
            return last - (last > self._pos and self._data.endswith(b"\r", 0, last))
        return end - self._data.endswith(b"\r", self._pos)

    def _level(self, text: bytes) -> tuple[int, bool] | None:
        """Whose boundary a line is, from behind its two dashes; and whether it is the last one."""
        text = text.rstrip(b" \t\r\n")
        if text in self._levels:
            return self._levels[text], False
        if text.endswith(b"--") and text[:-2] in self._levels:
            return self._levels[text[:-2]], True
        return None

    def _is_delimiter(self, line: bytes) -> bool:
        return line.startswith(b"--") and self._level(line[2:]) is not None

    def _close_down_to(self, level: int, end: int) -> None:
        while len(self._open) - 1 > level:
            part = self._open.pop().close(end)
            self._open[-1].parts.append(part)
