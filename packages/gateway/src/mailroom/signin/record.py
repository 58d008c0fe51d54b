"""What is written down about people: the one place for the log and for the audit log."""

from __future__ import annotations

from typing import Protocol

from mailroom.audit import is_somebody
from mailroom.observe import events


class Audit(Protocol):
    """`Store.audit`."""

    def __call__(self, *, by: str, what: str, kind: str, name: str, after: str = "") -> None: ...


class Record:
    """Blocking."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def signed_in(self, user: str, address: str) -> None:
        events.signed_in(user, address)
        self._audit(by=f"user:{user}", what="sign in", kind="user", name=user, after=f"from {address}")

    def sign_in_failed(self, user: str, address: str, why: str) -> None:
        """`user` is empty if there is none of that name; then only the log has it, because anybody can fill that."""
        events.sign_in_failed(user, address, why)
        if user:
            self._audit(by=f"user:{user}", what="failed sign in", kind="user", name=user, after=f"{why}, from {address}")

    def session_ended(self, user: str, *, by: str) -> None:
        events.session_ended(user, by)
        self._audit(by=by if is_somebody(by) else f"user:{by}", what="end session", kind="user", name=user)

    def changed(self, user: str, what: str, *, by: str) -> None:
        """`what` completes a sentence: `role: viewer -> admin`."""
        events.user_changed(user, by, what)
        self._audit(by=by if is_somebody(by) else f"user:{by}", what=what, kind="user", name=user)
