"""Odoo's own tests of mail, with the add-on installed.

All of them run when all modules are there (`late.py`). What fails runs once more in a database without the add-on: what fails there as
well is Odoo's, or this machine's; it is listed and counts for nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tests.odoo.machine import ROOT, Place
from tests.odoo.prepare import run

WHOLE = ("mail", "test_mail", "test_mass_mailing", "mass_mailing", "crm", "project")
"""Modules whose tests run."""
OF_ACCOUNT = ("test_account_move_send", "test_account_incoming_supplier_invoice", "test_account_journal", "test_mail_tracking_value")
"""Files of `account` that are about mail; its other tests are about bookkeeping."""
LEFT_OUT = {
    "they need a browser": (
        *(
            f"mail/discuss/test_{name}"
            for name in ("ui", "discuss_sub_channels", "load_messages", "discuss_channel_invite", "discuss_action")
        ),
        *(f"mail/discuss/test_{name}" for name in ("discuss_channel_as_guest", "discuss_mention_suggestions")),
        "mass_mailing/test_mailing_ui",
        *(f"crm/test_{name}_ui" for name in ("crm", "sales_team")),
        *(f"project/test_{name}_ui" for name in ("project", "task_templates", "project_update", "project_sharing", "project_template")),
        *(f"project/test_{name}" for name in ("burndown_chart", "project_tags_filter", "personal_stages")),
    ),
    "they count queries, and each further module changes their number": ("test_mail/test_performance", "crm/test_performances"),
}
"""Files of tests that don't run, and why."""
_OF_ODOO = {
    "Odoo's Python has no package phonenumbers, which is an option of Odoo's": re.compile(
        r"/crm:TestCRMLead\.|/test_mass_mailing:Test(MassSMS|SmsController)"
    ),
    "it wants links to the port that Odoo was installed with": re.compile(r"/project:TestProjectSharingPortalAccess\.test_wizard_confirm"),
}
"""Why tests of Odoo's are known to fail without the add-on; that they do is tried each time."""
_SUMMARY = re.compile(r"(\d+) failed, (\d+) error\(s\) of (\d+) tests")
_FAILURE = re.compile(r" (?:ERROR|CRITICAL) \S+ (odoo\.addons\.(\w+)\.tests\.[\w.]+): (?:FAIL|ERROR): (?:Subtest )?(.*)")
_METHOD = re.compile(r"(\w+)\.(test_\w+)")
_CLASS = re.compile(r"setUpClass \((?:\w+\.)*(\w+)\)")


@dataclass(frozen=True)
class Ran:
    """`failed` are the names of tests, as --test-tags takes them; of classes, where a class could not be set up."""

    tests: int
    failed: frozenset[str]
    log: str


def check(place: Place, folder: Path) -> int:
    """0 if nothing fails that passes without the add-on."""
    modules = [name for name in (*WHOLE, "account") if (place.odoo / "addons" / name).is_dir()]
    _made(place, folder, "odoo_stock", [*modules, "microsoft_graph_mail"])
    began = time.monotonic()
    ran = _tests(place, folder, "odoo_stock", _tags(place, modules))
    if not ran.tests:
        print(f"{ran.log[-4000:]}\nstock: Odoo ran no tests")
        return 1
    ours: Collection[str] = ran.failed
    if ran.failed:
        _made(place, folder, "odoo_without", modules)
        without = _tests(place, folder, "odoo_without", ",".join(sorted(ran.failed)))
        ours = ran.failed - without.failed
        print("\n".join(f"fails without the add-on too: {name} ({_reason(name)})" for name in sorted(ran.failed & without.failed)))
    for name in sorted(ours):
        print(f"FAILS WITH THE ADD-ON: {name}")
    if ours:
        print("\n".join(re.findall(r"^.* (?:ERROR|FAIL): .*(?:\n(?!\d{4}-).*)*", ran.log, re.MULTILINE)))
    for why, names in LEFT_OUT.items():
        print(f"left out, because {why}: {', '.join(names)}")
    seconds = time.monotonic() - began
    print(
        f"stock: {ran.tests} of Odoo's own tests ({', '.join(modules)}) in {seconds:.0f} s, {len(ours)} fail because of the add-on",
        flush=True,
    )
    return 1 if ours else 0


def _reason(name: str) -> str:
    return next((why for why, names in _OF_ODOO.items() if names.match(name)), "why was not looked into")


def _tags(place: Place, modules: Collection[str]) -> str:
    """What --test-tags takes; a file is named by its path."""
    wanted = [f"/{name}" for name in modules if name in WHOLE]
    wanted += [f"/account/tests/{name}.py" for name in OF_ACCOUNT if "account" in modules]
    left_out = ["-/" + name.replace("/", "/tests/", 1) + ".py" for names in LEFT_OUT.values() for name in names]
    return ",".join([*wanted, *left_out])


def _made(place: Place, folder: Path, database: str, modules: Collection[str]) -> None:
    print(f"Installing {', '.join(modules)} ...", flush=True)
    place.sql(f'CREATE DATABASE "{database}" TEMPLATE template0')
    run(place, database, folder, "-i", ",".join(modules), "--without-demo", "True", "--no-http")


def _tests(place: Place, folder: Path, database: str, tags: str) -> Ran:
    words = ("--test-tags", tags, "--http-interface", "127.0.0.1", "--http-port", "0")
    log = run(place, database, folder, *words, program=(str(ROOT / "tests/odoo/late.py"), str(place.odoo)))
    found = _SUMMARY.findall(log)
    return Ran(int(found[-1][2]) if found else 0, frozenset(filter(None, map(_name, _FAILURE.findall(log)))), log)


def _name(found: tuple[str, str, str]) -> str:
    _logger, module, what = found
    if method := _METHOD.search(what):
        return f"/{module}:{method[1]}.{method[2]}"
    if whole := _CLASS.search(what):
        return f"/{module}:{whole[1]}"
    return f"/{module}"
