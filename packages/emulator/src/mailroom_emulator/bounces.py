"""Which outside addresses don't exist."""

import re
from dataclasses import dataclass, field

from mailroom_emulator.ndr import UNKNOWN_USER, Reason

_ALWAYS = ("bounce", "unknown")


@dataclass
class Bounces:
    """Addresses that refuse mail: those whose local part starts with `bounce` or `unknown`, and those set by a test."""

    by_address: dict[str, Reason] = field(default_factory=dict)

    def reason(self, address: str) -> Reason | None:
        known = self.by_address.get(address.lower())
        if known is None and address.lower().startswith(_ALWAYS):
            return UNKNOWN_USER
        return known

    def set(self, address: str, diagnostic: str) -> Reason:
        """Refuse with a text such as `550 5.2.2 mailbox full`; ValueError if it has no enhanced status code."""
        status = re.search(r"\b([245]\.\d{1,3}\.\d{1,3})\b", diagnostic)
        if status is None:
            raise ValueError("the diagnostic needs an enhanced status code, as in '550 5.2.2 mailbox full'")
        reason = Reason(status[1], diagnostic.replace("{", "{{").replace("}", "}}"))
        self.by_address[address.lower()] = reason
        return reason
