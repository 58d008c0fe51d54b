"""What SpamAssassin thinks of a mail, where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from tempfile import TemporaryDirectory

MOST = 512 * 1024
"""Bytes; SpamAssassin looks at no larger mail itself."""
PATIENCE = 60.0
_STATUS = re.compile(rb"^X-Spam-Status: (?:Yes|No), score=(-?\d+(?:\.\d+)?) required=(-?\d+(?:\.\d+)?)", re.MULTILINE)
_RULE = re.compile(r"^ ?(-?\d+(?:\.\d+)?) ([A-Z][A-Z0-9_]+) +(\S.*)$")


@dataclass(frozen=True, slots=True)
class Opinion:
    score: float
    required: float
    """From here on it is spam."""
    rules: tuple[tuple[float, str, str], ...]
    """Points, name and description, the worst first."""


def opinion(raw: bytes) -> Opinion | str:
    """By its rules alone, without a network; or why there is none. Blocking."""
    program = shutil.which("spamassassin")
    if program is None:
        return "SpamAssassin is not installed on this machine (Debian's package spamassassin)"
    if len(raw) > MOST:
        return f"the mail is larger than {MOST >> 10} KiB, which SpamAssassin does not look at"
    with TemporaryDirectory(prefix="mailroom-doctor-") as home:
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "LC_ALL": "C"}
        try:
            done = subprocess.run(  # noqa: S603  # nothing of the mail is in the command
                [program, "--test-mode", "--local"], input=raw, capture_output=True, timeout=PATIENCE, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            return f"SpamAssassin did not end within {PATIENCE:.0f} seconds"
        except OSError as problem:
            return f"SpamAssassin could not be started: {problem.strerror}"
    return read(done.stdout)


def read(said: bytes) -> Opinion | str:
    """Its answer: the mail with header fields of its own before, and a table at the end."""
    head, _, rest = said.partition(b"\n\n")
    status = _STATUS.search(head)
    if status is None:
        return "SpamAssassin gave no opinion; is it set up? Try: spamassassin --lint"
    table = rest.decode("utf-8", "replace").rpartition("Content analysis details:")[2]
    rules = [(float(found[1]), found[2], found[3].strip()) for line in table.splitlines()[:200] if (found := _RULE.match(line))]
    return Opinion(float(status[1]), float(status[2]), tuple(sorted(rules, key=lambda each: -each[0])))
