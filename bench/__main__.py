"""`python -m bench [relay|accept|start|memory|depth|drain|search|arrival|reports|routing|mx|imap ...] [--quick]`"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bench import acceptance, arrival, depth, drain, imap, memory, mx, relay, reports, routing, search, start
from bench.place import Missing, Place
from bench.results import Result, machine, table, write

HERE = Path(__file__).parent
MEASUREMENTS: dict[str, Callable[[Place, bool], list[Result]]] = {
    "relay": relay.measure,
    "accept": acceptance.measure,
    "start": start.measure,
    "memory": memory.measure,
    "depth": depth.measure,
    "drain": drain.measure,
    "search": search.measure,
    "arrival": arrival.measure,
    "reports": reports.measure,
    "routing": routing.measure,
    "mx": mx.measure,
    "imap": imap.measure,
}


def main() -> int:
    """0 if every measurement was made and every goal met."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of {', '.join(MEASUREMENTS)}; without one, all")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a rough look")
    options = parser.parse_args()
    if unknown := set(options.names) - set(MEASUREMENTS):
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    console = Console()
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    results: list[Result] = []
    complete = True
    for name in options.names or MEASUREMENTS:
        started = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="mailroom-bench-", dir="/var/tmp") as folder:
                found = MEASUREMENTS[name](Place(Path(folder), out), options.quick)
        except Missing as problem:
            console.print(f"{name}: not measured: {problem}", style="red")
            complete = False
            continue
        results += found
        console.print(f"{name}: {time.monotonic() - started:.0f} s", style="dim")
    console.print(table(results))
    write(HERE / "results.json", results, machine(out))
    return 0 if complete and all(result.met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
