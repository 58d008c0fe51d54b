"""A search as it stands in the address bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import urlencode

from fastapi import Request
from starlette.datastructures import QueryParams

from mailroom.ports import Query
from mailroom_core.model import State

LONGEST = 300
_EARLIEST, _LATEST = datetime(2020, 1, 1, tzinfo=timezone.utc), datetime(2080, 1, 1, tzinfo=timezone.utc)
WORDS = ("text", "message_id", "application", "account", "lane", "tag", "came")
TIMES = ("since", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What the form says, as it was typed, and what it means. `mistakes` are for people."""

    words: Mapping[str, str]
    states: frozenset[State] = frozenset()
    times: Mapping[str, str]
    zone: str = ""
    """Minutes from UTC, as the browser counts them: what `since` and `until` are meant in."""
    after: str = ""
    query: Query
    mistakes: tuple[str, ...] = field(default=())

    @property
    def narrowed(self) -> bool:
        """Whether it leaves anything out."""
        return self.query != Query()

    @property
    def more(self) -> bool:
        """Whether it uses what only the longer form shows."""
        return any(self.words[name] for name in WORDS if name != "text") or any(self.times.values())

    @property
    def home(self) -> str:
        """The page that shows it."""
        quarantined = self.query.came_in and self.states == {State.HELD}
        return f"/quarantine?{self.address()}" if quarantined else f"/messages?{self.address()}"

    def address(self, **changes: str) -> str:
        """The search for the address bar, without its page; `changes` are added."""
        given = [(name, value) for name, value in self.words.items() if value]
        given += [("state", state.value) for state in sorted(self.states, key=list(State).index)]
        given += [(name, value) for name, value in self.times.items() if value]
        if self.zone and any(self.times.values()):
            given.append(("zone", self.zone))
        return urlencode(given + list(changes.items()))


def search_of(given: QueryParams) -> Search:
    """Whatever is in the address bar; what makes no sense is named and left out."""
    mistakes: list[str] = []
    words = {name: _clean(given.get(name, ""))[:LONGEST] for name in WORDS}
    times = {name: given.get(name, "")[:40] for name in TIMES}
    if words["came"] not in ("", "in"):
        mistakes.append(f"Mail comes “in”, or it is not asked; {words['came'][:40]!r} makes no sense.")
        words["came"] = ""
    zone = given.get("zone", "")[:6]
    states = set()
    for value in given.getlist("state"):
        try:
            states |= {State(value)} if value else set()
        except ValueError:
            mistakes.append(f"There is no state {value[:40]!r}.")
    since, until = (_time(name, times[name], zone, mistakes) for name in TIMES)
    after = given.get("after", "")
    if not after.isascii() or not after.isdecimal() or int(after) >= 2**63:
        after = ""
    query = Query(
        text=words["text"],
        header_message_id=words["message_id"],
        states=frozenset(states),
        application=words["application"],
        account=words["account"],
        lane=words["lane"],
        tag=words["tag"],
        came_in=words["came"] == "in",
        since=since,
        until=until,
    )
    return Search(words=words, states=frozenset(states), times=times, zone=zone, after=after, query=query, mistakes=tuple(mistakes))


def search(request: Request) -> Search:
    """As a dependency."""
    return search_of(request.query_params)


def _clean(text: str) -> str:
    """Without what no address, subject or name has: control characters, and halves of characters."""
    return "".join(each for each in text if each.isprintable()).strip()


def _time(name: str, text: str, zone: str, mistakes: list[str]) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=timezone(timedelta(minutes=-int(zone or 0))))
        return min(max(at.astimezone(timezone.utc), _EARLIEST), _LATEST)
    except (ValueError, OverflowError):
        mistakes.append(f"{name.capitalize()} is not a time that can be understood; write it as 2026-11-21 or 2026-11-21T14:30.")
        return None
