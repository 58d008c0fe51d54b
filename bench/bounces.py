"""How well bounces are read, over the test mails of flufl.bounce: recognised, the right recipients, the right permanence.

    python -m bench.bounces PATH     # an unpacked source distribution of flufl.bounce; nothing is fetched

Its own answers stand beside ours, and what it expects is read from its `tests/test_detectors.py`, never run.
"""

from __future__ import annotations

import ast
import email
import importlib
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailroom_core.errors import MimeError
from mailroom_core.inbound import Action
from mailroom_core.mime.bounce import read_report
from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import head
from mailroom_core.mime.index import index
from mailroom_core.mime.source import InMemory

Found = tuple[frozenset[str], frozenset[str]]
"""Addresses, lower-case: those that have failed for a time, and for good."""


@dataclass(frozen=True)
class Expected:
    """What the test of a mail wants. `addresses` may be empty: then nobody can be named."""

    addresses: frozenset[str]
    temporary: bool


def expectations(sdist: Path) -> dict[str, Expected]:
    """File name -> what must be found, from the table `DETECTORS`; where several detectors are tried, all of it together."""
    tree = ast.parse((sdist / "tests/test_detectors.py").read_text())
    table = next(node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DETECTORS")
    found: dict[str, Expected] = {}
    for _, name, wanted, temporary in ast.literal_eval(table):
        before = found.get(name, Expected(frozenset(), temporary)).addresses
        found[name] = Expected(before | {address.decode().lower() for address in wanted}, temporary)
    return found


def ours(raw: bytes) -> Found:
    source = InMemory(raw)
    try:
        report = read_report(source, index(source), head(Fields(raw)))
    except MimeError:
        report = None
    recipients = report.recipients if report else ()
    waiting = {each.address.lower() for each in recipients if each.action is Action.DELAYED}
    failed = {each.address.lower() for each in recipients if each.action is Action.FAILED}
    return frozenset(waiting), frozenset(failed)


def theirs(sdist: Path) -> Callable[[bytes], Found]:
    """flufl.bounce itself, from its sources. Its only dependency decorates names as public, so a stand-in does if it is missing."""
    try:
        importlib.import_module("public")
    except ImportError:
        stand_in = types.ModuleType("public")
        stand_in.public = lambda *things, **names: things[0] if things else None  # type: ignore[attr-defined]
        sys.modules["public"] = stand_in
    sys.path.insert(0, str(sdist / "src"))
    all_failures = importlib.import_module("flufl.bounce").all_failures

    def find(raw: bytes) -> Found:
        temporary, permanent = all_failures(email.message_from_bytes(raw))
        return tuple(frozenset(address.decode("utf-8", "replace").lower() for address in each) for each in (temporary, permanent))  # type: ignore[return-value]

    return find


@dataclass
class Score:
    """Over the mails that name somebody. `silent`: of those that name nobody, how many were left alone."""

    recognised: int = 0
    recipients: int = 0
    permanence: int = 0
    silent: int = 0

    def add(self, wanted: Expected, found: Found) -> bool:
        temporary, permanent = found
        if not wanted.addresses:
            self.silent += not (temporary or permanent)
            return not (temporary or permanent)
        right = (temporary | permanent) == wanted.addresses
        self.recognised += bool(temporary or permanent)
        self.recipients += right
        kind = right and (permanent if wanted.temporary else temporary) == frozenset()
        self.permanence += kind
        return kind


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or not (Path(arguments[0]) / "tests/test_detectors.py").is_file():
        sys.exit("usage: python -m bench.bounces PATH, where PATH is an unpacked source distribution of flufl.bounce")
    sdist = Path(arguments[0])
    wanted = expectations(sdist)
    mails = {name: next(sdist.rglob(name)).read_bytes() for name in wanted}
    named = sum(bool(each.addresses) for each in wanted.values())
    print(f"{len(mails)} mails, of which {named} name a recipient and {len(mails) - named} none")
    for who, find in (("ours", ours), ("flufl.bounce", theirs(sdist))):
        score, wrong = Score(), []
        began = time.perf_counter()
        for name, raw in mails.items():
            found = find(raw)
            if not score.add(wanted[name], found):
                wrong.append((name, found))
        seconds = time.perf_counter() - began
        print(
            f"{who:<13} recognised {score.recognised}/{named}, right recipients {score.recipients}/{named}, right permanence"
            f" {score.permanence}/{named}, left alone {score.silent}/{len(mails) - named}; {len(mails) / seconds:.0f} mails/s"
        )
        for name, (temporary, permanent) in wrong:
            print(f"    {name}: waits {sorted(temporary)}, failed {sorted(permanent)}, wanted {sorted(wanted[name].addresses)}")


if __name__ == "__main__":
    main(sys.argv[1:])
