"""By what way an attempt was made. It is noted when the attempt begins, because account and route may be others when it is looked at."""

from __future__ import annotations

from mailroom.ports import Job
from mailroom_core.model import Held, Reply

DRAFT = "draft"
"""Microsoft Graph with Mail.ReadWrite: draft and marker can be looked for."""
ONCE = "once"
"""Microsoft Graph with Mail.Send alone: nobody can look."""
SMARTHOST = "smarthost"
SINK = "sink"
INBOX = "inbox"
ODOO = "odoo"
WEBHOOK = "webhook"
FORWARD = "forward"
RETURN = "return"
"""Bounces of what was forwarded."""
DOCTOR = "doctor"
REPLAY = "replay"
"""Out of quarantine."""


def way_of(job: Job) -> str:
    """Empty for an attempt that noted none."""
    return job.attempt.facts.get("way", "")


def not_ours(job: Job) -> Held:
    """For a look at an attempt that was made by a way that this transport knows nothing of."""
    text = f"No answer came when it was sent by another way ({way_of(job) or 'not noted'}), and this server can't look there"
    return Held(Reply(0, f"{text}. Find out whether it arrived, then retry it or ignore it"))
