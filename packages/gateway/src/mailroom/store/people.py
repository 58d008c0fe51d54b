"""People who sign in to the console: users, sessions, links, and how often somebody has tried."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta

from mailroom.objects import Role
from mailroom.store.database import Database, Row, Tx
from mailroom.store.values import micros, moment, span
from mailroom.users import Link, LinkKind, Session, User
from mailroom_core.errors import ConfigError

USER = "name, role, active, password, subject, managed, second_factor, recovery"
SELECT = f"SELECT {USER} FROM users"  # noqa: S608  # ours
ONE = f"{SELECT} WHERE name = ?"
LOCKED = f"{SELECT} WHERE name = ? {{update}}"
BY_SUBJECT = f"{SELECT} WHERE subject = ? AND subject <> ''"
ALL = f"{SELECT} ORDER BY name"
ADD = f"INSERT INTO users ({USER}, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING"  # noqa: S608  # ours
CHANGE = """UPDATE users SET role = ?, active = ?, password = ?, subject = ?, managed = ?, second_factor = ?, recovery = ?, changed_at = ?
    WHERE name = ?"""
# In this order, so that two who change administrators at once wait for each other.
ADMINISTRATORS = "SELECT name FROM users WHERE role = 'admin' AND active = 1 ORDER BY name {update}"
REMOVE = "DELETE FROM users WHERE name = ?"
SPEND_STEP = "UPDATE users SET step = ? WHERE name = ? AND step < ?"
SPEND_RECOVERY = "UPDATE users SET recovery = ? WHERE name = ?"

SESSION = "s.key, s.user_name, s.created_at, s.seen_at, s.agent, s.address"
GOOD = "s.seen_at > ? AND s.created_at > ?"
BEGIN_SESSION = "INSERT INTO sessions (key, user_name, created_at, seen_at, agent, address) VALUES (?, ?, ?, ?, ?, ?)"
FIND_SESSION = f"""SELECT {SESSION}, {", ".join(f"u.{column}" for column in USER.split(", "))}
    FROM sessions s JOIN users u ON u.name = s.user_name WHERE s.key = ? AND {GOOD} AND u.active = 1"""  # noqa: S608  # ours
SEEN = "UPDATE sessions SET seen_at = ? WHERE key = ?"
SESSIONS = f"SELECT {SESSION} FROM sessions s WHERE (s.user_name = ? OR ? = '') AND {GOOD} ORDER BY s.seen_at DESC, s.key"  # noqa: S608
END = "DELETE FROM sessions WHERE key {names}"
END_ALL = "DELETE FROM sessions WHERE user_name = ?"
END_EVERYBODYS = "DELETE FROM sessions"
FORGET_SESSIONS = "DELETE FROM sessions WHERE seen_at <= ?"

PUT_LINK = "INSERT INTO links (key, kind, user_name, data, expires_at) VALUES (?, ?, ?, ?, ?)"
LINK = "SELECT key, kind, user_name, data, expires_at FROM links WHERE key = ? AND kind = ? AND expires_at > ?"
SPEND_LINK = "DELETE FROM links WHERE key = ? AND kind = ? AND expires_at > ? RETURNING key, kind, user_name, data, expires_at"
DROP_LINKS = "DELETE FROM links WHERE user_name = ? AND kind = ?"
DROP_ALL_LINKS = "DELETE FROM links WHERE user_name = ?"
DROP_EVERYBODYS_LINKS = "DELETE FROM links"
FORGET_LINKS = "DELETE FROM links WHERE expires_at <= ?"

ATTEMPT = """INSERT INTO sign_in_attempts (what, began_at, count) VALUES (?, ?, 1) ON CONFLICT (what) DO UPDATE SET
    count = CASE WHEN sign_in_attempts.began_at <= ? THEN 1 ELSE sign_in_attempts.count + 1 END,
    began_at = CASE WHEN sign_in_attempts.began_at <= ? THEN excluded.began_at ELSE sign_in_attempts.began_at END RETURNING count"""
FORGET_ATTEMPTS = "DELETE FROM sign_in_attempts WHERE what = ?"
FORGET_OLD_ATTEMPTS = "DELETE FROM sign_in_attempts WHERE began_at <= ?"

LONGEST = timedelta(days=90)
"""Sessions that were unused for so long count nowhere, whatever the settings."""
LONGEST_WINDOW = timedelta(days=1)


class SqlUsers:
    """See `users.Users` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._write = database.write
        self._read = database.read

    def user(self, name: str) -> User | None:
        with self._read() as tx:
            row = tx.one(ONE, name)
        return None if row is None else _user(row)

    def by_subject(self, subject: str) -> User | None:
        with self._read() as tx:
            row = tx.one(BY_SUBJECT, subject)
        return None if row is None else _user(row)

    def all(self) -> list[User]:
        with self._read() as tx:
            return [_user(row) for row in tx.rows(ALL)]

    def add(self, user: User) -> None:
        with self._write() as tx:
            if not tx.run(ADD, user.name, *_columns(user), tx.now):
                raise ConfigError(f"there is a user {user.name} already; change that one, or take another name")

    def change(self, name: str, how: Callable[[User], User]) -> User:
        with self._write() as tx:
            administrators = _administrators(tx)
            old = _user_of(tx, name)
            new = how(old)
            if not (new.active and new.role is Role.ADMIN):
                _check_others(administrators, name)
            tx.run(CHANGE, *_columns(new), tx.now, name)
            if (old.role, old.active, old.password, old.subject) != (new.role, new.active, new.password, new.subject):
                tx.run(END_ALL, name)
            if (old.active, old.password) != (new.active, new.password):
                tx.run(DROP_ALL_LINKS, name)
            return new

    def remove(self, name: str) -> None:
        with self._write() as tx:
            administrators = _administrators(tx)
            _user_of(tx, name)
            _check_others(administrators, name)
            for statement in (REMOVE, END_ALL, DROP_ALL_LINKS):
                tx.run(statement, name)

    def spend_step(self, name: str, step: int) -> bool:
        with self._write() as tx:
            return tx.run(SPEND_STEP, step, name, step) > 0

    def spend_recovery(self, name: str, digest: str) -> bool:
        with self._write() as tx:
            left = _user_of(tx, name).recovery
            if digest not in left:
                return False
            tx.run(SPEND_RECOVERY, json.dumps([code for code in left if code != digest]), name)
            return True

    # -- sessions
    def begin_session(self, session: Session) -> None:
        with self._write() as tx:
            tx.run(FORGET_SESSIONS, tx.now - span(LONGEST))
            tx.run(FORGET_OLD_ATTEMPTS, tx.now - span(LONGEST_WINDOW))
            tx.run(BEGIN_SESSION, session.key, session.user, tx.now, tx.now, session.agent, session.address)

    def session(self, key: str, *, idle: timedelta, absolute: timedelta) -> tuple[Session, User] | None:
        with self._read() as tx:
            row = tx.one(FIND_SESSION, key, tx.now - span(idle), tx.now - span(absolute))
        return None if row is None else (_session(row[:6]), _user(row[6:]))

    def seen(self, key: str) -> None:
        with self._write() as tx:
            tx.run(SEEN, tx.now, key)

    def sessions(self, user: str = "", *, idle: timedelta, absolute: timedelta) -> list[Session]:
        with self._read() as tx:
            return [_session(row) for row in tx.rows(SESSIONS, user, user, tx.now - span(idle), tx.now - span(absolute))]

    def end_sessions(self, keys: Sequence[str]) -> int:
        with self._write() as tx:
            return tx.change(END, keys)

    def end_sessions_of(self, user: str) -> int:
        with self._write() as tx:
            return tx.run(END_ALL, user)

    def forget_everybody(self) -> None:
        with self._write() as tx:
            tx.run(END_EVERYBODYS)
            tx.run(DROP_EVERYBODYS_LINKS)

    # -- links
    def put_link(self, link: Link, *, only: bool = False) -> None:
        with self._write() as tx:
            tx.run(FORGET_LINKS, tx.now)
            if only:
                tx.run(DROP_LINKS, link.user, link.kind.value)
            tx.run(PUT_LINK, link.key, link.kind.value, link.user, link.data, micros(link.expires_at))

    def link(self, key: str, kind: LinkKind) -> Link | None:
        with self._read() as tx:
            row = tx.one(LINK, key, kind.value, tx.now)
        return None if row is None else _link(row)

    def spend_link(self, key: str, kind: LinkKind) -> Link | None:
        with self._write() as tx:
            row = tx.one(SPEND_LINK, key, kind.value, tx.now)
        return None if row is None else _link(row)

    # -- limits
    def attempt(self, what: str, window: timedelta) -> int:
        with self._write() as tx:
            before = tx.now - span(window)
            row = tx.one(ATTEMPT, what, tx.now, before, before)
            assert row is not None
            return int(row[0])

    def forget_attempts(self, what: str) -> None:
        with self._write() as tx:
            tx.run(FORGET_ATTEMPTS, what)


def _user_of(tx: Tx, name: str) -> User:
    row = tx.one(LOCKED, name)
    if row is None:
        raise ConfigError(f"there is no user {name}; see: mailroom user list")
    return _user(row)


def _administrators(tx: Tx) -> set[str]:
    return {row[0] for row in tx.rows(ADMINISTRATORS)}


def _check_others(administrators: set[str], name: str) -> None:
    if administrators == {name}:
        raise ConfigError(f"{name} is the last active administrator; make somebody else administrator first")


def _user(row: Row) -> User:
    name, role, active, password, subject, managed, second_factor, recovery = row
    return User(
        name=name,
        role=Role(role),
        active=bool(active),
        password=password,
        subject=subject,
        managed=bool(managed),
        second_factor=bool(second_factor),
        recovery=tuple(json.loads(recovery)),
    )


def _columns(user: User) -> tuple[object, ...]:
    """Without the name."""
    flags = (int(user.active), user.password, user.subject, int(user.managed), int(user.second_factor))
    return (user.role.value, *flags, json.dumps(user.recovery))


def _session(row: Row) -> Session:
    key, user, created, seen, agent, address = row
    return Session(key=key, user=user, created_at=moment(created), seen_at=moment(seen), agent=agent, address=address)


def _link(row: Row) -> Link:
    key, kind, user, data, expires = row
    return Link(key=key, kind=LinkKind(kind), user=user, data=data, expires_at=moment(expires))
