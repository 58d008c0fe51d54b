"""What a database's error means, and what a person can do about it."""

from __future__ import annotations

import errno
import sqlite3

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from mailroom_core.errors import StoreError, StoreFull, StoreRefused

_SQLITE = {
    # https://www.sqlite.org/rescode.html, the primary codes
    sqlite3.SQLITE_BUSY: "is busy: another program holds its lock for too long; end what else has it open",
    sqlite3.SQLITE_LOCKED: "is busy: another program holds its lock for too long; end what else has it open",
    sqlite3.SQLITE_READONLY: "can't be written; give its file and its folder to the user that Mailroom runs as",
    sqlite3.SQLITE_CANTOPEN: "can't be opened; see that its folder exists and belongs to the user that Mailroom runs as",
    sqlite3.SQLITE_PERM: "can't be opened; give its file and its folder to the user that Mailroom runs as",
    sqlite3.SQLITE_CORRUPT: "is damaged; stop Mailroom and restore the last backup (`mailroom restore`)",
    sqlite3.SQLITE_NOTADB: "is no SQLite database, or is damaged; check the setting, or restore the last backup",
    sqlite3.SQLITE_IOERR: "can't be read or written: the disk reports an error; look at the system's log and at the disk",
}
_UNREACHABLE = "can't be reached; see that the server runs, and that its address, the database and the user are right"
_POSTGRESQL = {
    # https://www.postgresql.org/docs/15/errcodes-appendix.html, the classes
    "08": _UNREACHABLE,
    "40": "gave up this change for another one; it is tried again",
    "53": "has no resources left (connections or memory); see its log",
    "57": "is shutting down or starting up; wait, or start it",
}


def store_error(problem: Exception, engine: Engine) -> StoreError:
    """One of ours, for whatever SQLAlchemy, a driver or the system raised."""
    where = f"the database {engine.url.render_as_string(hide_password=True)}"
    if isinstance(problem, OSError):
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            return _full(where)
        return StoreError(f"{where} can't be used: {problem}; see that its folder belongs to the user that Mailroom runs as")
    driver = engine.dialect.loaded_dbapi
    cause = problem.orig if isinstance(problem, DBAPIError) else problem
    said = getattr(getattr(cause, "diag", None), "message_primary", None) or cause  # the rest of what PostgreSQL says quotes the row
    if isinstance(cause, driver.DataError):
        return StoreRefused(f"{where} can't hold a value ({said}); this is a mistake of Mailroom, please report it")
    if isinstance(cause, driver.IntegrityError):
        return StoreRefused(f"{where} refused a change that breaks its rules ({said}); this is a mistake of Mailroom, please report it")
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    state = getattr(cause, "sqlstate", None) or ""
    if code == sqlite3.SQLITE_FULL or state == "53100":
        return _full(where)
    if code in _SQLITE:
        return StoreError(f"{where} {_SQLITE[code]} ({said})")
    if state[:2] in _POSTGRESQL:
        return StoreError(f"{where} {_POSTGRESQL[state[:2]]} ({said})")
    if isinstance(cause, driver.OperationalError) and not state and not code:  # psycopg gives no state while it connects
        return StoreError(f"{where} {_UNREACHABLE} ({said})")
    return StoreError(f"{where} failed: {said}")


def _full(where: str) -> StoreFull:
    return StoreFull(f"{where} has no room left; free some disk space, Mailroom goes on by itself")
