"""How well bounces are read, over the test mails of others: recognised, the right recipients, the right permanence.

    python -m bench.bounces PATH             # an unpacked source distribution of flufl.bounce
    python -m bench.bounces EMAILS TESTS     # checkouts of sisimai/set-of-emails and sisimai/rb-sisimai

Nothing is fetched. flufl.bounce's own answers stand beside ours; what is expected is read from the tests of both, which are never run.
"""

from __future__ import annotations

import ast
import email
import importlib
import re
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailroom_core.errors import MimeError
from mailroom_core.inbound import Action, ReportedRecipient
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


def recipients_of(raw: bytes) -> tuple[ReportedRecipient, ...]:
    source = InMemory(raw)
    try:
        report = read_report(source, index(source), head(Fields(raw)))
    except MimeError:
        return ()
    return report.recipients if report else ()


def ours(raw: bytes) -> Found:
    recipients = recipients_of(raw)
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


def over_flufl(sdist: Path) -> None:
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


def over_sisimai(emails: Path, tests: Path) -> None:
    """Its tests say how many recipients each mail names and why each has failed, but not who they are."""
    row = re.compile(r"'(\d\d)' => \[(\[.*?\])\s*\],?\n", re.DOTALL)
    reason = re.compile(r"\['[^']*',\s*'[^']*',\s*'([^']*)',\s*(?:true|false)")
    total = recognised = count = 0
    for test in sorted((tests / "test/public").glob("*.rb")):
        for number, rest in row.findall(test.read_text()):
            mail = emails / f"maildir/bsd/{test.stem}-{number}.eml"
            wanted = reason.findall(rest)
            if not mail.exists() or set(wanted) <= {"vacation", "delivered"}:
                continue
            recipients = recipients_of(mail.read_bytes())
            total += 1
            recognised += bool(recipients)
            count += len(recipients) == len(wanted)
    print(f"sisimai: recognised {recognised}/{total}, as many recipients as expected {count}/{total}")
    others = sorted((emails / "maildir/not").glob("*.eml"))
    print(f"sisimai: left alone {sum(not recipients_of(each.read_bytes()) for each in others)}/{len(others)} that are no bounces")


def main(arguments: list[str]) -> None:
    folders = [Path(argument) for argument in arguments]
    match folders:
        case [sdist] if (sdist / "tests/test_detectors.py").is_file():
            over_flufl(sdist)
        case [emails, tests] if (emails / "maildir/bsd").is_dir() and (tests / "test/public").is_dir():
            over_sisimai(emails, tests)
        case _:
            sys.exit("usage: python -m bench.bounces PATH, or EMAILS TESTS: unpacked sources, see the head of bench/bounces.py")


if __name__ == "__main__":
    main(sys.argv[1:])
