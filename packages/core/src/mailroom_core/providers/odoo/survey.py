"""What an Odoo has that its mail depends on, read over its API and left as it is.

Sources: odoo/addons/base/models/ir_mail_server.py, ir_cron.py, addons/mail/models/mail_mail.py, mail_alias_domain.py, fetchmail.py and
addons/mail/data/ir_cron_data.xml of Odoo 19.0, April 2026.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailroom_core.errors import ConfigError
from mailroom_core.flow import Flow
from mailroom_core.providers.odoo.records import Domain, Session, Values, count, known_fields, read
from mailroom_core.providers.odoo.setup import ALIAS, COMPANY, DOMAIN, PARAMETER, SERVER
from mailroom_core.providers.odoo.wire import number

CRON, FETCHER, MAIL = "ir.cron", "fetchmail.server", "mail.mail"
QUEUE, FETCH = "ir_cron_mail_scheduler_action", "ir_cron_mail_gateway_action"
"""The jobs that send what waits, and that fetch."""
MOST = 500
"""Failed mails that are read, the newest."""
WAITS = timedelta(hours=2)
"""The queue runs every hour; what waits longer than this stands still."""
OLD = ("mail.catchall.domain", "mail.catchall.alias", "mail.bounce.alias", "mail.default.from")
"""System parameters that Odoo read before 17; since then the alias domain counts."""
PARAMETERS = (*OLD, "mail.default.from_filter", "mail.catchall.domain.allowed", "web.base.url", "database.is_neutralized")
_SERVER = ("name", "smtp_host", "smtp_user", "smtp_authentication", "from_filter", "sequence", "active", "owner_user_id")
_DOMAIN = ("name", "bounce_alias", "catchall_alias", "default_from")
_CRON = ("active", "nextcall", "lastcall", "failure_count", "write_date")
_FETCHER = ("name", "user", "server_type", "state", "active", "error_date", "error_message")


@dataclass(frozen=True, slots=True)
class Unread:
    """What could not be read, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Of what could not be read there is nothing here, and a line in `unread`."""

    at: datetime
    modern: bool
    """17 or later: it has alias domains."""
    companies: Sequence[Values]
    servers: Sequence[Values]
    """As Odoo asks them: by sequence, then number; without those of single people."""
    domains: Sequence[Values]
    homeless: Sequence[Values]
    """Aliases without a domain."""
    crons: Mapping[str, Values]
    """By `QUEUE` and `FETCH`."""
    fetchers: Sequence[Values]
    failed: Sequence[Values]
    """The newest."""
    failures: int
    waiting: int
    """Mails that should have left two hours ago."""
    parameters: Mapping[str, str]
    unread: tuple[Unread, ...] = ()

    def missed(self, what: str) -> bool:
        return any(each.what == what for each in self.unread)


def surveyed(session: Session, now: datetime) -> Flow[Survey]:
    """Raises ConfigError if nothing can be read at all."""
    yield from known_fields(session, COMPANY)
    modern = yield from _has(session, DOMAIN)
    fetches = yield from _has(session, FETCHER)
    unread: list[Unread] = []
    companies = yield from _tried(session, "companies", COMPANY, [], ("name", "email", "alias_domain_id"), unread)
    servers = yield from _tried(session, "outgoing servers", SERVER, [], _SERVER, unread)
    domains = homeless = []
    if modern:
        domains = yield from _tried(session, "alias domains", DOMAIN, [], _DOMAIN, unread)
        homeless = yield from _tried(session, "aliases", ALIAS, [["alias_domain_id", "=", False]], ("alias_name",), unread)
    crons = yield from _crons(session, unread)
    fetchers = (yield from _tried(session, "incoming servers", FETCHER, [], _FETCHER, unread)) if fetches else []
    failed = yield from _tried(session, "failed mails", MAIL, _FAILED, ("failure_type", "failure_reason", "email_to"), unread, limit=MOST)
    failures = yield from _counted(session, "failed mails", _FAILED, unread)
    waiting = yield from _waiting(session, now, unread)
    keys = [["key", "in", list(PARAMETERS)]]
    rows = yield from _tried(session, "system parameters", PARAMETER, keys, ("key", "value"), unread)
    return Survey(
        at=now,
        modern=modern,
        companies=companies,
        servers=sorted((each for each in servers if not each.get("owner_user_id")), key=_place),
        domains=domains,
        homeless=[each for each in homeless if each.get("alias_name")],
        crons=crons,
        fetchers=fetchers,
        failed=failed,
        failures=failures,
        waiting=waiting,
        parameters={str(each["key"]): str(each["value"]) for each in rows},
        unread=tuple(dict.fromkeys(unread)),
    )


_FAILED: Domain = (("state", "=", "exception"),)


def _has(session: Session, model: str) -> Flow[bool]:
    """Whether this version has the model: its fields are told to everybody, what models there are to administrators alone."""
    try:
        yield from known_fields(session, model)
    except ConfigError:
        return False
    return True


def _tried(
    session: Session, what: str, model: str, domain: Domain, fields: Sequence[str], unread: list[Unread], *, limit: int = 0
) -> Flow[list[dict[str, object]]]:
    """With the fields that this version has."""
    try:
        known = yield from known_fields(session, model)
        rows = yield from read(session, model, domain, [each for each in fields if each in known], limit=limit)
    except ConfigError as problem:
        unread.append(Unread(what, str(problem)))
        return []
    return rows


def _counted(session: Session, what: str, domain: Domain, unread: list[Unread]) -> Flow[int]:
    try:
        found = yield from count(session, MAIL, domain)
    except ConfigError as problem:
        unread.append(Unread(what, str(problem)))
        return 0
    return found


def _waiting(session: Session, now: datetime, unread: list[Unread]) -> Flow[int]:
    old: list[Sequence[object]] = [["state", "=", "outgoing"], ["create_date", "<", f"{now - WAITS:%Y-%m-%d %H:%M:%S}"]]
    found = yield from _counted(session, "waiting mails", old, unread)
    if not found:
        return 0
    later = yield from _counted(session, "waiting mails", [*old, ["scheduled_date", ">", f"{now:%Y-%m-%d %H:%M:%S}"]], unread)
    return found - later


def _crons(session: Session, unread: list[Unread]) -> Flow[dict[str, Values]]:
    """By the names that their apps give them: people rename jobs. Before 17 the one that fetches is of an app of its own."""
    where: Domain = (("module", "in", ["mail", "fetchmail"]), ("model", "=", CRON), ("name", "in", [QUEUE, FETCH]))
    named = yield from _tried(session, "scheduled actions", "ir.model.data", where, ("name", "res_id"), unread)
    numbers = {each["res_id"]: str(each["name"]) for each in named}
    rows = yield from _tried(session, "scheduled actions", CRON, (("id", "in", list(numbers)),), _CRON, unread)
    return {numbers[each["id"]]: each for each in rows}


def _place(server: Values) -> tuple[int, int]:
    return number(server.get("sequence")), number(server.get("id"))
