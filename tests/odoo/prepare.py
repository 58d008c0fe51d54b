"""What tests and measurements in a real Odoo stand on: a checkout, a PostgreSQL of their own, a database with the add-on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.contract.store import postgresql
from tests.odoo.machine import ROOT, Place

WANTED = """ODOO is a source checkout of Odoo 19 Community, with odoo-bin, odoo/ and addons/. ODOO_PYTHON is a Python with Odoo's
requirements; left out, it is ODOO/venv/bin/python or ODOO/.venv/bin/python. PostgreSQL's programs must be installed (Debian:
postgresql); a cluster of its own is made in a temporary folder."""


class NotThere(Exception):
    """Something that is needed; the text says what."""


@contextmanager
def prepared(given: str, folder: Path, *, durable: bool = False) -> Iterator[Place]:
    """A place whose PostgreSQL ends with it; its template is not made yet. Raises NotThere."""
    odoo = Path(given).resolve() if given else None
    if odoo is None or not (odoo / "odoo-bin").is_file():
        raise NotThere(f"{given or 'Nothing'} is no Odoo: name a checkout with ODOO=/path/to/odoo")
    programs = postgresql.programs()
    if programs is None:
        raise NotThere("PostgreSQL's programs are not installed (Debian: postgresql)")
    named = os.environ.get("ODOO_PYTHON")
    candidates = [Path(named)] if named else [odoo / "venv/bin/python", odoo / ".venv/bin/python"]
    python = next((each for each in candidates if each.exists()), None)
    if python is None:
        raise NotThere(f"No Python with Odoo's requirements in {odoo}; name it with ODOO_PYTHON")
    site = _site(python, folder / "site")
    with postgresql.running(programs, durable=durable) as cluster:
        yield Place(odoo, python, site, cluster.folder, postgresql.USER, "odoo_template")


def _site(python: Path, site: Path) -> Path:
    """The add-on's requirement, as the administrator installs it: mailroom-core, with what that needs."""
    print("Installing mailroom-core for Odoo's Python ...", flush=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--target", str(site)]
    subprocess.run([*pip, str(ROOT / "packages/core")], check=True)
    return site


def install(place: Place, folder: Path, modules: str) -> None:
    """Make the template, with these modules. Raises NotThere if the add-on is not installed then."""
    print(f"Installing {modules} ...", flush=True)
    place.sql(f'CREATE DATABASE "{place.template}" TEMPLATE template0')
    log = run(place, place.template, folder, "-i", modules, "--without-demo", "True", "--no-http")
    state = place.sql("SELECT state FROM ir_module_module WHERE name = 'microsoft_graph_mail'", database=place.template)
    if state != [("installed",)]:
        raise NotThere(f"Odoo has not installed the add-on:\n{log[-4000:]}")


def run(place: Place, database: str, folder: Path, *more: str, program: Sequence[str] = ()) -> str:
    """Run Odoo to its end; its log, which also lies in the folder."""
    words = place.words(database, folder / "data", "--stop-after-init", "--max-cron-threads", "0", *more, program=program)
    file = folder / f"{database}.log"
    with file.open("wb") as log:
        subprocess.run(words, env=place.environment, stdout=log, stderr=log, check=False)
    return file.read_text(errors="replace")
