"""Alias domains, companies and aliases: where answers and bounces go."""

from __future__ import annotations

from collections.abc import Iterator

from mailroom.doctor.findings import Evidence, Harm
from mailroom.doctor.odoo.findings import Found, Here, called, change, found, said, set_up
from mailroom_core.providers.odoo.records import Values
from mailroom_core.providers.odoo.setup import ALIAS, COMPANY, DOMAIN, PARAMETER
from mailroom_core.providers.odoo.survey import Survey

MOST = 100
"""Aliases that one repair changes."""


def judge_domains(survey: Survey, here: Here) -> Iterator[Found]:
    if not survey.modern:
        yield from _old(survey, here)
    elif survey.missed("alias domains"):
        return
    elif not survey.domains:
        yield found(
            "odoo-no-alias-domain",
            Harm.HARMFUL,
            "Odoo has no alias domain",
            "Without one it has no catchall and no bounce address: answers go to the people who wrote, not to their records.",
            "Set it up from here, or add one in Odoo: Settings, General Settings, Alias Domain",
            said(DOMAIN),
            repair=set_up(survey, here),
        )
    else:
        for each in survey.domains:
            yield from _domain(survey, here, each)
        yield from _homeless(survey)


def _old(survey: Survey, here: Here) -> Iterator[Found]:
    """Before Odoo 17 the domain, catchall and bounce address are system parameters."""
    if survey.missed("system parameters"):
        return
    for key, code, what in (
        ("mail.catchall.domain", "odoo-no-alias-domain", "no alias domain"),
        ("mail.catchall.alias", "odoo-no-catchall", "no catchall address"),
        ("mail.bounce.alias", "odoo-no-bounce", "no bounce address"),
    ):
        if not survey.parameters.get(key):
            yield found(
                code,
                Harm.HARMFUL,
                f"Odoo has {what}: the system parameter {key} is not there",
                "Answers go to the people who wrote, not to their records, and what comes back unread is noticed by nobody.",
                "Set it up from here, or enter it in Odoo: Settings, Technical, System Parameters",
                Evidence(f"{PARAMETER} {key}", "no record", "Odoo's API"),
                repair=set_up(survey, here),
            )
            return


def _domain(survey: Survey, here: Here, record: Values) -> Iterator[Found]:
    name = str(record.get("name")).lower()
    known = here.domains.get(name)
    if not record.get("catchall_alias"):
        after = {"catchall_alias": known.catchall if known else "catchall"}
        yield found(
            "odoo-no-catchall",
            Harm.HARMFUL,
            f"The alias domain {name} has no catchall address",
            "Answers to mail of records without an alias of their own go to the people who wrote, not to the record.",
            f"Enter one, such as {after['catchall_alias']}",
            said(DOMAIN, record),
            changes=(change(DOMAIN, record, f"the alias domain {name}", **after),),
        )
    if known is None:
        yield found(
            "odoo-domain-not-here",
            Harm.RISKY,
            f"Mailroom does not know Odoo's alias domain {name}",
            "Mail to its aliases, catchall and bounce address reaches Odoo only by a way of its own.",
            f"Add it here, if its mail comes in through Mailroom: mailroom.toml or the page Alias domains, [alias_domain.{name!r}]",
            said(DOMAIN, record),
        )
        return
    wanted = {"catchall_alias": known.catchall, "bounce_alias": known.bounce, "default_from": known.default_from}
    after = {field: value for field, value in wanted.items() if value and record.get(field) and record[field] != value}
    if after:
        names = ", ".join(f"{field} is {record[field]} there and {value} here" for field, value in after.items())
        yield found(
            "odoo-domain-differs",
            Harm.HARMFUL,
            f"The alias domain {name} is not the same in Odoo and here: {names}",
            "What Odoo writes as its catchall or bounce address is none here: answers and bounces to it find no place.",
            "Let Odoo use the addresses of Mailroom, or enter those of Odoo here",
            said(DOMAIN, record),
            changes=(change(DOMAIN, record, f"the alias domain {name}", **after),),
        )


def _homeless(survey: Survey) -> Iterator[Found]:
    one = survey.domains[0] if len(survey.domains) == 1 else None
    without = [each for each in survey.companies if not each.get("alias_domain_id")]
    if without and not survey.missed("companies"):
        names = ", ".join(called(each) for each in without)
        yield found(
            "odoo-company-without-domain",
            Harm.RISKY,
            f"{'A company has' if len(without) == 1 else 'Companies have'} no alias domain: {names}",
            "Their mail has neither catchall nor bounce address: answers go to the people who wrote.",
            "Choose the alias domain in Odoo: Settings, Users & Companies, Companies",
            said(COMPANY, *without),
            changes=tuple(change(COMPANY, each, f"the company {called(each)}", alias_domain_id=one["id"]) for each in without)
            if one
            else (),
        )
    aliases = survey.homeless
    if aliases:
        names = ", ".join(str(each.get("alias_name")) for each in aliases[:5]) + (", ..." if len(aliases) > 5 else "")
        yield found(
            "odoo-aliases-without-domain",
            Harm.RISKY,
            f"{len(aliases)} aliases have no domain: {names}",
            "Odoo takes mail for them only where it matches what stands before the @ alone; with several domains it goes astray.",
            "Choose their domain in Odoo: Settings, Technical, Email Aliases",
            said(ALIAS, *aliases[:5]),
            changes=tuple(change(ALIAS, each, f"the alias {each.get('alias_name')}", alias_domain_id=one["id"]) for each in aliases[:MOST])
            if one
            else (),
        )
