"""`make test-odoo ODOO=/path/to/odoo`: the add-on in a real Odoo 19 Community.

A PostgreSQL of its own, a database with the add-on beside crm, project, account and mass_mailing; then the add-on's tests in Odoo's own
framework, the walks over real processes, and Odoo's own tests of mail.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from demo.processes import Emulator
from tests.contract.store import postgresql
from tests.odoo.machine import MODULES, ROOT, Place

NEEDS = """make test-odoo needs an Odoo 19 Community:

  make test-odoo ODOO=/path/to/odoo [ODOO_PYTHON=/path/to/its/python] [ARGS='addon walks stock']

ODOO is a source checkout with odoo-bin, odoo/ and addons/. ODOO_PYTHON is a Python with Odoo's requirements; left out, it is
ODOO/venv/bin/python or ODOO/.venv/bin/python. PostgreSQL's programs must be installed (Debian: postgresql); a cluster of its own is made
in a temporary folder. ARGS picks parts: `addon` (Odoo's framework), `walks` (real processes), `stock` (Odoo's own tests of mail)."""
OWN_MODULES = f"{MODULES},test_mail,microsoft_graph_mail"
STOCK_MODULES = "test_mail,mass_mailing,microsoft_graph_mail"
STOCK_TAGS = "/mail,/test_mail,/mass_mailing,-/test_mail/tests/test_performance.py"
_SUMMARY = re.compile(r"(\d+) failed, (\d+) error\(s\) of (\d+) tests")


def main(arguments: list[str]) -> int:
    odoo = Path(arguments[0]).resolve() if arguments and arguments[0] else None
    programs = postgresql.programs()
    if odoo is None or not (odoo / "odoo-bin").is_file() or programs is None:
        print(NEEDS, file=sys.stderr)
        return 2
    python = _python(odoo)
    if python is None:
        print(f"No Python with Odoo's requirements in {odoo}; name it with ODOO_PYTHON.\n\n{NEEDS}", file=sys.stderr)
        return 2
    parts = arguments[1:] or ["addon", "walks", "stock"]
    with postgresql.running(programs) as cluster, tempfile.TemporaryDirectory(prefix="mailroom-odoo-") as name:
        folder = Path(name)
        place = Place(odoo, python, _site(python), cluster.folder, postgresql.USER, "odoo_template")
        if parts != ["stock"]:
            _install(place, folder)
        results = {part: _PARTS[part](place, folder) for part in parts}
    for part, result in results.items():
        print(f"{part}: {'passed' if result == 0 else 'FAILED'}")
    return 1 if any(results.values()) else 0


def _python(odoo: Path) -> Path | None:
    named = os.environ.get("ODOO_PYTHON")
    candidates = [Path(named)] if named else [odoo / "venv/bin/python", odoo / ".venv/bin/python"]
    return next((each for each in candidates if each.exists()), None)


def _site(python: Path) -> Path:
    """The add-on's requirement, as the administrator installs it: mailroom-core, with what that needs."""
    site = ROOT / ".venv" / "odoo-site"
    print("Installing mailroom-core for Odoo's Python ...", flush=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--upgrade", "--target", str(site)]
    subprocess.run([*pip, str(ROOT / "packages/core")], check=True)
    return site


def _install(place: Place, folder: Path) -> None:
    print(f"Installing {OWN_MODULES} ...", flush=True)
    place.sql(f'CREATE DATABASE "{place.template}" TEMPLATE template0')
    log = _odoo(place, place.template, folder, "-i", OWN_MODULES, "--without-demo", "True", "--no-http")
    assert place.sql("SELECT state FROM ir_module_module WHERE name = 'microsoft_graph_mail'", database=place.template) == [
        ("installed",)
    ], log


def _addon(place: Place, folder: Path) -> int:
    """The add-on's tests in Odoo's own framework, beside the emulator."""
    emulator = Emulator(folder, "--time-scale", "60")
    try:
        os.environ["MICROSOFT_GRAPH_MAIL_EMULATOR"] = emulator.url
        return _tests(place, folder, "addon", "/microsoft_graph_mail", "-u", "microsoft_graph_mail")
    finally:
        emulator.stop()


def _stock(place: Place, folder: Path) -> int:
    """Odoo's own tests of mail, with the add-on installed. They want a database without apps that know nothing of them."""
    fresh = replace(place, template="template0")
    return _tests(fresh, folder, "stock", os.environ.get("STOCK_TAGS", STOCK_TAGS), "-i", STOCK_MODULES, "--without-demo", "True")


def _walks(place: Place, folder: Path) -> int:
    os.environ |= {
        "ODOO_UNDER_TEST": str(place.odoo),
        "ODOO_UNDER_TEST_PYTHON": str(place.python),
        "ODOO_UNDER_TEST_SITE": str(place.site),
        "ODOO_UNDER_TEST_DB_HOST": place.database_host,
        "ODOO_UNDER_TEST_DB_USER": place.database_user,
        "ODOO_UNDER_TEST_TEMPLATE": place.template,
    }
    return int(pytest.main(["-q", str(ROOT / "tests/odoo")]))


_PARTS = {"addon": _addon, "walks": _walks, "stock": _stock}


def _tests(place: Place, folder: Path, name: str, tags: str, *more: str) -> int:
    database = f"odoo_{name}"
    place.sql(f'CREATE DATABASE "{database}" TEMPLATE "{place.template}"')
    began = time.monotonic()
    log = _odoo(place, database, folder, "--test-tags", tags, "--http-interface", "127.0.0.1", "--http-port", "0", *more)
    found = _SUMMARY.findall(log)
    if not found or found[-1][2] == "0":
        print(log[-4000:])
        print(f"{name}: Odoo ran no tests")
        return 1
    failed, errors, count = map(int, found[-1])
    if failed or errors:
        print("\n".join(re.findall(r"^.* (?:ERROR|FAIL): .*(?:\n(?!\d{4}-).*)*", log, re.MULTILINE)))
    print(f"{name}: {count} tests in {time.monotonic() - began:.0f} s, {failed} failed, {errors} errors", flush=True)
    return 1 if failed or errors else 0


def _odoo(place: Place, database: str, folder: Path, *more: str) -> str:
    """Run Odoo to its end; its log."""
    words = place.words(database, folder / "data", "--stop-after-init", "--max-cron-threads", "0", *more)
    done = subprocess.run(words, env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
