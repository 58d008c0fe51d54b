"""Scheduled actions, mail that failed or waits, system parameters, and Odoo's own incoming servers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

from mailroom.doctor.explain import explain
from mailroom.doctor.findings import Evidence, Harm
from mailroom.doctor.odoo.findings import Found, Here, called, change, found, said
from mailroom.doctor.odoo.servers import active
from mailroom_core.providers.odoo.records import Values
from mailroom_core.providers.odoo.setup import DOMAIN, PARAMETER
from mailroom_core.providers.odoo.survey import CRON, FETCH, FETCHER, MAIL, OLD, QUEUE, Survey

LATE = timedelta(hours=3)
"""Longer than the longest pause of these jobs."""
_TYPES = {
    "unknown": "an error that Odoo does not sort",
    "mail_spam": "taken for spam",
    "mail_email_invalid": "the recipient's address is wrong",
    "mail_email_missing": "there is no recipient",
    "mail_from_invalid": "the sender's address is wrong",
    "mail_from_missing": "there is no sender",
    "mail_smtp": "the outgoing server could not be reached, or refused",
    "mail_bl": "the recipient is on Odoo's blacklist",
    "mail_optout": "the recipient has opted out",
    "mail_dup": "the recipient has this mail already",
}
_FIELDS = {
    "mail.catchall.domain": "name",
    "mail.catchall.alias": "catchall_alias",
    "mail.bounce.alias": "bounce_alias",
    "mail.default.from": "default_from",
}


def judge_crons(survey: Survey) -> Iterator[Found]:
    queue, fetch = survey.crons.get(QUEUE), survey.crons.get(FETCH)
    if queue is not None and queue.get("active") is False:
        yield found(
            "odoo-queue-off",
            Harm.HARMFUL,
            "Odoo's job that sends mail (Mail: Email Queue Manager) is switched off",
            "Mail that Odoo does not send at once, such as mailings and notifications to many, stays there.",
            "Switch it on",
            said(CRON, queue),
            changes=(change(CRON, queue, "the job Mail: Email Queue Manager", active=True),),
        )
    fetching = [each for each in survey.fetchers if each.get("state") == "done" and each.get("active") is not False]
    if fetch is not None and fetch.get("active") is False and any(each.get("server_type") != "local" for each in fetching):
        yield found(
            "odoo-fetch-off",
            Harm.HARMFUL,
            "Odoo's job that fetches mail (Mail: Fetchmail Service) is switched off, and there are incoming servers",
            "What arrives in these mailboxes stays there.",
            "Switch it on, or archive the incoming servers if Mailroom fetches these mailboxes",
            said(FETCHER, *fetching),
            changes=(change(CRON, fetch, "the job Mail: Fetchmail Service", active=True),),
        )
    yield from _standing(survey, [each for each in (queue, fetch) if each is not None and each.get("active") is not False])


def _standing(survey: Survey, jobs: list[Values]) -> Iterator[Found]:
    late = [each for each in jobs if (at := _due(each)) is not None and survey.at - at > LATE]
    if late:
        yield found(
            "odoo-jobs-stand",
            Harm.HARMFUL,
            "Odoo runs no scheduled actions",
            f"One of them was due at {late[0].get('nextcall')} UTC and has not run: no queued mail leaves.",
            "Look whether Odoo runs with --max-cron-threads=0 or without its cron worker, and into its log",
            said(CRON, *late),
        )
    failing = [each for each in jobs if isinstance(each.get("failure_count"), int) and each["failure_count"]]
    if failing and not late:
        yield found(
            "odoo-jobs-fail",
            Harm.RISKY,
            "A job of Odoo that sends or fetches mail has failed the last time",
            "After five failures over a week Odoo switches it off.",
            "Look into Odoo's log for its error",
            said(CRON, *failing),
        )


def judge_mails(survey: Survey) -> Iterator[Found]:
    if survey.failures:
        groups: dict[tuple[str, str], list[Values]] = defaultdict(list)
        for each in survey.failed:
            groups[_reason(each)].append(each)
        largest = sorted(groups.items(), key=lambda item: -len(item[1]))
        shown = [Evidence(f"{len(mails)} of {MAIL}: {means}", _told(mails[0]), "Odoo's API") for (means, _), mails in largest[:6]]
        advice = "; ".join(dict.fromkeys(todo for (_, todo), _ in largest[:3] if todo))
        yield found(
            "odoo-failed-mails",
            Harm.RISKY,
            f"{survey.failures} mails have failed in Odoo, most of them because: {largest[0][0][0]}"
            if largest
            else f"{survey.failures} mails have failed in Odoo",
            "Odoo does not try them again by itself.",
            f"{advice + '. Then' if advice else 'Mend the cause, then'} send them again in Odoo: Settings, Technical, Emails, Retry. "
            "With several recipients, those who have got it get it twice",
            *shown,
        )
    if survey.waiting:
        yield found(
            "odoo-waiting-mails",
            Harm.HARMFUL,
            f"{survey.waiting} mails have been waiting in Odoo for more than two hours",
            "The queue runs every hour; what waits longer stands still.",
            "Look at the scheduled actions and the outgoing servers above, and into Odoo's log",
            Evidence(f"{MAIL}, state = outgoing, older than two hours and due", str(survey.waiting), "Odoo's API"),
        )


def _reason(mail: Values) -> tuple[str, str]:
    """What it means and what to do, with the words of our tables where they know it."""
    told = explain(str(mail.get("failure_reason") or ""))
    if told:
        return told[0].means, told[0].todo
    return _TYPES.get(str(mail.get("failure_type") or ""), "no reason is given"), ""


def _told(mail: Values) -> str:
    return " ".join(str(mail.get("failure_reason") or mail.get("failure_type") or "").split())[:300] or "nothing"


def judge_parameters(survey: Survey) -> Iterator[Found]:
    known = survey.parameters
    if known.get("database.is_neutralized", "").lower() not in ("", "false", "0"):
        yield found(
            "odoo-neutralized",
            Harm.HARMFUL,
            "This Odoo is neutralized: a copy for tests, which sends no mail",
            "Its outgoing servers and its jobs are archived on purpose.",
            "Use the destination of the real database; a copy must not hand over or send mail",
            _parameter(survey, "database.is_neutralized"),
        )
    url = urlsplit(known.get("web.base.url", ""))
    if url.hostname in ("localhost", "127.0.0.1", "0.0.0.0"):  # noqa: S104  # a value that somebody may have entered
        yield found(
            "odoo-base-url",
            Harm.RISKY,
            f"Links in Odoo's mail lead to {known['web.base.url']}, which nobody can open",
            "Recipients can't open records, documents or the unsubscribe page.",
            "Set the system parameter web.base.url to the address that people use, and web.base.url.freeze to True",
            _parameter(survey, "web.base.url"),
        )
    yield from _left_over(survey)


def _left_over(survey: Survey) -> Iterator[Found]:
    if survey.modern and survey.domains:
        for key in OLD:
            value = survey.parameters.get(key, "")
            if value and value not in {str(each.get(_FIELDS[key])) for each in survey.domains}:
                yield found(
                    f"odoo-{key.replace('.', '-')}",
                    Harm.ADVICE,
                    f"The system parameter {key} says {value}, and no alias domain does",
                    "Odoo reads the alias domains since version 17, and this parameter no more; it misleads whoever looks.",
                    "Remove it, or correct the alias domain",
                    _parameter(survey, key),
                    said(DOMAIN, *survey.domains),
                )
    if survey.parameters.get("mail.default.from_filter") and active(survey):
        yield found(
            "odoo-default-from-filter",
            Harm.ADVICE,
            "The system parameter mail.default.from_filter counts for the server of the configuration file alone",
            "There are outgoing servers, which have FROM filters of their own; the parameter changes nothing for them.",
            "Enter it in the FROM filter of the outgoing server that is meant, and remove the parameter",
            _parameter(survey, "mail.default.from_filter"),
        )


def _parameter(survey: Survey, key: str) -> Evidence:
    return Evidence(f"{PARAMETER} {key}", survey.parameters[key], "Odoo's API")


def judge_fetchers(survey: Survey, here: Here) -> Iterator[Found]:
    for each in survey.fetchers:
        if each.get("active") is False or each.get("server_type") == "local":
            continue
        if str(each.get("user") or "").lower() in here.mailboxes:
            yield found(
                "odoo-fetches-too",
                Harm.HARMFUL,
                f"Odoo's incoming server {called(each)} and Mailroom both fetch {each.get('user')}",
                "Who comes first marks the mail as read, and the other one never sees it.",
                f"Archive {called(each)} in Odoo: Mailroom hands its mail over",
                said(FETCHER, each),
                changes=(change(FETCHER, each, f"the incoming server {called(each)}", active=False),),
            )
        elif each.get("error_message"):
            told = explain(str(each["error_message"]))
            yield found(
                "odoo-fetch-error",
                Harm.HARMFUL,
                f"Odoo's incoming server {called(each)} can't fetch" + (f": {told[0].means}" if told else ""),
                f"Since {each.get('error_date')} UTC; after five days Odoo switches it off.",
                told[0].todo if told and told[0].todo else "Look at it in Odoo: Settings, Technical, Incoming Mail Servers, Test & Confirm",
                said(FETCHER, each),
            )


def _due(job: Values) -> datetime | None:
    """Since when it should have run; one that was switched on runs soon after that."""
    due, changed = _time(job.get("nextcall")), _time(job.get("write_date"))
    return due if due is None or changed is None else max(due, changed)


def _time(value: object) -> datetime | None:
    """As Odoo writes it, in UTC."""
    try:
        return datetime.fromisoformat(str(value)).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
