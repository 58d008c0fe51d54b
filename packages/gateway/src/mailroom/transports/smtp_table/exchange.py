"""Exchange Online as the next hop: signing in, rights, limits."""

from __future__ import annotations

from datetime import timedelta

from mailroom.transports.smtp_table.row import Row, Stage, Verdict

_HOUR = timedelta(hours=1)
_LIMITS = "https://learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements"
_THROTTLED = "https://learn.microsoft.com/exchange/mail-flow-best-practices/continuous-error-throttling-smtp-auth-submissions"
_NDR = (
    "Microsoft, Email non-delivery reports and SMTP errors in Exchange Online (learn.microsoft.com/exchange/troubleshoot/"
    "email-delivery/ndr/non-delivery-reports-in-exchange-online), read 2026-11-21"
)
_BANNED = (
    "Microsoft, Fix email delivery issues for error codes 5.7.700 through 5.7.750 in Exchange Online (learn.microsoft.com), read 2026-11-21"
)
_OF = "Exchange Online"
_NO_PASSWORDS = "Microsoft takes no password here any more: give this server an account (OAuth), or use a Graph server instead"
_SEND_AS = "the user who signs in may not send as this sender: grant Send As on the sender's mailbox, then send it again"
_DAY = "this mailbox has had its 10,000 recipients of the day; it goes on by itself"
_BLOCKED = "The mailbox is blocked from sending because spam left it; mostly somebody else knows its password"
_UNBLOCK = (
    "change its password and revoke its sign-ins, then take it off the Restricted entities in the Microsoft Defender portal "
    "(security.microsoft.com/restrictedentities); if it is not there, ask Microsoft's support"
)

EXCHANGE: tuple[Row, ...] = (
    # -- signing in
    Row(
        of=_OF,
        code=535,
        enhanced=r"5\.7\.139",
        text="basic authentication is disabled",
        verdict=Verdict.HOLD_LANE,
        means="Signing in with a password (basic authentication) is switched off for this mailbox or its organisation",
        advice=_NO_PASSWORDS,
        source="https://github.com/lukevella/rallly/issues/3154",
    ),
    Row(
        of=_OF,
        code=535,
        enhanced=r"5\.7\.139",
        text="SmtpClientAuthentication is disabled",
        verdict=Verdict.HOLD_LANE,
        means="SMTP sign-in (SMTP AUTH) is switched off for this mailbox or its organisation",
        advice="SMTP sign-in is switched off, for OAuth as well: an administrator runs Set-CASMailbox with "
        "-SmtpClientAuthenticationDisabled $false for this mailbox, or use a Graph server instead",
        source="https://github.com/simonrob/email-oauth2-proxy/issues/193",
    ),
    Row(
        of=_OF,
        code=535,
        enhanced=r"5\.7\.139",
        verdict=Verdict.HOLD_LANE,
        means="Microsoft refuses the sign-in: user or password is wrong, or a policy forbids it (security defaults, Conditional Access)",
        advice="check user and password; if they are right, Entra's sign-in log names the policy. An account (OAuth) or a Graph "
        "server needs no password",
        source="Microsoft Entra security defaults block legacy authentication (learn.microsoft.com/entra/fundamentals/security-defaults)",
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.30",
        text="basic authentication",
        verdict=Verdict.HOLD_LANE,
        means="Exchange Online does not take passwords for SMTP any more",
        advice=_NO_PASSWORDS,
        source="Exchange Team blog, 2026-01-27; text announced at https://easi.its.utoronto.ca",
    ),
    Row(
        of=_OF,
        code=535,
        enhanced=r"5\.7\.3",
        verdict=Verdict.HOLD_LANE,
        means="Microsoft does not accept this sign-in: wrong user, wrong password, or a token without the permission SMTP.Send",
        advice="check the user and the password; with OAuth the user is the one who connected the account, also for a shared mailbox, "
        "and needs SMTP.Send",
        source="https://github.com/nextcloud/mail/issues/13668",
    ),
    Row(
        of=_OF,
        code=530,
        enhanced=r"5\.7\.57",
        verdict=Verdict.HOLD_LANE,
        means="A mail was handed to smtp.office365.com without signing in first",
        advice="Microsoft wants a sign-in here: give this server a user or an account",
        source="https://github.com/MicrosoftDocs/OfficeDocs-Exchange/issues/3124",
    ),
    # -- rights
    Row(
        of=_OF,
        enhanced=r"5\.7\.60",
        verdict=Verdict.HOLD,
        means="Who has signed in may not send as the sender of this mail",
        advice=_SEND_AS,
        source="Exchange: 5.7.60 SMTP; Client does not have permissions to send as this sender",
    ),
    Row(
        of=_OF,
        text="SendAsDenied",
        verdict=Verdict.HOLD,
        means="Who has signed in may not send as the sender of this mail",
        advice=_SEND_AS,
        source=_THROTTLED,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.68",
        verdict=Verdict.HOLD_LANE,
        means="Mail was handed in without a sign-in (Direct Send), and the organisation has forbidden that",
        advice="this tenant takes no Direct Send: set up a connector for this gateway, or use a Graph server instead",
        source="https://techcommunity.microsoft.com: Direct Send, 4408790",
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.64",
        verdict=Verdict.HOLD,
        means="No inbound connector of the organisation recognises who hands the mail in, by its address or its certificate, or the "
        "sender's domain is none of the organisation's",
        advice="correct the address or certificate of the inbound connector in the Exchange admin center, and add the sender's domain "
        "to the accepted domains; then send it again",
        source=f"{_NDR}; 550 5.7.64 Relay Access Denied ATTR36, MicrosoftDocs/OfficeDocs-Support",
    ),
    # -- limits
    Row(
        of=_OF,
        text="concurrent connection|sender thread limit",
        verdict=Verdict.DEFER,
        means="More connections are open at once than the mailbox may have",
        advice="this server takes fewer connections at once; set connections lower (Microsoft allows 3 per mailbox)",
        source=_LIMITS,
        retry_after=timedelta(seconds=5),
    ),
    Row(
        of=_OF,
        enhanced=r"5\.2\.2",
        text=r"submission ?quota",
        verdict=Verdict.DEFER_LANE,
        means="The mailbox has sent to as many recipients, or as many mails, as it may in a day",
        advice=f"{_DAY}. If it was not you, somebody else knows its password",
        source=_NDR,
        retry_after=_HOUR,
    ),
    Row(
        of=_OF,
        code=554,
        enhanced=r"5\.2\.2",
        text=r"mailbox full|storedrv\.submission",
        stages=frozenset({Stage.MAIL, Stage.CONTENT}),
        verdict=Verdict.HOLD_LANE,
        means="The mailbox that sends is full, so its copy in Sent Items has no room",
        advice="the mailbox that sends is full: empty its Sent Items, and set a retention policy for them",
        source=_LIMITS,
    ),
    Row(
        of=_OF,
        code=554,
        enhanced=r"5\.2\.0",
        text=r"storedrv.*quota",
        verdict=Verdict.DEFER_LANE,
        means="The mailbox has sent to as many recipients as it may in a day",
        advice=_DAY,
        source=_LIMITS,
        retry_after=_HOUR,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.1\.90",
        verdict=Verdict.DEFER_LANE,
        means="The mailbox has sent to as many recipients as it may in a day",
        advice=f"{_DAY}. If it was not you, somebody else knows its password",
        source=_NDR,
        retry_after=_HOUR,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.2\.25[1-5]",
        verdict=Verdict.DEFER_LANE,
        means="Microsoft pauses this mailbox because the same error came again and again",
        advice="Microsoft pauses this mailbox because the same error came again and again; remove its cause",
        source=_THROTTLED,
        retry_after=timedelta(minutes=10),
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.23[23]",
        verdict=Verdict.DEFER_LANE,
        means="The whole organisation has sent to as many external recipients as its licences allow in a day",
        advice="the tenant has had its external recipients of the day; it goes on by itself",
        source="Exchange Online tenant external recipient limit, since 2025-04",
        retry_after=_HOUR,
    ),
    # -- blocked
    Row(
        of=_OF,
        enhanced=r"5\.1\.8",
        text="outbound sender",
        verdict=Verdict.HOLD_LANE,
        means=_BLOCKED,
        advice=_UNBLOCK,
        source=_NDR,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.50[123]",
        text="spam abuse|banned sender",
        verdict=Verdict.HOLD_LANE,
        means=_BLOCKED,
        advice=_UNBLOCK,
        source=_NDR,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.705",
        verdict=Verdict.HOLD_LANE,
        means="The whole organisation is blocked from sending: much spam or bulk mail came from it, or its subscription was renewed late",
        advice="look for stolen accounts, open relays and connectors that nobody knows, then ask Microsoft's support to lift the block",
        source=_BANNED,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.708",
        verdict=Verdict.HOLD_LANE,
        means="Microsoft does not take the organisation's mail to the outside: it is new or on trial, or its traffic looked suspicious",
        advice="ask Microsoft's support for an exception, or wait until the organisation has licences and some days of good traffic; "
        "mail within the organisation still works",
        source=_BANNED,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.750",
        verdict=Verdict.HOLD_LANE,
        means="Too much mail left with senders whose domains are none of the organisation's",
        advice="add and verify every domain that you send from in the Microsoft 365 admin center; look for connectors that nobody knows",
        source=_BANNED,
    ),
)
