"""`make test-odoo ODOO=/path/to/odoo`: the add-on in a real Odoo 19 Community.

A PostgreSQL of its own, a database with the add-on beside crm, project, account and mass_mailing; then the add-on's tests in Odoo's own
framework, the walks over real processes, and Odoo's own tests of mail.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path

import pytest

from demo.processes import Emulator
from tests.odoo import stock
from tests.odoo.machine import MODULES, ROOT, Place
from tests.odoo.prepare import WANTED, NotThere, install, prepared, run

NEEDS = f"""make test-odoo needs an Odoo 19 Community:

  make test-odoo ODOO=/path/to/odoo [ODOO_PYTHON=/path/to/its/python] [ARGS='addon walks stock']

{WANTED} ARGS picks parts: `addon` (Odoo's framework), `walks` (real processes), `stock` (Odoo's own tests of mail)."""
OWN_MODULES = f"{MODULES},test_mail,microsoft_graph_mail"
_SUMMARY = re.compile(r"(\d+) failed, (\d+) error\(s\) of (\d+) tests")


def main(arguments: list[str]) -> int:
    parts = arguments[1:] or list(_PARTS)
    if unknown := set(parts) - set(_PARTS):
        print(f"There is no part {', '.join(sorted(unknown))}.\n\n{NEEDS}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="mailroom-odoo-") as name:
        folder = Path(name)
        try:
            with prepared(arguments[0] if arguments else "", folder) as place:
                if parts != ["stock"]:
                    install(place, folder, OWN_MODULES)
                results = {part: _PARTS[part](place, folder) for part in parts}
        except NotThere as problem:
            print(f"{problem}\n\n{NEEDS}", file=sys.stderr)
            return 2
    for part, result in results.items():
        print(f"{part}: {'passed' if result == 0 else 'FAILED'}")
    return 1 if any(results.values()) else 0


def _addon(place: Place, folder: Path) -> int:
    """The add-on's tests in Odoo's own framework, beside the emulator."""
    emulator = Emulator(folder, "--time-scale", "60")
    try:
        os.environ["MICROSOFT_GRAPH_MAIL_EMULATOR"] = emulator.url
        return _tests(place, folder)
    finally:
        emulator.stop()


def _walks(place: Place, folder: Path) -> int:
    os.environ |= {
        "ODOO_UNDER_TEST": str(place.odoo),
        "ODOO_UNDER_TEST_PYTHON": str(place.python),
        "ODOO_UNDER_TEST_SITE": str(place.site),
        "ODOO_UNDER_TEST_DB_HOST": place.database_host,
        "ODOO_UNDER_TEST_DB_USER": place.database_user,
        "ODOO_UNDER_TEST_TEMPLATE": place.template,
    }
    return int(pytest.main(["-q", str(ROOT / "tests/odoo"), *os.environ.get("WALKS", "").split()]))


_PARTS = {"addon": _addon, "walks": _walks, "stock": stock.check}


def _tests(place: Place, folder: Path) -> int:
    place.sql(f'CREATE DATABASE odoo_addon TEMPLATE "{place.template}"')
    began = time.monotonic()
    tags = os.environ.get("ADDON", "/microsoft_graph_mail")
    words = ("--test-tags", tags, "--http-interface", "127.0.0.1", "--http-port", "0", "-u", "microsoft_graph_mail")
    log = run(place, "odoo_addon", folder, *words)
    found = _SUMMARY.findall(log)
    if not found or found[-1][2] == "0":
        print(f"{log[-4000:]}\naddon: Odoo ran no tests")
        return 1
    failed, errors, count = map(int, found[-1])
    if failed or errors:
        print("\n".join(re.findall(r"^.* (?:ERROR|FAIL): .*(?:\n(?!\d{4}-).*)*", log, re.MULTILINE)))
    print(f"addon: {count} tests in {time.monotonic() - began:.0f} s, {failed} failed, {errors} errors", flush=True)
    return 1 if failed or errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
