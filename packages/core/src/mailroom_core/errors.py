"""The errors that callers tell apart. What a next hop answers is no error but an `Outcome` (see `model`)."""

from __future__ import annotations


class Refused(Exception):
    """We refuse what somebody hands in: SMTP `550 5.7.1 text`, HTTP problem+json.

    `code` is the SMTP reply code (RFC 5321 4.2), `enhanced` the status code of RFC 3463, `text` one line for the outside:
    what happened and what to do. `why` is for our log only and never leaves the house.
    """

    def __init__(self, code: int, enhanced: str, text: str, *, why: str = "") -> None:
        super().__init__(f"{code} {enhanced} {text}")
        self.code = code
        self.enhanced = enhanced
        self.text = text
        self.why = why

    @property
    def temporary(self) -> bool:
        """Whether the sender may try the same again later."""
        return 400 <= self.code < 500


class MailroomError(Exception):
    """Our own fault, or our operator's: never a reason to bounce somebody's mail."""


class ConfigError(MailroomError):
    """Settings that can't work. The text lists every mistake, each with what to write instead."""


class VaultError(MailroomError):
    """A secret can't be opened, or a token can't be had. Unless `transient`, a person has to act; the text says how."""

    def __init__(self, text: str, *, transient: bool = False) -> None:
        super().__init__(text)
        self.transient = transient


class StoreError(MailroomError):
    """The database is busy, full or gone; nothing was committed."""


class StoreRefused(StoreError):
    """The change breaks the database's rules, so it would at every try: a mistake of ours. Other changes can still be committed."""


class StoreFull(StoreError):
    """There is no room left; 452 4.3.1 to whoever hands in mail (RFC 3463 3.4)."""


class MimeError(MailroomError):
    """Bytes that can't be read as the mail that the caller needs; the text says where it breaks."""


class MimeTooLarge(MimeError):
    """A part of the mail is larger than the form that the caller needs can hold."""
