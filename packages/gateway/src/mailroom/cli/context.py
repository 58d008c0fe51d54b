"""What every command shares: the settings, the parts, and how results are printed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.table import Table

    from mailroom.doctor.trial import Step
    from mailroom.settings import Settings
    from mailroom.wiring.parts import Parts

_WHOLE = frozenset({"id", "accepted", "at", "next", "done", "state", "address", "lane"})
"""Columns that are worth nothing in two lines."""
_CUT = frozenset({"reply"})
"""Columns whose beginning is enough; the whole stands elsewhere."""
_WIDE = 120
_ENDLESS = 100_000
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Context:
    """The options before the command."""

    config: Path | None
    data: Path | None

    def arguments(self) -> list[str]:
        """The same options for another process."""
        given = (("--config", self.config), ("--data", self.data))
        return [word for option, value in given if value is not None for word in (option, str(value))]

    def settings(self) -> Settings:
        import os

        from mailroom.settings import load

        environment = dict(os.environ)
        if self.data is not None:
            environment["MAILROOM_DATA"] = str(self.data)
        default = Path("mailroom.toml")
        return load(self.config or (default if default.exists() else None), environment)

    @contextmanager
    def parts(self) -> Iterator[Parts]:
        """The store, the vault and the rest; works beside a running gateway."""
        from mailroom.observe import logs
        from mailroom.wiring.parts import open_parts

        logs.configure(level="warning")
        parts = open_parts(self.settings())
        try:
            yield parts
        finally:
            parts.close()


def by() -> str:
    """Who has called this command, for the audit log."""
    import os
    import pwd

    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"cli:{os.getuid()}"


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="For a program: JSON instead of a table.")(command)


def show(
    rows: Sequence[Mapping[str, object]], *, as_json: bool, empty: str, columns: Iterable[str] = (), spare: Collection[str] = ()
) -> None:
    """A table for a person, or JSON for a program. `empty` says what to do next when there is nothing.

    A narrow terminal does without the columns in `spare`. Where there is no terminal, no line is folded.
    """
    if as_json:
        click.echo(json.dumps(rows, default=_plain, indent=2))
        return
    if not rows:
        click.echo(empty)
        return
    from rich.console import Console

    console = Console(emoji=False, highlight=False)
    names = [name for name in columns or rows[0] if name not in spare or not console.is_terminal or console.width >= _WIDE]
    if console.is_terminal:
        console.print(_table(rows, names, cut=_CUT))
        return
    console.width = _ENDLESS
    with console.capture() as captured:
        console.print(_table(rows, names))
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


async def show_steps(trial: AsyncIterator[Step], *, as_json: bool) -> bool:
    """The steps of a trial as they happen, a line or a JSON object each. Whether the last one went well."""
    ok = False
    async for step in trial:
        ok = step.ok
        if as_json:
            click.echo(json.dumps({"step": step.name, "ok": step.ok, "said": step.said}))
        else:
            click.echo(f"{'ok    ' if step.ok else 'FAILED'}  {step.name:<9} {step.said}")
    return ok


def _table(rows: Sequence[Mapping[str, object]], names: Sequence[str], *, cut: frozenset[str] = frozenset()) -> Table:
    """With a column in `cut`, it is as wide as the terminal, and this column gets what the others leave."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, expand=not cut.isdisjoint(names))
    for name in names:
        title = name.replace("_", " ").upper()
        if any(isinstance(row.get(name), datetime) for row in rows):
            title += " (UTC)"
        if name in cut:
            table.add_column(title, overflow="ellipsis", no_wrap=True, ratio=1)
        else:
            table.add_column(title, overflow="fold", no_wrap=name in _WHOLE)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in names))
    return table


def _cell(value: object) -> str:
    from rich.markup import escape

    if isinstance(value, datetime):
        # As in the texts of a story, in the log and in JSON.
        return value.astimezone(UTC).strftime("%d %b %H:%M:%S")
    if isinstance(value, list | tuple):
        return escape(", ".join(str(item) for item in value))
    return "" if value is None else escape(str(value))


def counted(number: int, one: str, many: str) -> str:
    """`1 lane goes`, `2 lanes go`."""
    return f"{number} {one if number == 1 else many}"


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
