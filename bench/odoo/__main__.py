"""`python -m bench.odoo ODOO [queue|attachment|incoming ...] [--quick]`"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bench.__main__ import HERE
from bench.odoo import attachment, incoming, queue
from bench.place import Missing, Place
from bench.results import Result, machine, table, write
from tests.odoo import machine as odoo_machine
from tests.odoo.prepare import WANTED, NotThere, install, prepared

NEEDS = f"""make bench-odoo needs an Odoo 19 Community:

  make bench-odoo ODOO=/path/to/odoo [ODOO_PYTHON=/path/to/its/python] [ARGS='queue attachment incoming --quick']

{WANTED} Also needed: the Debian packages postfix (smtp-sink) and dovecot-imapd, -pop3d, -lmtpd."""
MEASUREMENTS: dict[str, Callable[[Place, odoo_machine.Place, bool], list[Result]]] = {
    "queue": queue.measure,
    "attachment": attachment.measure,
    "incoming": incoming.measure,
}


def main() -> int:
    """0 if every goal was met, 1 if not, 2 if something is missing."""
    parser = argparse.ArgumentParser(prog="make bench-odoo", description=__doc__)
    parser.add_argument("odoo")
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of {', '.join(MEASUREMENTS)}; without one, all")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a rough look")
    options = parser.parse_args()
    if unknown := set(options.names) - set(MEASUREMENTS):
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    results: list[Result] = []
    try:
        with tempfile.TemporaryDirectory(prefix="mailroom-bench-odoo-", dir="/var/tmp") as name:
            folder = Path(name)
            with prepared(options.odoo, folder, durable=True) as odoo:
                install(odoo, folder, "mail,microsoft_graph_mail")
                for each in options.names or MEASUREMENTS:
                    (folder / each).mkdir()
                    results += MEASUREMENTS[each](Place(folder / each, out), odoo, options.quick)
    except (NotThere, Missing) as problem:
        print(f"{problem}\n\n{NEEDS}", file=sys.stderr)
        return 2
    Console().print(table(results))
    write(HERE / "results.json", results, machine(out))
    return 0 if all(result.met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
