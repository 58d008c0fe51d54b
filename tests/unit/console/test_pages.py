"""Times in the texts of stories and logs become the reader's, as all others."""

from __future__ import annotations

from datetime import datetime, timezone

from mailroom.console.pages import told

NEAR = datetime(2026, 12, 31, 23, 59, tzinfo=timezone.utc)


def test_a_time_of_a_text_is_one_that_the_script_shows_in_the_readers_zone() -> None:
    text = told("valid until 2026-11-21 14:07 UTC; <b>")
    assert text == 'valid until <time datetime="2026-11-21T14:07:00+00:00" data-local="">2026-11-21 14:07 UTC</time>; &lt;b&gt;'


def test_a_time_without_a_year_is_the_next_one() -> None:
    assert '<time datetime="2027-01-01T00:09:30+00:00"' in told("tried again at 00:09:30 UTC on 01 Jan: busy", NEAR)
    assert '<time datetime="2026-12-31T' in told("tried again at 23:59:30 UTC on 31 Dec", NEAR)


def test_what_is_no_time_stays_as_it_is() -> None:
    assert told("at 25:61:00 UTC on 99 Abc") == "at 25:61:00 UTC on 99 Abc"
    assert told("2026-99-99 14:07 UTC") == "2026-99-99 14:07 UTC"
