"""Mail services as the next hop."""

from __future__ import annotations

from datetime import timedelta

from mailroom.transports.smtp_table.row import Row, Verdict

_SES_QUOTA = "https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html"
_OF = "Amazon SES"

SERVICES: tuple[Row, ...] = (
    Row(
        of=_OF,
        code=554,
        text="email address is not verified",
        verdict=Verdict.HOLD,
        means="Amazon SES does not know the sender's address or domain; in its sandbox, nor the recipient's",
        advice="verify the sender's address or domain at Amazon SES, then send it again",
        source="https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html",
    ),
    Row(
        of=_OF,
        code=454,
        text="daily message quota exceeded",
        verdict=Verdict.DEFER_LANE,
        means="The account has sent as many mails as it may in a day",
        advice="this Amazon SES account has had its mails of the day; it goes on by itself",
        source=_SES_QUOTA,
        retry_after=timedelta(hours=1),
    ),
    Row(
        of=_OF,
        code=454,
        text="maximum sending rate exceeded",
        verdict=Verdict.DEFER_LANE,
        means="Mails are handed in faster than the account may send",
        advice="set per_minute of this server to the rate that Amazon SES grants",
        source=_SES_QUOTA,
        retry_after=timedelta(seconds=5),
    ),
)
