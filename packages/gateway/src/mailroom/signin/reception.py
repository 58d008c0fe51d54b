"""Lets people in, and knows who is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from mailroom.ports import Clock
from mailroom.signin import second
from mailroom.signin.guest import Guest
from mailroom.signin.keys import Keyed, new_id
from mailroom.signin.passwords import Crowded, Passwords
from mailroom.signin.record import Record
from mailroom.users import Link, LinkKind, Session, User, Users, second_factor_of

WINDOW = timedelta(minutes=15)
PER_USER = 10
"""Attempts within a window, whether with the password or with the code; then the right one doesn't help either."""
PER_NETWORK = 50
CODE_TIME = timedelta(minutes=5)
"""How long somebody may look for the second factor."""
SEEN_EVERY = timedelta(minutes=1)
_AGENT = 200


class Refusal(Enum):
    """Why somebody is not let in, in words for the page."""

    WRONG = "This e-mail address and password don't fit together."
    NOT_YOURS = "This is not your present password."
    WRONG_CODE = "This code is wrong, or was used before. Wait for the next one."
    TOO_MANY = "There were too many attempts. Wait a quarter of an hour, or ask an administrator for a new link."
    CROWDED = "Too many people sign in at this moment. Try again in a minute."
    TOO_LATE = "This took too long. Sign in again."
    STATE = "This answer belongs to no sign-in of this browser: it took too long, was used before, or began elsewhere. Sign in again."
    DECLINED = "The sign-in was declined or broken off. Sign in again, or ask the administrator of your organisation for consent."
    NO_RIGHT = "You are known there, but may not use Mailroom. Ask an administrator to add you."


class SignInRefused(Exception):
    """Nobody is let in."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The id is for the browser's cookie, and new at every sign-in."""

    session: str
    user: User
    next: str = ""


@dataclass(frozen=True, slots=True)
class CodeNeeded:
    """The password was right; the visit is good for a code now."""


@dataclass(frozen=True, slots=True)
class Present:
    """Who asks, with which session."""

    user: User
    session: Session
    csrf: str


class Reception:
    """Blocking."""

    def __init__(
        self,
        *,
        users: Users,
        open_secret: Callable[[str], Mapping[str, str] | None],
        keyed: Keyed,
        clock: Clock,
        idle: timedelta,
        absolute: timedelta,
        passwords: Passwords,
        record: Record,
    ) -> None:
        self._users = users
        self._open_secret = open_secret
        self._keyed = keyed
        self._clock = clock
        self._idle = idle
        self._absolute = absolute
        self._passwords = passwords
        self._record = record

    # -- the door
    def sign_in(self, name: str, password: str, guest: Guest, *, next: str = "") -> SignedIn | CodeNeeded:
        """Raises SignInRefused, with the same text and after the same work whatever is wrong."""
        name = normal_name(name)
        self._count(guest, f"user:{self._keyed.stored('name', name)}")
        user = self._users.user(name)
        right = self._matches(password, user.password if user and user.active else "")
        if not right or user is None:
            self._record.sign_in_failed(user.name if user else "", guest.address, "password")
            raise SignInRefused(Refusal.WRONG)
        return self.arrive(user, guest, next=next)

    def arrive(self, user: User, guest: Guest, *, next: str = "") -> SignedIn | CodeNeeded:
        """The first factor was right, here or at the identity provider."""
        if not user.second_factor:
            return self._let_in(user, guest, next)
        key = self._keyed.stored("code", guest.visit)
        self._users.spend_link(key, LinkKind.SECOND_FACTOR)
        until = self._clock() + CODE_TIME
        self._users.put_link(Link(key=key, kind=LinkKind.SECOND_FACTOR, user=user.name, data=next, expires_at=until))
        return CodeNeeded()

    def give_code(self, code: str, guest: Guest) -> SignedIn:
        """The second factor, or a recovery code in its place. Raises SignInRefused."""
        key = self._keyed.stored("code", guest.visit)
        pending = self._users.link(key, LinkKind.SECOND_FACTOR)
        user = self._users.user(pending.user) if pending else None
        if pending is None or user is None or not user.active:
            raise SignInRefused(Refusal.TOO_LATE)
        self.check_code(user, code, guest)
        if self._users.spend_link(key, LinkKind.SECOND_FACTOR) is None:
            raise SignInRefused(Refusal.TOO_LATE)
        return self._let_in(user, guest, pending.data)

    def check_code(self, user: User, code: str, guest: Guest) -> None:
        """Spends it. Raises SignInRefused."""
        self._count(guest, f"code:{user.name}")
        if not self._code_fits(user, code):
            self._record.sign_in_failed(user.name, guest.address, "second factor")
            raise SignInRefused(Refusal.WRONG_CODE)

    def check_password(self, user: User, password: str, guest: Guest) -> None:
        """Of somebody who is signed in already. Raises SignInRefused."""
        self._count(guest, f"user:{self._keyed.stored('name', user.name)}")
        if not self._matches(password, user.password):
            self._record.sign_in_failed(user.name, guest.address, "password")
            raise SignInRefused(Refusal.NOT_YOURS)

    def _matches(self, password: str, stored: str) -> bool:
        try:
            return self._passwords.matches(password, stored)
        except Crowded:
            raise SignInRefused(Refusal.CROWDED) from None

    def _code_fits(self, user: User, code: str) -> bool:
        kept = self._open_secret(second_factor_of(user.name))
        step = second.step_of(kept["secret"], code, self._clock()) if kept else None
        if step is not None:
            return self._users.spend_step(user.name, step)
        return self._users.spend_recovery(user.name, self._keyed.stored("recovery", second.plain_code(code)))

    def _count(self, guest: Guest, what: str) -> None:
        """Before anything is looked at, so that attempts at the same time are counted, too."""
        if self._users.attempt(f"network:{guest.network}", WINDOW) > PER_NETWORK or self._users.attempt(what, WINDOW) > PER_USER:
            self._record.sign_in_failed("", guest.address, "too many attempts")
            raise SignInRefused(Refusal.TOO_MANY)

    def _let_in(self, user: User, guest: Guest, next: str) -> SignedIn:
        for what in (f"user:{self._keyed.stored('name', user.name)}", f"code:{user.name}"):
            self._users.forget_attempts(what)
        return SignedIn(self.begin(user, guest), user, next)

    # -- inside
    def begin(self, user: User, guest: Guest) -> str:
        """A session for somebody who has just shown who they are; the id for the cookie."""
        made = new_id()
        now = self._clock()
        agent = "".join(each for each in guest.agent if each.isprintable())[:_AGENT]
        key = self._keyed.stored("session", made)
        self._users.begin_session(Session(key=key, user=user.name, created_at=now, seen_at=now, agent=agent, address=guest.address))
        self._record.signed_in(user.name, guest.address)
        return made

    def who(self, session: str) -> Present | None:
        """Whose session this is, if it is one."""
        key = self._keyed.stored("session", session)
        found = self._users.session(key, idle=self._idle, absolute=self._absolute) if session else None
        if found is None:
            return None
        kept, user = found
        if self._clock() - kept.seen_at >= SEEN_EVERY:
            self._users.seen(key)
        return Present(user, kept, self._keyed.derived("csrf", session))

    def sessions(self, user: str) -> list[Session]:
        """Those that count, the last used first; of everybody without a name."""
        return self._users.sessions(user, idle=self._idle, absolute=self._absolute)

    def leave(self, present: Present) -> None:
        """Sign out."""
        self.end(present, present.session.key)

    def end(self, present: Present, key: str) -> bool:
        """One's own session, on whatever browser; False if it is none of one's own."""
        own = key in {each.key for each in self.sessions(present.user.name)}
        if own and self._users.end_sessions([key]):
            self._record.session_ended(present.user.name, by=present.user.name)
        return own

    # -- forms of people who are not signed in
    def csrf_of(self, visit: str) -> str:
        return self._keyed.derived("csrf", visit)

    def csrf_fits(self, secret: str, given: str) -> bool:
        """`secret` is the id of the session, or of the visit."""
        return bool(secret) and self._keyed.fits("csrf", secret, given)


def normal_name(name: str) -> str:
    """An e-mail address as it is kept: without spaces around it, in small letters."""
    return name.strip().casefold().encode("utf-8", "replace").decode()[:254]
