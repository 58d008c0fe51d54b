"""A search becomes a table: step by step, bounded, for its owner alone, and for a day."""

from __future__ import annotations

import csv
import io
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest

from mailroom.console import exports
from mailroom.console.exporting import MOST, Exports, forget_old
from mailroom_core.errors import ConfigError
from tests.contract.store.makers import FakeClock
from tests.unit.console.conftest import Pages


def begun(pages: Pages, query: str = "") -> str:
    answer = pages.client.post("/me/exports", data={"query": query})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def ended(pages: Pages, path: str) -> str:
    """Asks for steps as the page does; what it shows at the end."""
    for _ in range(1000):
        text = pages.client.post(f"{path}/step").text
        if "/step" not in text:
            return text
    raise AssertionError("it does not come to an end")


def rows(pages: Pages, path: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(pages.get(f"{path}/mail.csv").removeprefix("\ufeff"))))


def test_an_export_holds_everything_and_no_formula(pages: Pages) -> None:
    pages.store.put([pages.make.message(f"r{number}@example.org") for number in range(exports.AT_ONCE + 5)])
    pages.store.put([pages.make.message("=cmd|calc@example.org", subject="+1")])
    path = begun(pages)
    assert f"{path}/step" in pages.get(path)
    pages.get(f"{path}/mail.csv", 409)
    assert f"{exports.AT_ONCE + 6:,} lines" in re.sub(r"</?strong>", "", ended(pages, path))
    found = rows(pages, path)
    assert len(found) == exports.AT_ONCE + 7
    assert found[1][2] == "'=cmd|calc@example.org"
    assert found[1][4] == "'+1"
    few = begun(pages, "text=r7%40")
    assert "1 line<" in ended(pages, few)
    assert [row[2] for row in rows(pages, few)] == ["recipient", "r7@example.org"]
    assert "text=r7%40" in pages.get("/me/exports")
    pages.client.post(f"{path}/remove")
    assert path not in pages.get("/me/exports")
    pages.get(path, 422)


def piece(after: str) -> tuple[bytes, int, str]:
    """Ten bytes each, for ever."""
    return b"123456789\n", 1, str(int(after or 0) + 1)


def test_it_can_be_stopped_between_two_steps_and_keeps_what_it_has(tmp_path: Path) -> None:
    kept = Exports(tmp_path / "exports", FakeClock(), step=0)
    made = kept.begin("mary", "mail.csv", "", b"head\n")
    assert kept.go_on(made.id, "mary", piece).lines == 1
    assert kept.stop(made.id, "mary").state == "stopped"
    assert kept.go_on(made.id, "mary", piece).lines == 1, "a step that comes too late adds nothing"
    export, file = kept.lines_of(made.id, "mary")
    assert (export.size, file.read_bytes()) == (15, b"head\n123456789\n")
    assert file.stat().st_mode & 0o077 == 0


def test_what_a_step_that_died_has_written_is_cut_off_by_the_next_one(tmp_path: Path) -> None:
    kept = Exports(tmp_path / "exports", FakeClock(), step=0)
    made = kept.begin("mary", "mail.csv", "", b"head\n")
    _, file = kept.lines_of(made.id, "mary")
    file.write_bytes(b"head\nhalf a li")
    kept.go_on(made.id, "mary", piece)
    assert file.read_bytes() == b"head\n123456789\n"


def test_a_table_and_all_of_them_have_a_bound(tmp_path: Path) -> None:
    kept = Exports(tmp_path / "exports", FakeClock(), largest=100, step=60)
    full = kept.go_on(kept.begin("mary", "mail.csv", "", b"head\n").id, "mary", piece)
    assert (full.state, full.size) == ("full", 95)
    for _ in range(MOST - 1):
        kept.begin("mary", "mail.csv", "", b"")
    with pytest.raises(ConfigError, match="remove one"):
        kept.begin("paul", "mail.csv", "", b"")


def test_nobody_else_sees_it_and_after_a_day_nobody_does(tmp_path: Path) -> None:
    clock = FakeClock()
    folder = tmp_path / "exports"
    kept = Exports(folder, clock)
    made = kept.begin("mary", "mail.csv", "", b"")
    assert kept.of("paul") == []
    for id in (made.id, "../mail", "x" * 32):
        with pytest.raises(ConfigError, match="not here any more"):
            kept.lines_of(id, "paul")
    for file in folder.iterdir():
        os.utime(file, (clock().timestamp(), clock().timestamp()))
    clock.go_on(hours=23)
    forget_old(folder, clock())
    assert kept.of("mary")
    clock.go_on(hours=2)
    with pytest.raises(ConfigError, match="not here any more"):
        kept.lines_of(made.id, "mary")
    forget_old(folder, clock())
    assert list(folder.iterdir()) == []
    forget_old(folder / "nothing", clock() + timedelta(days=1))


def test_a_folder_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("a file in its way")
    with pytest.raises(ConfigError, match="can't be kept"):
        Exports(tmp_path / "exports", FakeClock()).begin("mary", "mail.csv", "", b"")
