"""What is written down about people: the one place for the log and for the audit log."""

from __future__ import annotations

from mailroom.observe import events


class Record:
    """Blocking."""

    def signed_in(self, user: str, address: str) -> None:
        events.signed_in(user, address)

    def sign_in_failed(self, user: str, address: str, why: str) -> None:
        """`user` is empty if there is none of that name."""
        events.sign_in_failed(user, address, why)

    def session_ended(self, user: str, *, by: str) -> None:
        events.session_ended(user, by)

    def changed(self, user: str, what: str, *, by: str) -> None:
        """`what` completes a sentence: `role: viewer -> admin`."""
        events.user_changed(user, by, what)
