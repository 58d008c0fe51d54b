"""What a stock Odoo needs so that its mail leaves through Mailroom and answers come back: an outgoing server with a FROM filter, and the
domain of its aliases with catchall and bounce.

    found -> planned (pure) -> for each change: carried_out -> what undoes it: taken_back

From Odoo 17 the domain is a record (`mail.alias.domain`, which companies name); before, system parameters. Fields that a version does
not have are left out. A change is taken back only where Odoo still has what it had put there: what somebody has changed since is theirs.
Sources: odoo/addons/base/models/ir_mail_server.py and addons/mail/models/mail_alias_domain.py of Odoo 19.0, April 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mailroom_core.errors import ConfigError
from mailroom_core.flow import Flow
from mailroom_core.providers.odoo.records import Session, Values, create, known_fields, read, unlink, write

SERVER, DOMAIN, COMPANY, ALIAS, PARAMETER = "ir.mail_server", "mail.alias.domain", "res.company", "mail.alias", "ir.config_parameter"
SECRET = frozenset({"smtp_pass"})
"""Fields that nobody is shown."""
FIRST = -1
"""Stands for the alias domain that is made by the change before."""
_SERVER_FIELDS = (
    "name",
    "smtp_host",
    "smtp_port",
    "smtp_authentication",
    "smtp_encryption",
    "smtp_user",
    "smtp_pass",
    "from_filter",
    "sequence",
    "active",
)
_DOMAIN_FIELDS = ("name", "bounce_alias", "catchall_alias", "default_from")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What Odoo is to have."""

    name: str
    """Of its outgoing server."""
    host: str
    port: int
    tls: str
    """`starttls`, `implicit` or `none`."""
    validated: bool
    """Our certificate is one that Odoo can check."""
    user: str
    password: str = field(repr=False)
    """Empty: Odoo keeps the one that it has."""
    from_filter: tuple[str, ...]
    domain: str
    catchall: str
    bounce: str
    default_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One record of Odoo that is made or changed. `id` is 0 for a new one."""

    model: str
    id: int
    title: str
    before: Values
    """Of the fields in `after`, for undoing; for a new alias domain also what Odoo will change by itself."""
    after: Values

    def lines(self) -> Iterator[str]:
        """What differs, for people; no secrets."""
        for name, value in self.after.items():
            if name in SECRET:
                yield f"{name}: a new one"
            elif self.id:
                yield f"{name}: {_shown(self.before.get(name), like=value)} -> {_shown(value)}"
            else:
                yield f"{name}: {_shown(value)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an Odoo has now."""

    fields: Mapping[str, tuple[str, ...]]
    """Of its outgoing servers, with what may be chosen."""
    servers: Sequence[Values]
    has_domains: bool
    domains: Sequence[Values] = ()
    companies: Sequence[Values] = ()
    homeless: Sequence[int] = ()
    """Aliases without a domain."""
    parameters: Sequence[Values] = ()


def found(session: Session) -> Flow[Found]:
    """Raises ConfigError."""
    fields = yield from known_fields(session, SERVER)
    servers = yield from read(session, SERVER, [], [name for name in _SERVER_FIELDS if name in fields])
    modern = yield from read(session, "ir.model", [["model", "=", DOMAIN]], ["model"])
    if not modern:
        keys = [["key", "in", list(_parameters(None))]]
        parameters = yield from read(session, PARAMETER, keys, ["key", "value"])
        return Found(fields=fields, servers=servers, has_domains=False, parameters=parameters)
    domains = yield from read(session, DOMAIN, [], _DOMAIN_FIELDS)
    companies = yield from read(session, COMPANY, [], ["name", "alias_domain_id"])
    homeless = yield from read(session, ALIAS, [["alias_domain_id", "=", False]], ["id"])
    ids = [_id(each) for each in homeless]
    return Found(fields=fields, servers=servers, has_domains=True, domains=domains, companies=companies, homeless=ids)


def planned(state: Found, wanted: Wanted) -> list[Change]:
    """What is missing, in the order in which it is done; empty if all is there."""
    server = _server(state, wanted)
    domain = list(_domain(state, wanted)) if state.has_domains else list(_old_domain(state, wanted))
    return [*domain, *([server] if server else [])]


def _server(state: Found, wanted: Wanted) -> Change | None:
    mine = next((each for each in state.servers if each.get("name") == wanted.name), None)
    after: dict[str, object] = {
        "name": wanted.name,
        "smtp_host": wanted.host,
        "smtp_port": wanted.port,
        "smtp_authentication": "login",
        "smtp_encryption": _encryption(state, wanted),
        "smtp_user": wanted.user,
        "from_filter": ",".join(wanted.from_filter),
        "active": True,
    }
    if mine is None:
        rivals = [place for each in state.servers if isinstance(place := each.get("sequence"), int)]
        after["sequence"] = min(rivals, default=11) - 1
    after = {name: value for name, value in after.items() if name in state.fields}
    if mine is not None:
        after = {name: value for name, value in after.items() if mine.get(name) != value}
    if wanted.password:
        after["smtp_pass"] = wanted.password
    if not after:
        return None
    return _change(SERVER, mine, f"the outgoing server “{wanted.name}”", after)


def _encryption(state: Found, wanted: Wanted) -> str:
    """As strict as this version can be, and our certificate allows."""
    word = {"starttls": "starttls", "implicit": "ssl"}.get(wanted.tls, "none")
    strict = f"{word}_strict"
    return strict if wanted.validated and strict in state.fields.get("smtp_encryption", ()) else word


def _domain(state: Found, wanted: Wanted) -> Iterator[Change]:
    mine = next((each for each in state.domains if str(each.get("name")).lower() == wanted.domain), None)
    after: dict[str, object] = {
        "name": wanted.domain,
        "bounce_alias": wanted.bounce,
        "catchall_alias": wanted.catchall,
        "default_from": wanted.default_from,
    }
    if mine is None:
        yield Change(model=DOMAIN, id=0, title=f"the alias domain {wanted.domain}", before={"homeless": list(state.homeless)}, after=after)
    elif after := {name: value for name, value in after.items() if name != "name" and mine.get(name) != value}:
        yield _change(DOMAIN, mine, f"the alias domain {wanted.domain}", after)
    for each in state.companies:
        if not each.get("alias_domain_id"):
            place = _id(mine) if mine is not None else FIRST
            yield _change(COMPANY, each, f"the company {each.get('name')}", {"alias_domain_id": place})


def _parameters(wanted: Wanted | None) -> dict[str, str]:
    """The system parameters before Odoo 17."""
    return {
        "mail.catchall.domain": wanted.domain if wanted else "",
        "mail.catchall.alias": wanted.catchall if wanted else "",
        "mail.bounce.alias": wanted.bounce if wanted else "",
        "mail.default.from": wanted.default_from if wanted else "",
    }


def _old_domain(state: Found, wanted: Wanted) -> Iterator[Change]:
    known = {each.get("key"): each for each in state.parameters}
    for key, value in _parameters(wanted).items():
        mine = known.get(key)
        if mine is None:
            yield Change(model=PARAMETER, id=0, title=f"the system parameter {key}", before={}, after={"key": key, "value": value})
        elif mine.get("value") != value:
            yield _change(PARAMETER, mine, f"the system parameter {key}", {"value": value})


def _change(model: str, mine: Values | None, title: str, after: Values) -> Change:
    before = {name: mine.get(name, False) for name in after} if mine is not None else {}
    return Change(model=model, id=_id(mine) if mine is not None else 0, title=title, before=before, after=after)


def _id(record: Values) -> int:
    value = record.get("id")
    return value if isinstance(value, int) else 0


def _shown(value: object, *, like: object = None) -> str:
    """`like` is a value of the same field: Odoo says False for an empty text, too."""
    if isinstance(value if like is None else like, bool):
        return "yes" if value else "no"
    return "the new one" if value == FIRST else "nothing" if value in (False, None, "") else str(value)


def settled(change: Change, first: int) -> Change:
    """With the number of the alias domain that was made before."""
    return replace(change, after={name: first if value == FIRST else value for name, value in change.after.items()})


def carried_out(session: Session, change: Change) -> Flow[int]:
    """The number of a record that was made, else 0. Raises ConfigError."""
    if not change.id:
        made = yield from create(session, change.model, change.after)
        return made
    yield from write(session, change.model, [change.id], change.after)
    return 0


def taken_back(session: Session, done: Change, made: int) -> Flow[str]:
    """What was done, or left as it is and why. `made` is the number of a record that was new, else 0. Raises ConfigError."""
    number = made or done.id
    names = [name for name in done.after if name not in SECRET]
    rows = yield from read(session, done.model, [["id", "=", number]], names)
    if not rows:
        return f"{done.title} is gone already"
    if made:
        return (yield from _removed(session, done, made))
    mine = [name for name in done.after if name in SECRET or done.after[name] == rows[0].get(name)]
    theirs = [name for name in names if name not in mine]
    if mine:
        yield from write(session, done.model, [number], {name: done.before.get(name, False) or False for name in mine})
    left = f"; left, because somebody has changed it since: {', '.join(theirs)}" if theirs else ""
    return f"{done.title} is as before{left}"


def _removed(session: Session, done: Change, made: int) -> Flow[str]:
    """Aliases that had no domain before have none again, so that the domain can go."""
    if done.model == DOMAIN:
        before = done.before.get("homeless")
        homeless = before if isinstance(before, list) else []
        rows = yield from read(session, ALIAS, [["alias_domain_id", "=", made], ["id", "in", homeless]], ["id"])
        if rows:
            yield from write(session, ALIAS, [_id(each) for each in rows], {"alias_domain_id": False})
    try:
        yield from unlink(session, done.model, [made])
    except ConfigError as problem:
        return f"{done.title} stays: {problem}"
    return f"{done.title} is removed"
