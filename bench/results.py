"""What was measured, beside its goal: as values, as a table, as JSON."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from rich.table import Table


class Goal(Enum):
    AT_LEAST = "≥"
    AT_MOST = "≤"
    NONE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the table. `rounds` are the single measurements that `value` is the median of; `facts` are what else is known."""

    name: str
    value: float
    unit: str
    goal: Goal = Goal.NONE
    limit: float = 0.0
    rounds: tuple[float, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        match self.goal:
            case Goal.AT_LEAST:
                return self.value >= self.limit
            case Goal.AT_MOST:
                return self.value <= self.limit
            case Goal.NONE:
                return True


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def table(results: Sequence[Result]) -> Table:
    made = Table(box=None, pad_edge=False)
    for name in ("measured", "value", "goal", "", "rounds"):
        made.add_column(name, justify="right" if name in ("value", "goal") else "left")
    for result in results:
        goal = f"{result.goal.value} {result.limit:g}" if result.limit else ""
        verdict = "" if not result.limit else "[green]met[/]" if result.met else "[red]missed[/]"
        rounds = " ".join(f"{each:.4g}" for each in result.rounds)
        made.add_row(result.name, f"{result.value:.4g} {result.unit}", goal, verdict, rounds)
    return made


def write(path: Path, results: Sequence[Result], machine: dict[str, Any]) -> None:
    """Each row says when it was measured; rows of measurements that were not made this time stay as they were."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    rows = [{**asdict(result), "goal": result.goal.value, "met": result.met, "at": at} for result in results]
    names = {result.name for result in results}
    earlier: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {"results": [], "at": at}
    kept: list[dict[str, Any]] = [{"at": earlier["at"], **row} for row in earlier["results"] if row["name"] not in names]
    document = {"at": at, "machine": machine, "results": [*kept, *rows]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def machine(folder: Path) -> dict[str, Any]:
    """What the numbers depend on. `folder` lies on the disk that was measured."""
    return {
        "cpu": _first("/proc/cpuinfo", "model name"),
        "cores": len(_all("/proc/cpuinfo", "processor")),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file_system": _file_system(folder),
    }


def _all(path: str, name: str) -> list[str]:
    pairs = (line.partition(":") for line in Path(path).read_text().splitlines())
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def _first(path: str, name: str) -> str:
    return next(iter(_all(path, name)), "")


def _file_system(folder: Path) -> str:
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    around = [(point, kind) for point, kind in mounts if folder.absolute().is_relative_to(point)]
    return max(around, key=lambda pair: len(pair[0]))[1]
