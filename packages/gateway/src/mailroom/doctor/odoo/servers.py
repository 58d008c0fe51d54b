"""Outgoing servers: which one takes a mail (ir.mail_server, `_find_mail_server` of Odoo 19.0), and which never get one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from mailroom.doctor.findings import Harm
from mailroom.doctor.odoo.findings import Found, Here, called, change, found, said, set_up
from mailroom_core.providers.odoo.records import Values
from mailroom_core.providers.odoo.setup import SERVER
from mailroom_core.providers.odoo.survey import Survey


def parts(server: Values) -> list[str]:
    """Of its FROM filter."""
    return [each.strip().lower() for each in str(server.get("from_filter") or "").split(",") if each.strip()]


def active(survey: Survey) -> list[Values]:
    return [each for each in survey.servers if each.get("active") is not False]


def ours(survey: Survey, here: Here) -> Values | None:
    """The one that leads here."""
    mine = [each for each in survey.servers if here.server == each.get("name") or here.user == each.get("smtp_user")]
    return next((each for each in mine if each.get("active") is not False), mine[0] if mine else None)


def chosen(servers: Sequence[Values], address: str, notifications: str) -> Values | None:
    """By the FROM filters, as Odoo does it; None if there is no server."""
    for wanted in (address, address.rpartition("@")[2], notifications, notifications.rpartition("@")[2]):
        if wanted and (one := next((each for each in servers if wanted in parts(each)), None)):
            return one
    return next((each for each in servers if not parts(each)), servers[0] if servers else None)


def judge_servers(survey: Survey, here: Here) -> Iterator[Found]:
    if survey.missed("outgoing servers"):
        return
    servers, mine = active(survey), ours(survey, here)
    if mine is not None and mine.get("active") is False:
        yield found(
            "odoo-server-archived",
            Harm.HARMFUL,
            f"Odoo's outgoing server {called(mine)}, which leads here, is archived",
            "Its mail does not leave through Mailroom.",
            "Make it active again",
            said(SERVER, mine),
            changes=(change(SERVER, mine, f"the outgoing server {called(mine)}", active=True),),
        )
    elif not servers:
        yield found(
            "odoo-no-server",
            Harm.RISKY,
            "Odoo has no outgoing server",
            "It sends as its configuration file says (smtp_server), which this look can't see; else by its own machine.",
            "Set it up from here, or add an outgoing server in Odoo: Settings, Technical, Outgoing Mail Servers",
            said(SERVER, *survey.servers),
            repair=set_up(survey, here),
        )
    yield from _bypassed(survey, here, servers, mine)
    yield from _overlapping(servers)
    yield from _unfiltered(survey, servers)


def _bypassed(survey: Survey, here: Here, servers: Sequence[Values], mine: Values | None) -> Iterator[Found]:
    if mine is None or mine not in servers:
        return
    for domain in sorted({str(each.get("name")).lower() for each in survey.domains} & here.domains.keys()):
        taken = chosen(servers, f"somebody@{domain}", _notifications(survey, domain))
        if taken is None or taken is mine:
            continue
        first = min((number for each in servers if isinstance(number := each.get("sequence"), int)), default=10)
        filters = [*parts(mine), *([] if domain in parts(mine) else [domain])]
        after: dict[str, object] = {"sequence": first - 1} | ({"from_filter": ",".join(filters)} if filters != parts(mine) else {})
        yield found(
            "odoo-server-bypassed",
            Harm.RISKY,
            f"Mail from {domain} leaves Odoo by {called(taken)}, and not through Mailroom",
            "Odoo takes the first server whose FROM filter has the sender's address, then the one that has its domain; Mailroom sees "
            "nothing of this mail, and its answers may find no conversation.",
            f"Let {called(mine)} be asked first, with {domain} in its FROM filter",
            said(SERVER, taken, mine),
            changes=(change(SERVER, mine, f"the outgoing server {called(mine)}", **after),),
        )
        return


def _overlapping(servers: Sequence[Values]) -> Iterator[Found]:
    seen: dict[str, Values] = {}
    for each in servers:
        twice = [part for part in parts(each) if part in seen]
        if twice:
            first = seen[twice[0]]
            yield found(
                "odoo-servers-overlap",
                Harm.RISKY,
                f"{called(first)} and {called(each)} have {', '.join(twice)} in their FROM filters",
                f"Odoo takes the first one alone ({called(first)}); if that one fails, its mail fails, and {called(each)} is not asked.",
                "Take it out of one of the filters, or archive the server that is not meant",
                said(SERVER, first, each),
            )
        seen |= {part: each for part in parts(each) if part not in seen}
    for first, second in pairwise([each for each in servers if not parts(each)]):
        yield found(
            "odoo-servers-compete",
            Harm.RISKY,
            f"{called(first)} and {called(second)} have no FROM filter",
            f"Each would take any sender, and Odoo takes the first one alone ({called(first)}).",
            "Give each a FROM filter, or archive the one that is not meant",
            said(SERVER, first, second),
        )
        return


def _unfiltered(survey: Survey, servers: Sequence[Values]) -> Iterator[Found]:
    names = sorted(str(each.get("name")).lower() for each in survey.domains)
    for domain in names:
        taken = chosen(servers, f"somebody@{domain}", _notifications(survey, domain))
        if taken is None or parts(taken) or not _notifications(survey, domain):
            continue
        yield found(
            "odoo-no-from-filter",
            Harm.RISKY,
            f"{called(taken)} has no FROM filter, so all mail of {domain} leaves as {_notifications(survey, domain)}",
            "Odoo replaces the sender by the notification address when a server without a FROM filter takes the mail: people's answers and "
            "their own names get lost.",
            f"Enter {', '.join(names)} as its FROM filter, if it may send as everybody of these domains",
            said(SERVER, taken),
            changes=(change(SERVER, taken, f"the outgoing server {called(taken)}", from_filter=",".join(names)),),
        )
        return


def _notifications(survey: Survey, domain: str) -> str:
    record = next((each for each in survey.domains if str(each.get("name")).lower() == domain), {})
    local = str(record.get("default_from") or "").lower()
    return local if "@" in local or not local else f"{local}@{domain}"
