"""Applications, alias domains and webhooks: who may submit, by which server, under which addresses, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from urllib.parse import quote as encoded

from mailroom.doctor.findings import Evidence, Finding, Harm, Repair
from mailroom.doctor.health.looking import Examined, Fact, Subject, judged, unused
from mailroom.objects import AliasDomain, Application, Webhook


@dataclass(frozen=True, slots=True)
class Carried:
    """By which server mail of a sender leaves."""

    sender: str
    server: str
    """Empty: none carries it."""
    how: str
    """As which address, or why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationFacts:
    application: Application
    carried: tuple[Carried, ...] = ()
    """Of each sender that it may use."""
    tokens: tuple[str, ...] = ()
    """By which it may use the API."""


def judge_application(facts: ApplicationFacts) -> Examined:
    application, subject = facts.application, Subject("application", facts.application.name)
    if not application.active:
        return unused(subject, "not active")
    page = Repair("change it", page=f"/applications/of/{encoded(application.name)}")
    findings = []
    lost = [each for each in facts.carried if not each.server]
    if lost:
        findings.append(
            Finding(
                code="no-server",
                harm=Harm.HARMFUL,
                title=f"No outgoing server carries mail of {application.name} from {', '.join(each.sender for each in lost)}",
                why="Such mail is refused when it is handed in.",
                todo="Add an outgoing server for it, or let one that there is carry this kind of mail",
                evidence=tuple(Evidence(f"the server for {each.sender}", each.how, "routing") for each in lost),
                repairs=(Repair("see the outgoing servers", page="/servers"), page),
            )
        )
    ways = _ways_in(facts)
    if not ways:
        findings.append(
            Finding(
                code="nobody-can-sign-in",
                harm=Harm.ADVICE,
                title=f"Nothing can submit as {application.name}",
                why="It has no credential, no network, no certificate and no token.",
                todo="Give it one of them, or remove it",
                evidence=(Evidence("ways to sign in", "none", "its settings"),),
                repairs=(Repair("make a credential", f"mailroom app renew {quote(application.name)}"), page),
            )
        )
    facts_ = [
        Fact("signs in by", ", ".join(ways) or "nothing"),
        *(Fact(f"from {each.sender}", f"{each.server}, {each.how}" if each.server else each.how) for each in facts.carried),
    ]
    return judged(subject, f"may submit, and each of its senders has a server: {', '.join(_servers(facts))}", findings, facts=facts_)


def _servers(facts: ApplicationFacts) -> list[str]:
    return sorted({each.server for each in facts.carried if each.server})


def _ways_in(facts: ApplicationFacts) -> list[str]:
    application = facts.application
    words = {
        "a credential": bool(application.key),
        "its network": bool(application.networks),
        "a certificate": bool(application.certificates),
        "a token": bool(facts.tokens),
    }
    return [word for word, there in words.items() if there]


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFacts:
    domain: AliasDomain
    notification: Carried | None = None
    """None: it has no notification address."""
    expects: tuple[str, ...] = ()
    """What of this house wants its mail: aliases, applications with answers."""
    comes_by: tuple[str, ...] = ()
    """How mail comes in at all: incoming servers, the MX listener, tokens that hand in mail."""
    looked: str = ""
    """What the last look at its DNS found."""


def judge_domain(facts: DomainFacts) -> Examined:
    domain, subject = facts.domain, Subject("alias_domain", facts.domain.name)
    page = Repair("change it", page=f"/domains/of/{encoded(domain.name)}")
    findings = []
    if facts.notification and not facts.notification.server:
        findings.append(
            Finding(
                code="no-server",
                harm=Harm.HARMFUL,
                title=f"No outgoing server carries mail from {facts.notification.sender}",
                why="Senders without a server of their own leave under this address; their mail is refused.",
                todo="Add an outgoing server for it",
                evidence=(Evidence(f"the server for {facts.notification.sender}", facts.notification.how, "routing"),),
                repairs=(Repair("see the outgoing servers", page="/servers"), page),
            )
        )
    if facts.expects and not facts.comes_by:
        findings.append(
            Finding(
                code="nothing-comes-in",
                harm=Harm.HARMFUL,
                title=f"Mail to {domain.name} is expected, and nothing brings it here",
                why=f"{', '.join(facts.expects)} will get none.",
                todo="Add an incoming server for the mailbox that it comes to, or switch on the MX listener",
                evidence=(Evidence("ways in", "no incoming server, no MX listener, no token that may hand in mail", "settings"),),
                repairs=(Repair("add an incoming server", "mailroom incoming --help", "/incoming"), page),
            )
        )
    told = [Fact("comes in by", ", ".join(facts.comes_by) or "nothing"), Fact("its DNS", facts.looked or "not looked at yet")]
    if facts.notification and facts.notification.server:
        told.insert(0, Fact("notification address", f"{facts.notification.sender} by {facts.notification.server}"))
    return judged(
        subject, "its notification address has a server" if facts.notification else "has no notification address", findings, facts=told
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookFacts:
    webhook: Webhook
    waiting: int = 0
    given_up: int = 0
    failing_since: datetime | None = None


def judge_webhook(facts: WebhookFacts) -> Examined:
    webhook, subject = facts.webhook, Subject("webhook", facts.webhook.name)
    told = (Fact("waiting", str(facts.waiting)), Fact("given up", str(facts.given_up)))
    if not webhook.active:
        return unused(subject, "not active", *told)
    return judged(subject, "is told what happens", _webhook(facts), facts=told)


def _webhook(facts: WebhookFacts) -> Iterator[Finding]:
    if facts.failing_since is None:
        return
    name = facts.webhook.name
    yield Finding(
        code="not-told",
        harm=Harm.HARMFUL,
        title=f"The webhook {name} has taken nothing since {facts.failing_since:%d %b %H:%M} UTC",
        why="The program behind it does not know what has happened to mail since then.",
        todo="See on its page what it answers; what waits is told as soon as it says yes again",
        evidence=(Evidence("its calls", f"failing since {facts.failing_since:%Y-%m-%d %H:%M} UTC; {facts.waiting} wait", "gateway"),),
        repairs=(Repair("send it a test event", f"mailroom webhook test {quote(name)}", f"/webhooks/of/{encoded(name)}"),),
    )
