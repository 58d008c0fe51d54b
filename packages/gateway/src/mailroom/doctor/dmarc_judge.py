"""What DMARC makes of the mail of our outgoing servers, and what to write into the record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailroom.doctor import dkim, spf
from mailroom.doctor.answers import Answer, Ask, within
from mailroom.doctor.dkim import Key
from mailroom.doctor.dmarc import KNOWN, POLICIES, REMOVED, Dmarc, Policy, aligned, gather
from mailroom.doctor.findings import Check, Evidence, Finding, Harm, Look, Record, Unchecked, Verdict, evidence, unread
from mailroom.doctor.services import Way
from mailroom.doctor.spf import Spf

AREA = "DMARC"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that DMARC asks for."""

    dmarc: Dmarc
    others: Mapping[str, Dmarc]
    """By domain: those that our servers' envelope senders and signatures have."""
    permits: tuple[tuple[str, Answer], ...] = ()
    """Foreign addresses that get our reports, each with what its domain says to that."""


async def gather_facts(domain: str, ways: Sequence[Way], ask: Ask) -> Facts:
    """Raises nothing."""
    dmarc = await gather(domain, ask)
    names = {name for way in ways for name in (way.envelope, way.signing) if name} - {domain}
    others = dict(zip(sorted(names), await asyncio.gather(*(gather(each, ask) for each in sorted(names))), strict=True))
    policy = dmarc.policy
    reports = {address: address.rpartition("@")[2].lower() for address in policy.reports} if policy else {}
    foreign = {address: host for address, host in reports.items() if not within(host, dmarc.organisation)}
    base = policy.domain if policy else domain
    answers = await asyncio.gather(*(ask(f"{base}._report._dmarc.{host}", "TXT") for host in foreign.values()))
    return Facts(dmarc, others, tuple(zip(foreign, answers, strict=True)))


def judge(facts: Facts, ways: Sequence[Way], spfs: Mapping[str, Spf], keys: Sequence[Key], zone: str) -> Look:
    dmarc = facts.dmarc
    if dmarc.unread is not None and dmarc.policy is None:
        text = "could not be read"
        return Look(Check(AREA, Verdict.UNCHECKED, text), unchecked=(unread(f"{AREA} of {dmarc.domain}", dmarc.unread),))
    policy = dmarc.policy
    if policy is None:
        missing = _several(dmarc) or [_invalid(dmarc, each, zone) for each in dmarc.policies[:1]] or [_missing(dmarc, zone)]
        return Look(Check(AREA, Verdict.FOUND, "there is no record that counts", missing[0].evidence), tuple(missing))
    shown = _shown(dmarc, policy)
    findings = [*_tags(dmarc, policy, shown, zone), *_reports(facts, policy, shown, zone), *_several(dmarc)]
    unchecked = []
    for way in ways:
        finding, open_ = _way(facts, way, spfs, keys, shown)
        findings += [finding] if finding else []
        unchecked += [open_] if open_ else []
    unchecked += [unread(f"whether {address} wants our reports", answer) for address, answer in facts.permits if not answer.known]
    text = f"{dmarc.domain}: {_in_words(dmarc)}; its organisation's domain is {dmarc.organisation}"
    return Look(Check(AREA, Verdict.FOUND if findings else Verdict.GOOD, text, shown), tuple(findings), tuple(unchecked))


def _in_words(dmarc: Dmarc) -> str:
    policy = dmarc.policy
    assert policy is not None
    where = "" if policy.domain == dmarc.domain else f", from _dmarc.{policy.domain}"
    test = f", in test (t=y), so receivers do as with {dmarc.applied}" if policy.testing else ""
    return f"what fails: {dmarc.wish}{where}{test}"


def _shown(dmarc: Dmarc, policy: Policy) -> tuple[Evidence, ...]:
    return tuple(evidence(each) for each in dmarc.answers if each.name == f"_dmarc.{policy.domain}")


def _missing(dmarc: Dmarc, zone: str) -> Finding:
    return Finding(
        "dmarc-missing",
        Harm.RISKY,
        f"{dmarc.domain} has no DMARC record",
        "Anybody can write mail in this name, and you get no report of it. Gmail, Yahoo and Outlook demand a record of everybody who sends "
        "more than 5,000 mails a day, and trust others less without.",
        "Add this record. It changes nothing about your mail; the reports show who sends as you. When they show your own servers alone, "
        "go on to p=quarantine, then to p=reject.",
        tuple(evidence(each) for each in dmarc.answers[:3]),
        (Record(f"_dmarc.{dmarc.organisation}", "TXT", f"v=DMARC1; p=none; rua=mailto:dmarc-reports@{dmarc.organisation}", zone),),
    )


def _invalid(dmarc: Dmarc, policy: Policy, zone: str) -> Finding:
    """A record that has no valid policy, and no reports that would save it (RFC 9989 4.7)."""
    return Finding(
        "dmarc-policy",
        Harm.RISKY,
        f"The DMARC record of {policy.domain} has no valid policy, so that it counts as none",
        "Receivers ignore it: anybody can write mail in this name.",
        f"Write one of {', '.join(POLICIES)} as p=, sp= and np=. Replace the record by this one to begin with.",
        _shown(dmarc, policy),
        (Record(f"_dmarc.{policy.domain}", "TXT", _mended(policy), zone),),
    )


def _several(dmarc: Dmarc) -> list[Finding]:
    found = []
    for answer in dmarc.answers:
        records = [each for each in answer.records if each.replace(" ", "").startswith("v=DMARC1")]
        if len(records) > 1:
            found.append(
                Finding(
                    "dmarc-several",
                    Harm.RISKY,
                    f"{answer.name} has {len(records)} DMARC records",
                    "Receivers then take none of them (RFC 9989 4.10), as if there were none.",
                    "Keep one of them, and remove the others.",
                    (evidence(answer),),
                )
            )
    return found


def _changed(policy: Policy, **tags: str) -> str:
    """The record with other tags; an empty value leaves one out."""
    kept = {name: value for name, value in policy.tags.items() if name not in tags} | {name: value for name, value in tags.items() if value}
    order = [name for name in (*policy.tags, *tags) if name in kept]
    return "; ".join(f"{name}={kept[name]}" for name in dict.fromkeys(order))


def _mended(policy: Policy, **tags: str) -> str:
    """The record without its smaller mistakes, so that every finding offers the same one, and with other tags."""
    mended = dict.fromkeys((REMOVED | (policy.tags.keys() - KNOWN)) & policy.tags.keys(), "")
    if policy.tags.get("p", "").lower() not in POLICIES:
        mended["p"] = policy.p
    mended |= {name: "" for name in ("sp", "np") if policy.tags.get(name, "reject").lower() not in POLICIES}
    if policy.p != "none":
        mended |= {"sp": ""} if policy.sp == "none" else {"np": ""} if policy.np == "none" else {}
    if not policy.reports:
        mended["rua"] = f"mailto:dmarc-reports@{policy.domain}"
    return _changed(policy, **(mended | tags))


def _tags(dmarc: Dmarc, policy: Policy, shown: tuple[Evidence, ...], zone: str) -> list[Finding]:
    def say(code: str, harm: Harm, title: str, why: str, todo: str, text: str = "") -> Finding:
        records = (Record(f"_dmarc.{policy.domain}", "TXT", text, zone),) if text else ()
        return Finding(code, harm, title, why, todo, shown, records)

    found = []
    wrong = [f"{name}={policy.tags[name]}" for name in ("p", "sp", "np") if policy.tags.get(name, "none").lower() not in POLICIES]
    if "p" not in policy.tags or wrong:
        what = f"says {', '.join(wrong)}, which is no policy" if wrong else "names no policy (p=)"
        title = f"The DMARC record {what}"
        why = "It counts as p=none: receivers do nothing with forged mail. Older receivers take the record as invalid and ignore it."
        found.append(say("dmarc-policy", Harm.RISKY, title, why, f"Write one of {', '.join(POLICIES)}.", _mended(policy)))
    elif dmarc.applied == "none":
        of = "in test (t=y) " if policy.testing else ""
        title = f"DMARC {of}asks receivers to do nothing with forged mail of {dmarc.domain}"
        why = "Anybody can write mail in this name that is delivered. An enforced policy counts in your favour with filters."
        todo = "When the reports show for some weeks that your own servers pass, replace the record by this one; later by p=reject."
        text = _mended(policy, p="quarantine" if policy.p == "none" else policy.p, sp="", t="")
        found.append(say("dmarc-none", Harm.ADVICE, title, why, todo, text))
    if policy.p != "none" and policy.sp == "none":
        title = f"DMARC protects {policy.domain}, but none of its subdomains (sp=none)"
        why = "Whoever forges takes a name below it, such as invoices." + policy.domain + "."
        found.append(say("dmarc-subdomains", Harm.RISKY, title, why, "Replace the record by this one.", _mended(policy)))
    elif policy.p != "none" and policy.np == "none":
        title = f"DMARC does not protect names below {policy.domain} that don't exist (np=none)"
        why = "They are the easiest to forge, and no mail of yours can suffer."
        found.append(say("dmarc-nonexistent", Harm.RISKY, title, why, "Replace the record by this one.", _mended(policy)))
    if gone := sorted(REMOVED & policy.tags.keys()):
        title = f"The DMARC record has tags that are no longer part of DMARC: {', '.join(gone)}"
        why = "Receivers ignore them since RFC 9989 (May 2026). With pct below 100 this means that the policy now applies to all mail."
        text = _mended(policy)
        found.append(say("dmarc-old-tags", Harm.ADVICE, title, why, "Replace the record by this one.", text))
    if unknown := sorted(policy.tags.keys() - KNOWN - REMOVED):
        title = f"The DMARC record has tags that nobody knows: {', '.join(unknown)}"
        text = _mended(policy)
        found.append(
            say("dmarc-unknown-tags", Harm.ADVICE, title, "They are ignored: perhaps a mistake in writing.", "Correct them.", text)
        )
    return found


def _reports(facts: Facts, policy: Policy, shown: tuple[Evidence, ...], zone: str) -> list[Finding]:
    found = []
    if not policy.reports:
        found.append(
            Finding(
                "dmarc-no-reports",
                Harm.ADVICE,
                "Nobody gets the DMARC reports",
                "Without them you don't see who sends in your name, and when a server of yours starts to fail.",
                "Replace the record by this one, with an address that is read; an alias of Mailroom can be one (docs/doctor.md).",
                shown,
                (Record(f"_dmarc.{policy.domain}", "TXT", _mended(policy), zone),),
            )
        )
    for address, answer in facts.permits:
        if answer.known and not any(each.replace(" ", "").startswith("v=DMARC1") for each in answer.records):
            host = address.rpartition("@")[2]
            found.append(
                Finding(
                    "dmarc-report-address",
                    Harm.ADVICE,
                    f"DMARC reports to {address} are not sent",
                    f"{host} does not say that it wants reports of {policy.domain}; without that nobody sends them there (RFC 9990 4).",
                    f"Let {host} add this record, or name an address of {policy.domain}.",
                    (*shown, evidence(answer)),
                    (Record(answer.name, "TXT", "v=DMARC1", host),),
                )
            )
    return found


def _way(
    facts: Facts, way: Way, spfs: Mapping[str, Spf], keys: Sequence[Key], shown: tuple[Evidence, ...]
) -> tuple[Finding | None, Unchecked | None]:
    """Whether mail with our header From passes when this server sends it."""
    dmarc = facts.dmarc
    policy = dmarc.policy
    assert policy is not None
    by_spf = _by_spf(facts, way, spfs, strict=policy.strict_spf)
    by_dkim = _by_dkim(facts, way, keys, strict=policy.strict_dkim)
    if by_spf or by_dkim:
        return None, None
    if by_spf is None or by_dkim is None:
        text = "neither its SPF nor its DKIM can be told from the DNS; look at a mail that it has sent with: mailroom doctor message"
        return None, Unchecked(f"{AREA} of outgoing server {way.server}", text)
    happens = {"none": "are delivered, but count as not proven", "quarantine": "land in the spam folder", "reject": "are refused"}
    envelope = f"envelope sender at {way.envelope}" if way.envelope else "an envelope sender of its service"
    strict = "; aspf=s or adkim=s wants exactly the same domain: take it out if that is not meant"
    finding = Finding(
        "dmarc-not-aligned",
        Harm.RISKY if dmarc.applied == "none" else Harm.HARMFUL,
        f"Mail of {dmarc.domain} through the outgoing server {way.server} fails DMARC",
        f"The header From is {dmarc.domain}; neither SPF ({envelope}) nor DKIM (signature of {way.signing or 'another domain'}) proves it. "
        f"As the record asks for {dmarc.applied}, mails of this server {happens[dmarc.applied]}.",
        f"Mend SPF or DKIM of this server as told above{strict if policy.strict_spf or policy.strict_dkim else ''}.",
        (*shown, *(evidence(each.answer) for each in keys if each.domain == way.signing)),
    )
    return finding, None


def _by_spf(facts: Facts, way: Way, spfs: Mapping[str, Spf], *, strict: bool) -> bool | None:
    """None: can't be told."""
    if not way.envelope:
        return False
    record = spfs.get(way.envelope)
    if record is None or not record.answer.known:
        return None
    other = facts.dmarc if way.envelope == facts.dmarc.domain else facts.others[way.envelope]
    if not aligned(facts.dmarc, other, strict=strict):
        return False
    if way.addresses:
        said = {spf.result(record, each) for each in way.addresses}
        return None if "unknown" in said else said == {"pass"}
    if way.service is None:
        return None
    if any(each.kind is spf.Wrong.UNREAD for each in record.all_problems()):
        return None
    works = not list(record.all_problems()) and record.lookups <= spf.MOST_LOOKUPS and record.voids <= spf.MOST_VOID
    if way.service.include in record.includes or record.last == "+":
        return works
    service = spfs.get(way.service.include)
    if service is not None and any(each.kind is spf.Wrong.UNREAD for each in service.all_problems()):
        return None
    return works and service is not None and spf.covers(record, service)


def _by_dkim(facts: Facts, way: Way, keys: Sequence[Key], *, strict: bool) -> bool | None:
    if not way.signing:
        return None
    other = facts.dmarc if way.signing == facts.dmarc.domain else facts.others[way.signing]
    return dkim.proves(way, keys) if aligned(facts.dmarc, other, strict=strict) else False


def enforced(dmarc: Dmarc) -> bool:
    """As BIMI wants it."""
    return dmarc.applied in ("quarantine", "reject") and dmarc.policy is not None and dmarc.policy.sp != "none"
