"""The house itself: is there a way out, does the gateway listen, is there room on the disk, when does its own certificate end?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailroom.doctor.findings import Evidence, Finding, Harm, Repair, Unchecked
from mailroom.doctor.health.limits import of_ends
from mailroom.doctor.health.looking import HOUSE, Examined, Fact, judged, shown
from mailroom.doctor.trial import Step
from mailroom.objects import MiB
from mailroom.vault.expiry import Expiry

FEW = 2048 * MiB
NONE = 256 * MiB
"""Bytes that are free where the queue lies: below the first it should be looked after, below the second mail may be refused any moment."""
SOON = timedelta(days=14)
"""A certificate that renews itself has done so by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseFacts:
    servers: int = 0
    """Active outgoing servers."""
    applications: int = 0
    """Active ones."""
    listeners: tuple[Step, ...] = ()
    """What each port said, as a client on this machine sees it."""
    unnamed: tuple[str, ...] = ()
    """Ports that can't be asked, and why."""
    free: int = 0
    total: int = 0
    folder: str = ""
    ends: tuple[Expiry, ...] = ()
    """Its own TLS certificate, if it is not self-signed."""
    quarantine: int = 0


def judge(facts: HouseFacts, now: datetime) -> Examined:
    findings = [*_way_out(facts), *_listens(facts), *_room(facts)]
    findings += of_ends(facts.ends, now, "Then programs that check it hand in no mail any more.", soon=SOON)
    return judged(
        HOUSE,
        "mail is taken, and there is room for it",
        findings,
        [Unchecked(each, "it has any free port (0), which nobody can find") for each in facts.unnamed],
        evidence=shown(facts.listeners, "this machine"),
        facts=(Fact("free on the disk", f"{_size(facts.free)} of {_size(facts.total)}"), Fact("quarantine", str(facts.quarantine))),
        ends=facts.ends,
    )


def _way_out(facts: HouseFacts) -> Iterator[Finding]:
    if facts.servers or not facts.applications:
        return
    yield Finding(
        code="no-way-out",
        harm=Harm.HARMFUL,
        title="There is no outgoing server in use",
        why="Every mail is refused when it is handed in.",
        todo="Connect an account, or add a mail service",
        evidence=(Evidence("active outgoing servers", "none", "settings"),),
        repairs=(Repair("add one", "mailroom server presets", "/servers"),),
    )


def _listens(facts: HouseFacts) -> Iterator[Finding]:
    silent = [each for each in facts.listeners if not each.ok]
    if not silent:
        return
    yield Finding(
        code="not-listening",
        harm=Harm.HARMFUL,
        title=f"Nothing answers at {', '.join(each.name for each in silent)}",
        why="Programs can hand in no mail there.",
        todo="See that the gateway runs (systemctl status mailroom), and was started since its settings were changed",
        evidence=shown(facts.listeners, "this machine"),
        repairs=(Repair("start it", "mailroom serve"),),
    )


def _room(facts: HouseFacts) -> Iterator[Finding]:
    if not facts.total or facts.free >= FEW:
        return
    yield Finding(
        code="disk-full" if facts.free < NONE else "disk-fills",
        harm=Harm.HARMFUL if facts.free < NONE else Harm.RISKY,
        title=f"Only {_size(facts.free)} are free in {facts.folder}",
        why="The queue lies there: without room, mail is refused with 452, and nothing can be noted of what leaves.",
        todo="Make room, or keep done mail for a shorter time (queue.keep_raw)",
        evidence=(Evidence(f"free in {facts.folder}", f"{facts.free} of {facts.total} bytes", "this machine"),),
    )


def _size(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"
