"""An account: can it sign in, what may it do in its mailbox, who uses it, and what of it ends when?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from shlex import quote

from mailroom.doctor.findings import Evidence, Finding, Harm, Repair, Unchecked
from mailroom.doctor.health.limits import of_ends, of_usage
from mailroom.doctor.health.looking import Examined, Fact, Subject, Usage, judged
from mailroom.objects import Account, GrantType, Provider
from mailroom.vault.expiry import Expiry
from mailroom.vault.provider import NAMES
from mailroom_core.model import Deferred, Trouble
from mailroom_core.oauth.scopes import Tier
from mailroom_core.providers.graph.probe import Rights


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What was asked of an account."""

    account: Account
    connected: bool
    """A grant is kept, or what an app proves itself with."""
    sends: tuple[str, ...] = ()
    """Active outgoing servers that use it."""
    fetches: tuple[str, ...] = ()
    """Active incoming servers that use it."""
    refused: str = ""
    """Why no token can be had; empty if one was."""
    transient: bool = False
    """That passes by itself."""
    until: datetime | None = None
    """The token is valid until then."""
    mailbox: str = ""
    """Whose mailbox was asked."""
    host: str = ""
    """Who was asked."""
    rights: Rights | None = None
    """None: no mailbox is known that could be asked, or it is no Graph account."""
    ends: tuple[Expiry, ...] = ()
    usage: tuple[Usage, ...] = ()


def judge(facts: AccountFacts, now: datetime) -> Examined:
    account, subject = facts.account, Subject("account", facts.account.name)
    findings = [*_sign_in(facts), *_rights(facts)]
    findings += of_ends(facts.ends, now, "Then it can't sign in, and all of its mail stands still.", (_again(account),))
    findings += of_usage(
        facts.usage,
        "Mail beyond it waits until there is room again; Microsoft refuses what is more than the tenant may send in 24 hours.",
        "Send less, buy licences, or send a part through another server; raise the limit here if the tenant's is higher",
        (Repair("change the limit", page=_page(account)),),
    )
    return judged(
        subject,
        _allowed(facts),
        findings,
        _open(facts),
        evidence=_evidence(facts),
        facts=_facts(facts),
        ends=facts.ends,
        usage=facts.usage,
    )


def _sign_in(facts: AccountFacts) -> Iterator[Finding]:
    account = facts.account
    harm = Harm.HARMFUL if facts.sends or facts.fetches else Harm.RISKY
    if not facts.connected:
        yield Finding(
            code="not-connected",
            harm=harm,
            title=f"The account {account.name} is not connected",
            why=f"{_stopped(facts)}: there is nothing to sign in with.",
            todo=facts.refused or "Connect it",
            evidence=(Evidence("what is kept of the account", "no sign-in, no secret and no certificate", "vault"),),
            repairs=(_again(account),),
        )
    elif facts.refused and not facts.transient:
        yield Finding(
            code="sign-in-refused",
            harm=harm,
            title=f"{NAMES[account.provider]} gives the account {account.name} no token",
            why=f"{_stopped(facts)}.",
            todo=facts.refused,
            evidence=(Evidence("a new token", facts.refused, facts.host),),
            repairs=(_again(account),),
        )


def _rights(facts: AccountFacts) -> Iterator[Finding]:
    account, rights = facts.account, facts.rights
    if rights is None or rights.trouble is None:
        return
    said = Evidence(f"a mail that can't be decoded, for {facts.mailbox}", str(rights.trouble.reply), facts.host)
    if no_answer(rights.trouble):
        yield Finding(
            code="unreachable",
            harm=Harm.HARMFUL,
            title=f"{facts.host} gives no answer",
            why=f"{_stopped(facts)} until it does.",
            todo="Look at network, proxy, firewall and DNS of this machine; at Microsoft, status.cloud.microsoft tells of outages",
            evidence=(said,),
        )
    elif isinstance(rights.trouble, Deferred):
        return
    elif rights.tier is None and facts.sends:
        yield Finding(
            code="may-not-send",
            harm=Harm.HARMFUL,
            title=f"The account {account.name} may not send from {facts.mailbox}",
            why=f"All mail of {_list(facts.sends)} is held.",
            todo=rights.trouble.reply.text,
            evidence=(said,),
            repairs=(_again(account),),
        )
    elif rights.tier is Tier.SEND and account.read_write and facts.sends:
        yield Finding(
            code="may-only-send",
            harm=Harm.HARMFUL,
            title=f"The account {account.name} may only send, and is set to make drafts",
            why="Every mail of it begins with a draft, which is refused; nothing leaves.",
            todo="Consent to Mail.ReadWrite and connect it again, or connect it with --send-only",
            evidence=(said,),
            repairs=(_again(account), Repair("let it only send", f"mailroom connect {quote(account.name)} --send-only")),
        )


def _open(facts: AccountFacts) -> Iterator[Unchecked]:
    if facts.connected and facts.refused and facts.transient:
        yield Unchecked("sign-in", facts.refused)
    elif facts.refused:
        return  # a finding says so
    elif facts.rights is None and facts.account.provider is Provider.MICROSOFT:
        yield Unchecked("permissions", "no mailbox is named that could be asked: a server's mailbox, or the account's, would be")
    elif facts.rights and isinstance(facts.rights.trouble, Deferred) and not no_answer(facts.rights.trouble):
        yield Unchecked("permissions", str(facts.rights.trouble.reply))


def _evidence(facts: AccountFacts) -> Iterator[Evidence]:
    if facts.connected and not facts.refused:
        until = f", valid until {facts.until:%Y-%m-%d %H:%M} UTC" if facts.until else ""
        yield Evidence("a token", f"given{until}", facts.host)
    if facts.rights is not None:
        told = str(facts.rights.trouble.reply) if facts.rights.trouble else "both are refused as unreadable (400), and Drafts can be opened"
        yield Evidence(f"a mail and a draft that can't be decoded, for {facts.mailbox}", told, facts.host)


def _facts(facts: AccountFacts) -> Iterator[Fact]:
    account = facts.account
    grant = "an app by itself" if account.grant is GrantType.APPLICATION else f"a person, {account.mailbox or 'nobody known'}"
    yield Fact("signs in as", grant)
    yield Fact("permission tier", tier_words(facts))
    if account.grant is GrantType.DELEGATED and facts.rights is not None:
        shared = "granted, where Exchange gives the person a right" if facts.rights.shared else "not granted"
        yield Fact("shared mailboxes", shared)
    yield Fact("used by", _list((*facts.sends, *facts.fetches)) or "nothing")


def tier_words(facts: AccountFacts) -> str:
    """What it may do, as far as the provider says."""
    if facts.account.provider is Provider.GOOGLE:
        return "sends by smtp.gmail.com, reads by IMAP and POP3"
    match facts.rights.tier if facts.rights else None:
        case Tier.READ_WRITE:
            return "Mail.ReadWrite: sends, also large mail, and looks before sending again"
        case Tier.SEND:
            return "Mail.Send: sends; no large mail, and no look before sending again"
        case _:
            return "not known" if facts.rights is None or no_answer(facts.rights.trouble) else "may not send"


def _allowed(facts: AccountFacts) -> str:
    return f"signs in; {tier_words(facts)}"


def _stopped(facts: AccountFacts) -> str:
    return f"Nothing goes through {_list((*facts.sends, *facts.fetches)) or 'it'}"


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def no_answer(trouble: Trouble | None) -> bool:
    """Whether nobody was there, rather than somebody who said no."""
    return isinstance(trouble, Deferred) and trouble.reply.code == 0


def _again(account: Account) -> Repair:
    proof = " --secret" if account.grant is GrantType.APPLICATION else ""
    google = " --google" if account.provider is Provider.GOOGLE else ""
    return Repair("connect it again", f"mailroom connect {quote(account.name)}{google}{proof}", _page(account))


def _page(account: Account) -> str:
    from urllib.parse import quote as encoded

    return f"/accounts/of/{encoded(account.name)}"
