"""The report about an Odoo."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mailroom.doctor.findings import Check, Evidence, Harm, Unchecked, Verdict, by_harm
from mailroom.doctor.odoo.domains import judge_domains
from mailroom.doctor.odoo.findings import Found, Here, OdooReport, found
from mailroom.doctor.odoo.servers import active, judge_servers
from mailroom.doctor.odoo.work import judge_crons, judge_fetchers, judge_mails, judge_parameters
from mailroom.doctor.shapes import check_body, finding_body
from mailroom_core.providers.odoo.survey import Survey


def judge(survey: Survey, here: Here, url: str) -> OdooReport:
    """What was found in it. Where something could not be read, its area is unchecked."""
    areas: list[tuple[str, tuple[str, ...], Iterable[Found], str]] = [
        ("outgoing servers", ("outgoing servers",), judge_servers(survey, here), f"{len(active(survey))} active"),
        ("alias domains", ("alias domains", "companies", "aliases"), judge_domains(survey, here), f"{len(survey.domains)} set up"),
        ("scheduled actions", ("scheduled actions",), judge_crons(survey), "sending and fetching run"),
        ("mails", ("failed mails", "waiting mails"), judge_mails(survey), "none has failed, none waits too long"),
        ("system parameters", ("system parameters",), judge_parameters(survey), "no contradiction"),
        ("incoming servers", ("incoming servers",), judge_fetchers(survey, here), f"{len(survey.fetchers)} of Odoo's own, none in trouble"),
        ("rights", (), _rights(survey), "the key may read all that was looked at"),
    ]
    checks, all_found = [], []
    for area, needs, judged, good in areas:
        these = list(judged)
        missing = [each for each in survey.unread if each.what in needs]
        verdict = Verdict.FOUND if these else Verdict.UNCHECKED if missing else Verdict.GOOD
        text = these[0].finding.title if these else missing[0].why if missing else good
        checks.append(Check(area, verdict, text))
        all_found += these
    changes: dict[str, tuple[Any, ...]] = {}
    for each in all_found:
        if each.changes:
            changes[each.finding.code] = (*changes.get(each.finding.code, ()), *each.changes)
    return OdooReport(
        destination=here.destination,
        url=url,
        at=survey.at,
        checks=tuple(checks),
        findings=by_harm([each.finding for each in all_found]),
        unchecked=tuple(Unchecked(each.what, each.why) for each in survey.unread),
        changes=changes,
    )


def _rights(survey: Survey) -> Iterable[Found]:
    if survey.missed("outgoing servers") and survey.missed("system parameters"):
        yield found(
            "odoo-few-rights",
            Harm.RISKY,
            "The key of this destination belongs to a user who is no administrator in Odoo",
            "Servers and parameters can't be read, so most of this look is unchecked; mail for records that the user may not see fails.",
            "Make a key for a user with Administration: Settings, then run: mailroom destination key",
            *(Evidence(each.what, each.why, "Odoo's API") for each in survey.unread[:3]),
        )


def odoo_body(report: OdooReport) -> dict[str, Any]:
    """As JSON."""
    return {
        "destination": report.destination,
        "url": report.url,
        "at": report.at.isoformat(timespec="seconds"),
        "harmful": report.harmful,
        "findings": [
            {**finding_body(each), "changes": [changed_body(change) for change in report.changes.get(each.code, ())]}
            for each in report.findings
        ],
        "unchecked": [{"what": each.what, "why": each.why} for each in report.unchecked],
        "checks": [check_body(each) for each in report.checks],
    }


def changed_body(change: Any) -> dict[str, Any]:
    return {"what": change.title, "lines": list(change.lines())}
