"""What is wrong with a mail that was received, how good it is, and what would make it better."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mailroom.doctor.findings import Check, Evidence, Finding, Harm, Unchecked, Verdict, by_harm
from mailroom.doctor.mail import Hop, Mail, Signature
from mailroom.doctor.shapes import check_body, finding_body
from mailroom.doctor.spam import Opinion

BEST = 10.0
POINTS = {Harm.HARMFUL: 4.0, Harm.RISKY: 1.5, Harm.ADVICE: 0.5}
"""What a finding costs."""
SLOW = timedelta(minutes=5)
WRONG_CLOCK = timedelta(days=1)
_SHOW = "mailroom doctor {domain} says what to write into the DNS."


@dataclass(frozen=True, slots=True)
class MailReport:
    """A mail, judged."""

    mail: Mail
    score: float
    """0 to 10."""
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[Unchecked, ...]

    @property
    def harmful(self) -> bool:
        return any(each.harm is Harm.HARMFUL for each in self.findings)


def judge(mail: Mail) -> MailReport:
    findings = [*_dmarc(mail), *_signatures(mail), *_spf(mail), *_hops(mail), *_form(mail), *_spam(mail)]
    score = max(0.0, BEST - sum(POINTS[each.harm] for each in findings))
    return MailReport(mail, score, _checks(mail, findings), by_harm(findings), _unchecked(mail))


def raises(finding: Finding) -> float:
    """By how much the score grows when it is mended."""
    return POINTS[finding.harm]


def _dkim_evidence(mail: Mail) -> tuple[Evidence, ...]:
    return tuple(Evidence(f"DKIM signature of {each.domain}, {each.selector}", _said(each)) for each in mail.verified.signatures)


def _said(signature: Signature) -> str:
    return f"{signature.result}: {signature.why}" if signature.why else signature.result


def _server_evidence(mail: Mail) -> tuple[Evidence, ...]:
    return tuple(
        Evidence("Authentication-Results", "; ".join(f"{one.method}={one.result}" for one in each.results) or "nothing", each.server)
        for each in mail.servers
    )


def _dmarc(mail: Mail) -> list[Finding]:
    judged, domain = mail.dmarc, mail.domains[0]
    if judged is None:
        return []
    shown = (Evidence("From", mail.author), *_dkim_evidence(mail), *_server_evidence(mail))
    if judged.result == "fail" and not (mail.spf or mail.verified.signatures):
        why = "Nothing in it says who has sent it: no signature, and no server that has looked at SPF."
        todo = "If it was taken from Sent Items, it is not signed yet: take it from where it was received. Else switch DKIM on."
        return [Finding("mail-not-proven", Harm.HARMFUL, f"Nothing proves that {domain} has sent it", why, todo, shown)]
    if judged.result == "fail":
        why = f"The domain asks receivers for {judged.wish.value} of such mail: they refuse it, or file it as spam."
        return [_dmarc_finding(domain, Harm.HARMFUL if judged.wish.value != "none" else Harm.RISKY, why, shown)]
    if judged.result == "none":
        why = "Anybody can write in this name, so filters can't trust it; Gmail and Yahoo demand a record of everybody who sends much."
        title = f"{domain} has no DMARC record"
        return [Finding("mail-no-dmarc", Harm.RISKY, title, why, _SHOW.format(domain=domain), shown)]
    if judged.result == "permerror":
        return [
            Finding(
                "mail-from", Harm.HARMFUL, f"Its From can't be judged: {judged.why}", "Receivers refuse it.", "Write one author.", shown
            )
        ]
    return []


def _dmarc_finding(domain: str, harm: Harm, why: str, shown: tuple[Evidence, ...]) -> Finding:
    title = f"It fails DMARC: neither SPF nor DKIM proves {domain}, which stands in From"
    todo = f"Let the server that sends it sign as {domain}, or use an envelope sender there. {_SHOW.format(domain=domain)}"
    return Finding("mail-dmarc", harm, title, why, todo, shown)


def _signatures(mail: Mail) -> list[Finding]:
    found = []
    if not mail.verified.signatures and not mail.verified.problem and mail.spf:
        why = "SPF alone proves it, which every forwarding breaks."
        todo = f"Switch DKIM on where it is sent. {_SHOW.format(domain=mail.domains[0])}"
        found.append(Finding("mail-no-dkim", Harm.RISKY, "It is not signed (DKIM)", why, todo, (Evidence("From", mail.author),)))
    broken = [each for each in mail.verified.signatures if each.result in ("fail", "permerror")]
    for each in broken:
        passed_before = any(
            one.method == "dkim" and one.result == "pass" and one.properties.get("header.d", "").lower() == each.domain.lower()
            for server in mail.servers
            for one in server.results
        )
        changed = "body was changed" in each.why or "does not fit" in each.why
        if changed and passed_before:
            why = "It held when a server on the way looked: a list, a filter that adds a banner, or the export has changed it since."
        elif changed:
            why = "It was changed after it was signed: by a disclaimer, a virus scanner, a list, or a gateway that encodes anew."
        else:
            why = "A signature that can't be verified counts as none, and some filters mind it more than none."
        todo = (
            "Let whatever changes the mail do so before it is signed, or let the last server sign."
            if changed
            else f"Look at the key {each.selector}._domainkey.{each.domain}. {_SHOW.format(domain=each.domain)}"
        )
        proven = mail.dmarc is not None and mail.dmarc.result == "pass"
        title = f"The signature of {each.domain or 'nobody'} does not hold: {each.why or 'it does not fit the mail'}"
        found.append(
            Finding("mail-dkim", Harm.ADVICE if proven else Harm.RISKY, title, why, todo, (*_dkim_evidence(mail), *_server_evidence(mail)))
        )
    return found


def _spf(mail: Mail) -> list[Finding]:
    if mail.spf not in ("fail", "softfail", "permerror"):
        return []
    shown = tuple(each for each in _server_evidence(mail) if each.source == mail.spf_by)
    why = "The server that brought it is not one of those that the domain names; receivers count that against it."
    domain = mail.spf_domain or mail.domains[0]
    todo = f"If it is yours, add it to the SPF record of {domain}. {_SHOW.format(domain=domain)}"
    title = f"SPF of {mail.spf_domain or 'its envelope sender'} says {mail.spf}"
    proven = mail.dmarc is not None and mail.dmarc.result == "pass"
    return [Finding("mail-spf", Harm.ADVICE if proven else Harm.RISKY, title, why, todo, shown)]


def hop_words(hop: Hop) -> str:
    return f"{hop.came_from or 'somebody'} → {hop.by or 'somebody'}"


def _hops(mail: Mail) -> list[Finding]:
    found = []
    slow = [each for each in mail.hops if each.delay is not None and each.delay > SLOW]
    if slow:
        shown = tuple(Evidence(hop_words(each), f"{each.delay} after the hop before") for each in slow)
        worst = max(slow, key=lambda each: each.delay or timedelta())
        title = f"It waited {worst.delay} before {worst.by or 'the next server'} took it"
        why = "A queue that is full, greylisting, or a limit of the provider."
        found.append(Finding("mail-slow", Harm.ADVICE, title, why, "Look at the queue of the server before it.", shown))
    clear = [each for each in mail.hops[:-1] if each.encrypted is False and not each.came_from.lower().startswith(("localhost", "[127."))]
    if clear:
        shown = tuple(Evidence(hop_words(each), f"with {each.protocol}") for each in clear)
        title = f"It went without TLS from {hop_words(clear[0])}"
        why = "Whoever sits in between can read and change it; Gmail shows a red lock."
        found.append(
            Finding("mail-clear-text", Harm.ADVICE, title, why, "Switch TLS on at both servers, unless this is one machine.", shown)
        )
    return found


def _form(mail: Mail) -> list[Finding]:
    def say(code: str, harm: Harm, title: str, why: str, todo: str, *shown: Evidence) -> Finding:
        return Finding(code, harm, title, why, todo, shown or (Evidence("From", mail.author),))

    found = []
    if len(mail.domains) > 1:
        title = "From names several domains"
        found.append(say("mail-authors", Harm.RISKY, title, "Many receivers refuse such mail (RFC 9989 4.5).", "Write one author."))
    if not mail.message_id:
        found.append(
            say(
                "mail-no-id",
                Harm.RISKY,
                "It has no Message-ID",
                "Filters mind it, and answers can't be matched.",
                "Let the program write one.",
            )
        )
    first = next((each.at for each in mail.hops if each.at is not None), None)
    if mail.date is None:
        found.append(
            say("mail-no-date", Harm.RISKY, "It has no valid Date", "It is required (RFC 5322 3.6).", "Let the program write one.")
        )
    elif first is not None and abs(first - mail.date) > WRONG_CLOCK:
        shown = Evidence("Date", f"{mail.date:%Y-%m-%d %H:%M} UTC; first received {first:%Y-%m-%d %H:%M} UTC")
        title = "Its Date is more than a day off"
        found.append(
            say("mail-date", Harm.RISKY, title, "Filters mind it, and it is sorted to the wrong place.", "Set the sender's clock.", shown)
        )
    if "text/html" in mail.content and "text/plain" not in mail.content:
        title = "It has HTML and no plain text"
        found.append(
            say(
                "mail-html-only",
                Harm.ADVICE,
                title,
                "Filters count it, and some people read text.",
                "Add a text part.",
                Evidence("parts", "text/html"),
            )
        )
    if mail.bulk and not (mail.unsubscribe and mail.one_click):
        what = "no List-Unsubscribe" if not mail.unsubscribe else "no List-Unsubscribe-Post: one click does not do"
        why = "Gmail and Yahoo demand both of everybody who sends much (RFC 8058)."
        title = f"It is a mailing with {what}"
        found.append(
            say("mail-unsubscribe", Harm.RISKY, title, why, "Add both fields.", Evidence("List-Unsubscribe", mail.unsubscribe or "none"))
        )
    return found


def _spam(mail: Mail) -> list[Finding]:
    if not isinstance(mail.spam, Opinion) or mail.spam.score < mail.spam.required:
        return []
    worst = [f"{points:+.1f} {name}: {words}" for points, name, words in mail.spam.rules if points > 0][:10]
    title = f"SpamAssassin takes it for spam: {mail.spam.score} points, {mail.spam.required} are enough"
    why = "Many receivers use it, or rules like its own."
    return [
        Finding(
            "mail-spam",
            Harm.HARMFUL,
            title,
            why,
            "Mend what counts most.",
            (Evidence("SpamAssassin, without a network", "\n".join(worst)),),
        )
    ]


def _checks(mail: Mail, findings: list[Finding]) -> tuple[Check, ...]:
    codes = {each.code for each in findings}

    def verdict(*own: str) -> Verdict:
        return Verdict.FOUND if codes & set(own) else Verdict.GOOD

    dmarc = Check("DMARC", Verdict.UNCHECKED, "the name server did not tell")
    if mail.dmarc is not None:
        said = f"{mail.dmarc.result}: {mail.dmarc.why}" if mail.dmarc.why else mail.dmarc.result
        dmarc = Check("DMARC", verdict("mail-dmarc", "mail-no-dmarc", "mail-not-proven", "mail-from"), said)
    return (
        dmarc,
        _dkim_check(mail, verdict("mail-dkim", "mail-no-dkim")),
        Check("SPF", verdict("mail-spf"), f"{mail.spf} for {mail.spf_domain}, says {mail.spf_by}", _server_evidence(mail))
        if mail.spf
        else Check("SPF", Verdict.UNCHECKED, "no server has written what it found"),
        _seal(mail),
        Check(
            "way",
            verdict("mail-slow", "mail-clear-text"),
            f"{len(mail.hops)} {'server' if len(mail.hops) == 1 else 'servers'}, {_total(mail)}",
        )
        if mail.hops
        else Check("way", Verdict.UNCHECKED, "it has no Received fields"),
        Check(
            "form", verdict("mail-authors", "mail-no-id", "mail-no-date", "mail-date", "mail-html-only", "mail-unsubscribe"), _content(mail)
        ),
        Check("SpamAssassin", verdict("mail-spam"), f"{mail.spam.score} points of {mail.spam.required}")
        if isinstance(mail.spam, Opinion)
        else Check("SpamAssassin", Verdict.UNCHECKED, mail.spam),
    )


def _dkim_check(mail: Mail, verdict: Verdict) -> Check:
    if mail.verified.problem:
        return Check("DKIM", Verdict.UNCHECKED, mail.verified.problem)
    if not mail.verified.signatures:
        return Check("DKIM", Verdict.UNUSED if verdict is Verdict.GOOD else verdict, "not signed")
    said = ", ".join(f"{each.domain} {each.result}" for each in mail.verified.signatures)
    unread = all(each.result == "temperror" for each in mail.verified.signatures)
    return Check("DKIM", Verdict.UNCHECKED if unread else verdict, said, _dkim_evidence(mail))


def _seal(mail: Mail) -> Check:
    seal = mail.verified.seal
    if seal.result == "none":
        return Check("ARC", Verdict.UNUSED, "nobody on the way vouches for it")
    words = f"{seal.result}, by {seal.sealer}" + (f": {seal.why}" if seal.why else "")
    return Check("ARC", Verdict.GOOD if seal.result == "pass" else Verdict.UNCHECKED, words)


def _content(mail: Mail) -> str:
    return f"{mail.size} bytes, {', '.join(sorted(mail.content)) or 'no text'}"


def _total(mail: Mail) -> str:
    times = [each.at for each in mail.hops if each.at is not None]
    return f"{max(times) - min(times)} in all" if len(times) > 1 else "no times"


def _unchecked(mail: Mail) -> tuple[Unchecked, ...]:
    found = []
    if not mail.spf:
        text = "no Authentication-Results says what it was: take the mail from where it was received, with its whole header"
        found.append(Unchecked("SPF", text))
    if mail.verified.problem:
        found.append(Unchecked("DKIM", mail.verified.problem))
    if mail.dmarc is None:
        found.append(Unchecked("DMARC", "the name server did not tell"))
    found += [Unchecked(f"DKIM of {each.domain}", each.why) for each in mail.verified.signatures if each.result == "temperror"]
    if not isinstance(mail.spam, Opinion):
        found.append(Unchecked("SpamAssassin", mail.spam))
    return tuple(found)


def mail_body(report: MailReport) -> dict[str, Any]:
    """As JSON."""
    mail = report.mail
    return {
        "subject": mail.subject,
        "from": mail.author,
        "message_id": mail.message_id,
        "score": report.score,
        "harmful": report.harmful,
        "findings": [{**finding_body(each), "raises": raises(each)} for each in report.findings],
        "unchecked": [{"what": each.what, "why": each.why} for each in report.unchecked],
        "checks": [check_body(each) for each in report.checks],
        "hops": [_hop_body(each) for each in mail.hops],
    }


def _hop_body(hop: Hop) -> dict[str, Any]:
    at: datetime | None = hop.at
    return {
        "from": hop.came_from,
        "by": hop.by,
        "with": hop.protocol,
        "at": at.isoformat() if at else None,
        "delay": None if hop.delay is None else hop.delay.total_seconds(),
        "tls": hop.encrypted,
    }
