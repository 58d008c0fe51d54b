"""A name server that knows what a test tells it; everything else does not exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailroom.doctor.answers import Answer, Ask, Status

Records = Mapping[str, Sequence[str] | str | Answer]
"""`TXT example.com` -> its records."""


def zone(records: Records) -> Ask:
    names = {key.split()[1] for key in records}

    async def ask(name: str, kind: str) -> Answer:
        known = records.get(f"{kind} {name}")
        if isinstance(known, Answer):
            return known
        if known is None:
            return Answer(name, kind, Status.EMPTY if name in names else Status.NO_NAME, server="test")
        return Answer(name, kind, Status.FOUND, (known,) if isinstance(known, str) else tuple(known), server="test")

    return ask


def silent(name: str, kind: str) -> Answer:
    return Answer(name, kind, Status.SILENT, trouble="no answer from 192.0.2.53 within 3 seconds")
