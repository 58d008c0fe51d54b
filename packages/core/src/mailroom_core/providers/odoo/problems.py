"""What Odoo answers when it does not take a mail, and what that means.

Rows of status and fault: odoo/http.py (Json2Dispatcher) and addons/rpc/controllers/xmlrpc.py of Odoo 19.0, April 2026. Rows of texts: the
messages of addons/mail/models/mail_thread.py, odoo/service/model.py, odoo/sql_db.py and PostgreSQL, which come with a traceback, and of the
add-on's controllers/inbound.py and models/microsoft_graph_pushed.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum

from mailroom_core.flow import NoResponse, Response
from mailroom_core.model import Deferred, Failed, Held, Reply, Trouble
from mailroom_core.providers.odoo.wire import Failure


class Fate(Enum):
    HOLD = "everything waits for a person"
    REFUSE = "this mail waits for a person"
    LATER = "it is tried again"


Row = tuple[Fate, str]
"""What becomes of the mail, and what to do."""

_KEY = "Odoo does not know this key (any more): keys end on a date; make a new one, then run: mailroom destination key"
_RIGHTS = "the user may not do that in Odoo; it needs the rights of an administrator (Settings)"
_NO_MAIL = "the app Discuss (mail) is not installed in this database; install it"
_NO_MODEL = "the destination's `model` is not there in Odoo, or can't take mail; name one such as crm.lead, whose app is installed"
_VALUES = (
    "a default value of the alias does not fit the destination's `model` in Odoo; put it right (`defaults` of the alias), then retry it"
)
_BUSY = "Odoo's database is busy"
NO_ROUTE = "no alias of Odoo takes it; add one there, or name a fallback with the destination's `model`"

TEXTS: tuple[tuple[str, Row], ...] = (
    ("No possible route found", (Fate.REFUSE, NO_ROUTE)),
    ("Object mail.thread doesn't exist", (Fate.HOLD, _NO_MAIL)),
    ("the model 'mail.thread' does not exist", (Fate.HOLD, _NO_MAIL)),
    ("unknown target model|undefined target model|Object .* doesn't exist|^There is no model '", (Fate.HOLD, _NO_MODEL)),
    ("Invalid field .* (in|on)|Wrong value for |X-Default-Values", (Fate.REFUSE, _VALUES)),
    ("violates foreign key constraint", (Fate.REFUSE, _VALUES)),
    ("The mail can't be read: ", (Fate.REFUSE, "Odoo can't take this mail apart")),
    ('database "[^"]*" does not exist', (Fate.HOLD, "Odoo does not have this database; see the destination's `database`")),
    ("could not serialize access|could not obtain lock|deadlock detected", (Fate.LATER, "Odoo was busy with the same record")),
    ("too many connections|connection pool is full|the database system is", (Fate.LATER, _BUSY)),
)
"""By a part of the text, as a regular expression; the first that fits counts, and goes before the other tables."""

STATUS: dict[int, Row] = {
    400: (Fate.REFUSE, "Odoo can't read the request"),
    401: (Fate.HOLD, _KEY),
    403: (Fate.HOLD, _RIGHTS),
    404: (Fate.HOLD, "Odoo has no such interface there, or not this database; see `url`, `database` and `api` (JSON-2 comes with Odoo 19)"),
    405: (Fate.HOLD, "what answers there is no Odoo; see `url`"),
    413: (Fate.REFUSE, "the mail is larger than Odoo, or the proxy before it, takes (Odoo: 128 MiB)"),
    422: (Fate.REFUSE, "Odoo refuses this mail"),
    429: (Fate.LATER, "Odoo, or the proxy before it, asks for less"),
    502: (Fate.LATER, "Odoo is down"),
    503: (Fate.LATER, "Odoo is down, or busy"),
    504: (Fate.LATER, "Odoo took too long; if it has the mail, it knows it by its Message-ID"),
} | dict.fromkeys((301, 302, 303, 307, 308), (Fate.HOLD, "Odoo sends us elsewhere; check the destination's `url` and `database`"))

FAULTS: dict[int, Row] = {
    2: (Fate.REFUSE, "Odoo refuses this mail"),
    3: (Fate.HOLD, _KEY),
    4: (Fate.HOLD, _RIGHTS),
}


def judge(failure: Failure, response: Response, statuses: Mapping[int, Row] = STATUS) -> Trouble:
    """The outcome of a call that did not give a result. What no row knows is tried again."""
    fate, advice = _row(failure, statuses)
    said = _last_line(failure.text)
    text = f"{advice} ({said})" if said else advice
    reply = Reply(response.status, text, name=failure.name)
    if fate is Fate.HOLD:
        return Held(reply, lane=True)
    if fate is Fate.REFUSE:
        return Failed(reply)
    return Deferred(reply, retry_after=retry_after(response), unmapped=advice == _UNKNOWN)


_UNKNOWN = "Odoo has a trouble that Mailroom does not know; it is tried again"


def _row(failure: Failure, statuses: Mapping[int, Row]) -> Row:
    found = next((row for pattern, row in TEXTS if re.search(pattern, failure.text)), None)
    known = statuses.get(failure.status) if failure.fault is None else FAULTS.get(failure.fault)
    return found or known or (Fate.LATER, _UNKNOWN)


def _last_line(text: str) -> str:
    """Of a traceback, what was raised; not the lines of its source."""
    lines = text.split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def no_answer(problem: NoResponse) -> Deferred:
    """Whether it was sent or not: Odoo takes a mail once, by its Message-ID."""
    told = "it may have the mail, and knows it by its Message-ID when it comes again" if problem.sent else "it is tried again"
    return Deferred(Reply(0, f"Odoo did not answer ({problem.why}); {told}"))


def retry_after(response: Response) -> timedelta | None:
    """Seconds, a day at most; None if there are none that can be read."""
    text = response.headers.get("retry-after", "")
    return timedelta(seconds=min(int(text), 86400)) if re.fullmatch("[0-9]{1,9}", text) else None
