"""BIMI: the logo beside a mail."""

from __future__ import annotations

import re

from mailroom.doctor.answers import Answer
from mailroom.doctor.findings import Check, Finding, Harm, Look, Verdict, evidence, unread

AREA = "BIMI"


def judge(domain: str, answer: Answer, *, enforced: bool) -> Look:
    """`answer` is of `default._bimi`; `enforced`: DMARC is at quarantine or reject, for subdomains too."""
    if not answer.known:
        return Look(Check(AREA, Verdict.UNCHECKED, "could not be read"), unchecked=(unread(f"{AREA} of {domain}", answer),))
    records = [each for each in answer.records if each.replace(" ", "").startswith("v=BIMI1")]
    shown = (evidence(answer),)
    if not records:
        return Look(Check(AREA, Verdict.UNUSED, "with it, Gmail, Apple and Yahoo show your logo beside your mail", shown))
    tags = {name.lower(): value.strip() for name, value in re.findall(r"([a-z]+)\s*=\s*([^;]*)", records[0], re.IGNORECASE)}
    wrong = []
    if len(records) > 1:
        wrong.append("there are several records")
    logo = tags.get("l", "")
    if logo and not logo.lower().startswith("https://"):
        wrong.append("the logo (l=) must be at an https:// address")
    if "l" not in tags:
        wrong.append("it names no logo (l=)")
    if tags.get("a") and not tags["a"].lower().startswith("https://"):
        wrong.append("the certificate (a=) must be at an https:// address")
    if logo and not enforced:
        wrong.append("DMARC must be at p=quarantine or p=reject, for subdomains as well")
    if not wrong:
        certificate = f", certificate {tags['a']}" if tags.get("a") else ""
        text = f"logo {logo}{certificate}" if logo else "the record declines to show a logo"
        return Look(Check(AREA, Verdict.GOOD, text, shown))
    title, todo = f"BIMI of {domain}: {'; '.join(wrong)}", "Correct it, or remove the record."
    finding = Finding("bimi", Harm.ADVICE, title, "No logo is shown.", todo, shown)
    return Look(Check(AREA, Verdict.FOUND, wrong[0], shown), (finding,))
