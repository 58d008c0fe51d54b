"""A report as JSON: the same for the command, the API and webhooks."""

from __future__ import annotations

from typing import Any

from mailroom.doctor.findings import Check, Evidence, Finding, Record, Report


def report_body(report: Report) -> dict[str, Any]:
    return {
        "domain": report.domain,
        "at": report.at.isoformat(timespec="seconds"),
        "seconds": round(report.took.total_seconds(), 3),
        "resolver": report.resolver,
        "harmful": report.harmful,
        "findings": [finding_body(each) for each in report.findings],
        "unchecked": [{"what": each.what, "why": each.why} for each in report.unchecked],
        "checks": [check_body(each) for each in report.checks],
    }


def check_body(check: Check) -> dict[str, Any]:
    shown = [evidence_body(each) for each in check.evidence]
    return {"area": check.area, "verdict": check.verdict.value, "text": check.text, "evidence": shown}


def finding_body(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "harm": finding.harm.value,
        "title": finding.title,
        "why": finding.why,
        "todo": finding.todo,
        "evidence": [evidence_body(each) for each in finding.evidence],
        "add": [_record(each) for each in finding.records],
        "remove": [_record(each) for each in finding.remove],
        "repairs": [{"label": each.label, "command": each.command, "page": each.page} for each in finding.repairs],
    }


def evidence_body(evidence: Evidence) -> dict[str, Any]:
    return {"asked": evidence.asked, "said": evidence.said, "source": evidence.source, "dnssec": evidence.validated}


def _record(record: Record) -> dict[str, Any]:
    return {
        "type": record.type,
        "name": record.short,
        "full_name": record.full,
        "value": record.value,
        "zone": record.zone,
        "zone_file": record.line,
    }
