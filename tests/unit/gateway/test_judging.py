from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mailroom.notices import Notice, NoticeId, NoticeState, Tried, Try
from mailroom.webhooks.judging import LONGEST, SPREAD, WAITS, judge, retry_after
from mailroom_core.flow import Response

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TRY = Try(NOW, timedelta(seconds=1), 0, "")


def notice(tries: int = 0) -> Notice:
    state = NoticeState.WAITING
    return Notice(id=NoticeId(1), webhook="shop", event="sent", message_id=None, body="{}", state=state, due_at=NOW, tries=tries)


def judged(status: int = 500, *, tries: int = 0, chance: float = 0.0, wish: str = "") -> Tried:
    answer = Response(status, {"retry-after": wish}) if status else None
    return judge(notice(tries), TRY, answer, now=NOW, chance=chance)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_two_hundred_and_something_is_yes(status: int) -> None:
    assert (judged(status).state, judged(status).due_at) == (NoticeState.DELIVERED, None)


@pytest.mark.parametrize("status", [0, 100, 199, 300, 302, 400, 401, 404, 410, 500, 503])
def test_everything_else_is_not_yet(status: int) -> None:
    assert (judged(status).state, judged(status).due_at) == (NoticeState.WAITING, NOW + WAITS[0])
    assert judged(status).gone == (status == 410)


def test_the_waits_are_those_of_the_standard_and_then_it_is_given_up() -> None:
    assert [judged(tries=tries).due_at for tries in range(len(WAITS))] == [NOW + wait for wait in WAITS]
    assert sum(WAITS, timedelta()) > timedelta(days=3)
    assert (judged(tries=len(WAITS)).state, judged(tries=len(WAITS)).due_at) == (NoticeState.GIVEN_UP, None)


def test_chance_spreads_them() -> None:
    assert judged(chance=0.5).due_at == NOW + WAITS[0] * (1 + SPREAD / 2)


def test_a_wish_prolongs_the_wait_and_pauses_the_target_if_it_is_busy() -> None:
    assert (judged(429, wish="60").due_at, judged(429, wish="60").pause_until) == (NOW + timedelta(minutes=1), NOW + timedelta(minutes=1))
    assert judged(429, wish="1", tries=1).due_at == NOW + WAITS[1]
    assert judged(500, wish="60").pause_until is None


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("60", timedelta(minutes=1)),
        ("0.5", timedelta(milliseconds=500)),
        ("Sat, 21 Nov 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("Sat, 21 Nov 2020 12:05:00 GMT", timedelta()),
        ("99999999", LONGEST),
        ("9" * 400, None),
        ("1e999", None),
        ("-5", None),
        ("soon", None),
        ("Sat, 21 Nov 2026 12:05:00", None),
        ("", None),
    ],
)
def test_wishes_are_seconds_or_a_date_and_a_day_at_most(text: str, wish: timedelta | None) -> None:
    assert retry_after(Response(429, {"retry-after": text}), NOW) == wish
