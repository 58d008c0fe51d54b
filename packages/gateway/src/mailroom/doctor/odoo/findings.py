"""What is found in an Odoo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mailroom.doctor.findings import Check, Evidence, Finding, Harm, Repair, Unchecked
from mailroom.objects import AliasDomain
from mailroom_core.providers.odoo.records import Values
from mailroom_core.providers.odoo.setup import Change
from mailroom_core.providers.odoo.survey import Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What this gateway knows of the Odoo."""

    destination: str
    """Its name here."""
    server: str
    """What its outgoing server to us is called there."""
    user: str
    """Who it signs in as here."""
    domains: Mapping[str, AliasDomain]
    mailboxes: frozenset[str] = frozenset()
    """Those that we fetch, in lower case."""


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, and what in Odoo mends it."""

    finding: Finding
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OdooReport:
    """A look at an Odoo."""

    destination: str
    url: str
    at: datetime
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    """Worst first."""
    unchecked: tuple[Unchecked, ...]
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    """What mends a finding, by its code."""

    @property
    def harmful(self) -> bool:
        return any(each.harm is Harm.HARMFUL for each in self.findings)


def found(
    code: str,
    harm: Harm,
    title: str,
    why: str,
    todo: str,
    *evidence: Evidence,
    changes: tuple[Change, ...] = (),
    repair: Repair | None = None,
) -> Found:
    """`repair` where no change in Odoo mends it."""
    return Found(Finding(code, harm, title, why, todo, evidence, repairs=(repair,) if repair else ()), changes)


def change(model: str, record: Values, title: str, **after: object) -> Change:
    """Of a record that is there."""
    return Change(
        model=model, id=int(str(record["id"])), title=title, before={name: record.get(name, False) for name in after}, after=after
    )


def said(model: str, *records: Values) -> Evidence:
    """Records as they were read."""
    lines = (", ".join(f"{name} = {value}" for name, value in each.items() if value not in (False, None, "")) for each in records)
    return Evidence(model, "\n".join(lines) or "no record", "Odoo's API")


def called(record: Values) -> str:
    return f"“{record.get('name')}”"


def set_up(survey: Survey, here: Here) -> Repair:
    """What the setup of Odoo mends."""
    return Repair("set Odoo up from here", f"mailroom odoo setup {here.destination}", f"/odoo/of/{here.destination}")
