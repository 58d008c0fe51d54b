"""Which failures say that an address is dead, so that nothing more is sent to it until a person lifts that.

Only what blames the mailbox itself suppresses. Not a full mailbox (it empties), not a policy or a reputation (that is about us),
not an unknown domain (a name server in trouble says so of every domain), not a failure without an enhanced status code.
"""

from __future__ import annotations

from mailroom_core.model import Failed, Outcome

DEAD = {
    "5.1.1": "there is no such mailbox",
    "5.1.3": "the address is not well-formed",
    "5.1.6": "the mailbox has moved and left no new address",
    "5.1.10": "there is no such mailbox, or its domain takes no mail",
    "5.2.1": "the mailbox is disabled",
}
"""Enhanced status code (RFC 3463 3.2 and 3.3; 5.1.10: RFC 7505 4.2, and Exchange for an unknown recipient) -> why."""


def reason(outcome: Outcome) -> str:
    """Why this outcome suppresses its recipient, in plain words; empty if it doesn't."""
    if not isinstance(outcome, Failed):
        return ""
    if known := DEAD.get(outcome.reply.enhanced):
        return f"{known} ({outcome.reply})"
    return f"the address was refused ({outcome.reply})" if outcome.bad_address else ""
