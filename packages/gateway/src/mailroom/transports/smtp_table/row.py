"""What a row of the table says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from mailroom_core.model import Reply


class Stage(Enum):
    """What was answered."""

    GREETING = "greeting"
    """The connection itself, EHLO and STARTTLS."""
    SIGN_IN = "sign-in"
    MAIL = "MAIL"
    RCPT = "RCPT"
    CONTENT = "DATA"
    """DATA, and the content after it."""


class Verdict(Enum):
    DEFER = "the mail waits"
    DEFER_LANE = "all mail of this server waits"
    FAIL = "the mail has failed"
    FAIL_ADDRESS = "the recipient's address is bad"
    HOLD = "a person must act for this mail"
    HOLD_LANE = "a person must act for this server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    of: str
    """Whose words these are."""
    means: str
    """What has happened, as a sentence without its full stop."""
    advice: str
    """What to do, as it continues `What to do: `."""
    source: str
    verdict: Verdict | None = None
    """None: the rules of RFC 5321 decide."""
    code: int = 0
    enhanced: str = ""
    """A regular expression for the whole enhanced status code."""
    text: str = ""
    """A regular expression somewhere in the text, letter case does not count."""
    stages: frozenset[Stage] = frozenset(Stage)
    retry_after: timedelta | None = None

    def matches(self, reply: Reply, stage: Stage) -> bool:
        """As the answer of our next hop."""
        return (
            stage in self.stages
            and (reply.code >= 500 or self.verdict in {Verdict.DEFER, Verdict.DEFER_LANE})
            and self.code in (0, reply.code)
            and (not self.enhanced or re.fullmatch(self.enhanced, reply.enhanced) is not None)
            and (not self.text or re.search(self.text, reply.text, re.IGNORECASE) is not None)
        )

    def told(self, codes: frozenset[int], enhanced: frozenset[str], text: str) -> bool:
        """Whether a text that somebody shows us is this answer: its codes, as far as it has any, and its words."""
        by_enhanced = bool(self.enhanced) and any(re.fullmatch(self.enhanced, each) for each in enhanced)
        by_code = bool(self.code) and self.code in codes
        if self.enhanced and not by_enhanced and (enhanced or not re.fullmatch(self.enhanced, "")):
            return False
        if self.code and codes and not by_code and not by_enhanced:
            return False
        by_text = bool(self.text) and re.search(self.text, text, re.IGNORECASE) is not None
        return by_text if self.text else by_enhanced or by_code
