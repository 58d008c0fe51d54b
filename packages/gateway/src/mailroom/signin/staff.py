"""What is done to people: the first administrator, invitations, roles, passwords, second factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from mailroom.objects import Role
from mailroom.ports import Clock
from mailroom.signin import second
from mailroom.signin.keys import Keyed, new_id
from mailroom.signin.passwords import Passwords
from mailroom.signin.reception import normal_name
from mailroom.signin.record import Record
from mailroom.users import Link, LinkKind, User, Users, second_factor_of
from mailroom_core.errors import ConfigError
from mailroom_core.policy.addresses import is_deliverable

SET_UP_TIME = timedelta(days=1)
INVITATION_TIME = timedelta(days=7)
RESET_TIME = timedelta(days=1)


class Staff:
    """Blocking. Everything raises ConfigError, which says what to do instead."""

    def __init__(
        self,
        *,
        users: Users,
        open_secret: Callable[[str], Mapping[str, str] | None],
        seal: Callable[[str, Mapping[str, str] | None], None],
        keyed: Keyed,
        clock: Clock,
        passwords: Passwords,
        record: Record,
    ) -> None:
        self._users = users
        self._open_secret = open_secret
        self._seal = seal
        self._keyed = keyed
        self._clock = clock
        self._passwords = passwords
        self._record = record

    # -- the first administrator
    def needs_set_up(self) -> bool:
        """Whether there is nobody who could let others in."""
        return not any(user.active and user.role is Role.ADMIN for user in self._users.all())

    def set_up_token(self) -> str:
        """For one link; those of before are worth nothing any more."""
        if not self.needs_set_up():
            raise ConfigError("there is an administrator already; for another password, run: mailroom user reset NAME")
        return self._link("", LinkKind.SET_UP, SET_UP_TIME)

    def is_set_up_token(self, token: str) -> bool:
        return self._users.link(self._keyed.stored("link", token), LinkKind.SET_UP) is not None and self.needs_set_up()

    def set_up(self, token: str, name: str, password: str) -> User:
        """The first administrator."""
        name = _checked(name)
        hashed = self._passwords.hash(password, name=name)
        if not self.is_set_up_token(token) or not self._users.spend_link(self._keyed.stored("link", token), LinkKind.SET_UP):
            raise ConfigError("this link was used, or has expired; `mailroom user setup-link` makes another one")
        if self._users.user(name):
            user = self._users.change(name, lambda old: replace(old, role=Role.ADMIN, active=True, password=hashed, managed=False))
        else:
            user = User(name=name, role=Role.ADMIN, password=hashed)
            self._users.add(user)
        self._record.changed(name, "first administrator, by the set-up link", by=name)
        return user

    # -- links for a password
    def invite(self, name: str, role: Role, *, by: str) -> str:
        """A new user, and the token of the link by which the person chooses a password."""
        user = User(name=_checked(name), role=role)
        self._users.add(user)
        self._record.changed(user.name, f"added as {role.value}", by=by)
        return self._link(user.name, LinkKind.PASSWORD, INVITATION_TIME)

    def reset(self, name: str, *, by: str, second_factor: bool = False) -> str:
        """The token of a link for another password; the one of before stays until then. Drops the second factor if asked for."""
        user = self._known(name)
        if not user.active:
            raise ConfigError(f"{user.name} is not active; let them in again first")
        if second_factor:
            self.drop_second_factor(user.name, by=by)
        self._record.changed(user.name, "a link for a new password was made", by=by)
        return self._link(user.name, LinkKind.PASSWORD, RESET_TIME)

    def owner_of(self, token: str) -> User | None:
        """Whose password the link sets."""
        link = self._users.link(self._keyed.stored("link", token), LinkKind.PASSWORD)
        user = self._users.user(link.user) if link else None
        return user if user and user.active else None

    def choose_password(self, token: str, password: str) -> User:
        """Ends all sessions of the person."""
        user = self.owner_of(token)
        hashed = self._passwords.hash(password, name=user.name if user else "")
        if user is None or not self._users.spend_link(self._keyed.stored("link", token), LinkKind.PASSWORD):
            raise ConfigError("this link was used, or has expired; ask an administrator for another one")
        return self._set_password(user.name, hashed, "password, by a link")

    def change_password(self, user: User, new: str) -> User:
        """By the person, who has given the present one. Ends all sessions, also the one that asks."""
        return self._set_password(user.name, self._passwords.hash(new, name=user.name), "password")

    def _set_password(self, name: str, hashed: str, what: str) -> User:
        changed = self._users.change(name, lambda user: replace(user, password=hashed))
        self._record.changed(name, what, by=name)
        return changed

    def _link(self, user: str, kind: LinkKind, good_for: timedelta) -> str:
        token = new_id()
        key = self._keyed.stored("link", token)
        self._users.put_link(Link(key=key, kind=kind, user=user, expires_at=self._clock() + good_for), only=True)
        return token

    # -- what administrators change
    def all(self) -> list[User]:
        """Everybody, by name."""
        return self._users.all()

    def user(self, name: str) -> User | None:
        return self._users.user(name)

    def set_role(self, name: str, role: Role, *, by: str) -> None:
        before = self._known(name).role
        self._users.change(normal_name(name), lambda user: replace(user, role=role, managed=False))
        self._record.changed(normal_name(name), f"role: {before.value} -> {role.value}", by=by)

    def set_active(self, name: str, active: bool, *, by: str) -> None:
        self._users.change(normal_name(name), lambda user: replace(user, active=active))
        self._record.changed(normal_name(name), "may sign in again" if active else "may not sign in any more", by=by)

    def remove(self, name: str, *, by: str) -> None:
        self._users.remove(normal_name(name))
        self._seal(second_factor_of(normal_name(name)), None)
        self._seal(_offered(normal_name(name)), None)
        self._record.changed(normal_name(name), "removed", by=by)

    def end_sessions(self, name: str, *, by: str) -> int:
        """Of one person, on all browsers; how many it were."""
        ended = self._users.end_sessions_of(self._known(name).name)
        self._record.session_ended(normal_name(name), by=by)
        return ended

    def _known(self, name: str) -> User:
        user = self._users.user(normal_name(name))
        if user is None:
            raise ConfigError(f"there is no user {normal_name(name)}; see: mailroom user list")
        return user

    # -- the second factor
    def offer_second_factor(self, user: User) -> str:
        """A secret to be put into an app. It counts once a code of it was shown."""
        if user.second_factor:
            raise ConfigError("there is a second factor already; turn it off first")
        secret = second.new_secret()
        self._seal(_offered(user.name), {"secret": secret})
        return secret

    def offered_second_factor(self, user: User) -> str:
        """The secret that waits for its first code; empty if there is none."""
        return (self._open_secret(_offered(user.name)) or {}).get("secret", "")

    def accept_second_factor(self, user: User, code: str) -> list[str]:
        """The recovery codes, to be shown this once."""
        secret = self.offered_second_factor(user)
        step = second.step_of(secret, code, self._clock()) if secret else None
        if step is None:
            raise ConfigError("this code is wrong; see that the clock of the phone is right, and give the next one")
        codes = second.new_recovery_codes()
        digests = tuple(self._keyed.stored("recovery", each) for each in codes)
        self._seal(second_factor_of(user.name), {"secret": secret})
        self._users.spend_step(user.name, step)
        self._users.change(user.name, lambda old: replace(old, second_factor=True, recovery=digests))
        self._seal(_offered(user.name), None)
        self._record.changed(user.name, "second factor on", by=user.name)
        return codes

    def drop_second_factor(self, name: str, *, by: str) -> None:
        self._users.change(normal_name(name), lambda user: replace(user, second_factor=False, recovery=()))
        self._seal(second_factor_of(normal_name(name)), None)
        self._record.changed(normal_name(name), "second factor off", by=by)


def _offered(name: str) -> str:
    return f"{second_factor_of(name)}:offered"


def _checked(name: str) -> str:
    name = normal_name(name)
    if not is_deliverable(name):
        raise ConfigError(f"{name!r} is no e-mail address; people sign in with theirs")
    return name
