"""What every command shares: the settings, the parts, and how results are printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mailroom.settings import Settings
    from mailroom.wiring import Parts

_WHOLE = frozenset({"id", "accepted", "at", "next", "done", "state", "address"})
"""Columns that are worth nothing in two lines."""
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
        from mailroom.wiring import open_parts

        logs.configure(level="warning")
        parts = open_parts(self.settings())
        try:
            yield parts
        finally:
            parts.close()


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="For a program: JSON instead of a table.")(command)


def show(rows: Sequence[Mapping[str, object]], *, as_json: bool, empty: str, columns: Iterable[str] = ()) -> None:
    """A table for a person, or JSON for a program. `empty` says what to do next when there is nothing."""
    if as_json:
        click.echo(json.dumps(rows, default=_plain, indent=2))
        return
    if not rows:
        click.echo(empty)
        return
    from rich.console import Console
    from rich.table import Table

    names = list(columns) or list(rows[0])
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name.replace("_", " ").upper(), overflow="fold", no_wrap=name in _WHOLE)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in names))
    Console(soft_wrap=False).print(table)


def _cell(value: object) -> str:
    from rich.markup import escape

    if isinstance(value, datetime):
        return value.astimezone().strftime("%d %b %H:%M:%S")
    if isinstance(value, list | tuple):
        return escape(", ".join(str(item) for item in value))
    return "" if value is None else escape(str(value))


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
