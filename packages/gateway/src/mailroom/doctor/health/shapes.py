"""The health as JSON: the same for the command, the API, the console and webhooks."""

from __future__ import annotations

from typing import Any

from mailroom.doctor.findings import Finding, Unchecked
from mailroom.doctor.health.looking import Examined, Health, Subject
from mailroom.doctor.shapes import check_body, finding_body
from mailroom.vault.expiry import Expiry


def health_body(health: Health) -> dict[str, Any]:
    return {
        "at": health.at.isoformat(timespec="seconds"),
        "seconds": round(health.took.total_seconds(), 3),
        "harmful": health.harmful,
        "findings": [_found(subject, each) for subject, each in health.findings],
        "unchecked": [_open(subject, each) for subject, each in health.unchecked],
        "ends": [_end(each) for each in health.ends],
        "objects": [examined_body(each) for each in health.examined],
    }


def examined_body(each: Examined) -> dict[str, Any]:
    """One object, without its findings."""
    check = check_body(each.look.check)
    return {
        "kind": each.subject.kind,
        "name": each.subject.name,
        "verdict": check["verdict"],
        "text": check["text"],
        "seconds": round(each.took.total_seconds(), 3),
        "facts": [{"name": fact.name, "said": fact.said} for fact in each.facts],
        "usage": [{"what": usage.what, "used": usage.used, "limit": usage.limit} for usage in each.usage],
        "evidence": check["evidence"],
    }


def _found(subject: Subject, finding: Finding) -> dict[str, Any]:
    return {"kind": subject.kind, "name": subject.name, **finding_body(finding)}


def _open(subject: Subject, unchecked: Unchecked) -> dict[str, Any]:
    return {"kind": subject.kind, "name": subject.name, "what": unchecked.what, "why": unchecked.why}


def _end(end: Expiry) -> dict[str, Any]:
    return {"owner": end.owner, "what": end.what, "at": end.at.isoformat(timespec="seconds"), "advice": end.advice}
