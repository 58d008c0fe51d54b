"""The search index: which deliveries hold a part of a word, have a Message-ID or a tag, or belong to an application, lane or account.

An index of our own, in plain tables, so that it is the same over both databases (docs/decisions/0013-the-search-index.md). Deliveries
are indexed in **parts** of 2,048. A part knows for each **key** at which of its positions the key occurs: a trigram of the recipient,
the sender or the subject, in folded case, or the hash of a whole value. A delivery that has all keys of a query is a candidate, and
whoever asked looks at the delivery itself.

The way in only notes what is new (`unindexed`). Parts are made of the oldest of it later, when there is enough for one; what is not in a
part yet is a candidate always. Rows of a part are added once, at the end of the table, and go together.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import blake2b
from heapq import merge
from operator import and_
from struct import pack, unpack

from mailroom.ports import Query
from mailroom.store.database import Row, Tx

PART = 2048
"""Deliveries in a part. The last ones, fewer than that, are looked at one by one."""
BITS = PART // 8
"""Bytes of a posting with one bit for each position; what is rarer is a list of positions, of two bytes each, and shorter."""
SPARSE = PART // 8
"""A part with no more than these left is taken apart, and they wait for another one."""
MOST_PARTS = 128
"""Parts that are asked at once."""
PAGE = 500

WAITS = "INSERT INTO unindexed (delivery_id) VALUES (?)"
OLDEST = """SELECT u.delivery_id, d.recipient, m.sender, m.subject, m.header_message_id, m.tags, m.application, d.lane FROM unindexed u
    JOIN deliveries d ON d.id = u.delivery_id JOIN messages m ON m.id = d.message_id ORDER BY u.delivery_id LIMIT ?"""
NEWEST = "SELECT delivery_id FROM unindexed WHERE delivery_id < ? AND delivery_id >= ? ORDER BY delivery_id DESC LIMIT ?"
HOLD = "UPDATE unindexed SET delivery_id = delivery_id WHERE delivery_id {ids}"
TAKEN = "DELETE FROM unindexed WHERE delivery_id {ids}"
ADD_PART = "INSERT INTO search_parts (first_id, last_id, ids) VALUES (?, ?, ?)"
ADD_POSTINGS = "INSERT INTO postings (part, key, positions) VALUES (?, ?, ?)"
PUT_POSTING = f"{ADD_POSTINGS} ON CONFLICT (part, key) DO UPDATE SET positions = excluded.positions"
LANES = "SELECT id, lane FROM deliveries WHERE id {ids}"
PARTS = "SELECT first_id, last_id FROM search_parts WHERE first_id < ? AND last_id >= ? ORDER BY last_id DESC"
IDS = "SELECT first_id, ids FROM search_parts WHERE first_id {ids}"
POSTINGS = "SELECT part, key, positions FROM postings WHERE part {ids} AND key {ids}"
UP_TO = "SELECT first_id, last_id FROM search_parts WHERE first_id <= ?"
ALIVE = "SELECT id FROM deliveries WHERE id {ids}"
DROP_PART = "DELETE FROM search_parts WHERE first_id {ids}"
DROP_POSTINGS = "DELETE FROM postings WHERE part {ids}"

Keys = Sequence[int]


# ---- keys


def fold(text: str) -> str:
    """Letter case does not count, in any script."""
    return text.casefold()


def grams(text: str) -> list[int]:
    """Each three neighbouring characters as one number of 63 bits."""
    points = [ord(character) for character in fold(text)]
    return [(a << 42) | (b << 21) | c for a, b, c in zip(points, points[1:], points[2:], strict=False)]


def cover(text: str) -> list[int]:
    """As few of the trigrams as hold every character: what else they let through is seen by who looks."""
    every = grams(text)
    return [*every[:-1:3], every[-1]] if every else []


def whole(kind: str, value: str) -> int:
    """The key of a value that is only looked for as a whole; below zero, where no trigram is."""
    digest = blake2b(f"{kind}\0{value}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return -1 - (int.from_bytes(digest, "big") >> 1)


def _bare(message_id: str) -> str:
    return message_id.removeprefix("<").removesuffix(">")


def _account(lane: str) -> str:
    return lane.removeprefix("graph:").rpartition(":")[0]


def _keys_of(row: Row) -> set[int]:
    """Of one of `OLDEST`."""
    _, recipient, sender, subject, message_id, tags, application, lane = row
    keys = {*grams(recipient), *grams(sender or ""), *grams(subject)}
    keys |= {whole("tag", tag) for tag in tags.split()}
    return keys | {whole("id", _bare(message_id)), whole("application", application), *_keys_of_lane(lane)}


def _keys_of_lane(lane: str) -> Iterator[int]:
    yield whole("lane", lane)
    if lane.startswith("graph:"):
        yield whole("account", _account(lane))


def wanted(query: Query) -> list[Keys]:
    """Alternatives, each with all the keys that a delivery must have; none if the index is of no use."""
    named = (
        ("application", query.application),
        ("lane", query.lane),
        ("account", query.account),
        ("tag", query.tag),
        ("id", _bare(query.header_message_id)),
    )
    common = [whole(kind, value) for kind, value in named if value]
    if not query.text:
        return [common] if common else []
    parts = cover(query.text)
    if not parts:
        return [common] if common else []
    return [[*common, *parts], [*common, whole("id", _bare(query.text))]]


# ---- the index is made


@dataclass(frozen=True, slots=True)
class Part:
    """`ids` are sorted; a posting says at which places of them its key occurs. `lanes` are those that the deliveries had then."""

    ids: Sequence[int]
    postings: Mapping[int, bytes]
    lanes: Mapping[int, str]


class Meanwhile(Exception):
    """Somebody else has indexed these deliveries, or forgotten or moved one of them."""


def next_part(tx: Tx) -> Sequence[Row]:
    """The oldest deliveries that are in no part, if they are enough for one."""
    rows = tx.rows(OLDEST, PART)
    return rows if len(rows) == PART else ()


def build(rows: Sequence[Row]) -> Part:
    """Takes a twentieth of a second, outside of any transaction."""
    places: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        for key in _keys_of(row):
            if (known := places.get(key)) is None:
                places[key] = [place]
            else:
                known.append(place)
    return Part([row[0] for row in rows], {key: _packed(found) for key, found in places.items()}, {row[0]: row[-1] for row in rows})


def _packed(places: Sequence[int]) -> bytes:
    if len(places) * 2 < BITS:
        return pack(f"<{len(places)}H", *places)
    bits = bytearray(BITS)
    for place in places:
        bits[place >> 3] |= 1 << (place & 7)
    return bytes(bits)


def add(tx: Tx, part: Part) -> None:
    """Raises Meanwhile, and then nothing may be committed."""
    if tx.change(TAKEN, part.ids) != len(part.ids) or dict(map(tuple, tx.by(LANES, part.ids))) != part.lanes:
        raise Meanwhile
    first = part.ids[0]
    tx.run(ADD_PART, first, part.ids[-1], pack(f"<{len(part.ids)}q", *part.ids))
    tx.many(ADD_POSTINGS, [(first, key, positions) for key, positions in sorted(part.postings.items())])


def move(tx: Tx, lanes: Mapping[int, str]) -> None:
    """These deliveries, by id, are in other lanes by now. What a part says of the lanes of before stays: whoever looks sees that.

    Whoever indexes one of them at this moment has either ended then, or sees the new lane.
    """
    numbers = sorted(lanes)
    if not numbers:
        return
    tx.change(HOLD, numbers)
    for first, ids in tx.by(IDS, _near(tx, numbers)):
        places: dict[int, set[int]] = {}
        for place, number in enumerate(_unpacked(ids)):
            for key in _keys_of_lane(lanes[number]) if number in lanes else ():
                places.setdefault(key, set()).add(place)
        known = {key: bytes(positions) for _, key, positions in tx.by(POSTINGS, [first], tx.several(sorted(places)))}
        tx.many(PUT_POSTING, [(first, key, _packed(sorted(new | _places(known.get(key, b""))))) for key, new in sorted(places.items())])


def _near(tx: Tx, numbers: Sequence[int]) -> list[int]:
    """The parts that may hold one of these; the numbers are sorted."""
    return [first for first, last in tx.rows(UP_TO, numbers[-1]) if bisect_left(numbers, first) < bisect_right(numbers, last)]


def _places(posting: bytes) -> set[int]:
    """What `_packed` was made of."""
    if len(posting) < BITS:
        return set(unpack(f"<{len(posting) // 2}H", posting))
    bits = int.from_bytes(posting, "little")
    return {place for place in range(PART) if bits >> place & 1}


def drop(tx: Tx, gone: Sequence[int]) -> None:
    """These deliveries were deleted. A part whose time is over goes as a whole; what is left of it waits to be indexed anew."""
    if not gone:
        return
    tx.change(TAKEN, gone)
    lost = sorted(gone)
    for first, ids in tx.by(IDS, _near(tx, lost)):
        numbers = _unpacked(ids)
        if not set(numbers).isdisjoint(lost):
            alive = [row[0] for row in tx.by(ALIVE, numbers)]
            if len(alive) <= SPARSE:
                tx.change(DROP_POSTINGS, [first])
                tx.change(DROP_PART, [first])
                tx.many(WAITS, [(number,) for number in alive])


def _unpacked(ids: bytes) -> list[int]:
    return list(unpack(f"<{len(ids) // 8}q", ids))


# ---- the index is asked


def candidates(tx: Tx, alternatives: Sequence[Keys], below: int, since: int) -> Iterator[int]:
    """Ids of deliveries that may match, the newest first: what has all keys of an alternative, and what is not indexed yet."""
    return merge(_unindexed(tx, below, since), _indexed(tx, alternatives, below, since), reverse=True)


def indexed_under(tx: Tx, message_ids: Sequence[str], below: int) -> Iterator[int]:
    """Ids of deliveries in parts that may have one of these Message-IDs, the newest first."""
    return _indexed(tx, [[whole("id", _bare(each))] for each in message_ids], below, 0)


def _unindexed(tx: Tx, below: int, since: int) -> Iterator[int]:
    while rows := tx.rows(NEWEST, below, since, PAGE):
        yield from (row[0] for row in rows)
        below = rows[-1][0]


def _indexed(tx: Tx, alternatives: Sequence[Keys], below: int, since: int) -> Iterator[int]:
    """Parts may overlap: what is found waits until no part that is still to be asked can hold anything newer."""
    parts = tx.rows(PARTS, below, since)
    found: list[int] = []
    start, size = 0, 1
    while start < len(parts):
        asked = [row[0] for row in parts[start : start + size]]
        start, size = start + size, min(size * 2, MOST_PARTS)
        found += (number for number in _matches(tx, asked, alternatives) if since <= number < below)
        found.sort()
        floor = parts[start][1] if start < len(parts) else -1
        while found and found[-1] > floor:
            yield found.pop()


def _matches(tx: Tx, parts: Sequence[int], alternatives: Sequence[Keys]) -> Iterable[int]:
    keys = sorted({key for each in alternatives for key in each})
    postings: dict[int, dict[int, bytes]] = {}
    for part, key, positions in tx.by(POSTINGS, parts, tx.several(keys)):
        postings.setdefault(part, {})[key] = bytes(positions)
    places = {part: set[int]().union(*(_common(known, each) for each in alternatives)) for part, known in postings.items()}
    for first, ids in tx.by(IDS, [part for part, found in places.items() if found]):
        numbers = _unpacked(ids)
        yield from (numbers[place] for place in places[first])


def _common(known: Mapping[int, bytes], keys: Keys) -> set[int]:
    """The places that all keys share."""
    if any(key not in known for key in keys):
        return set()
    postings = sorted({known[key] for key in keys}, key=len)
    rare = [_places(posting) for posting in postings if len(posting) < BITS]
    common = [int.from_bytes(posting, "little") for posting in postings if len(posting) == BITS]
    bits = reduce(and_, common) if common else -1
    if rare:
        return {place for place in set.intersection(*rare) if bits >> place & 1}
    return {place for place in range(PART) if bits >> place & 1}
