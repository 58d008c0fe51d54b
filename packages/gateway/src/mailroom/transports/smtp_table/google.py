"""Gmail and Google Workspace, as the next hop and as the recipient's server."""

from __future__ import annotations

from datetime import timedelta

from mailroom.transports.smtp_table.row import Row, Verdict

_HELP = "https://support.google.com/a/answer/3726730"
_SENDERS = "https://support.google.com/mail/answer/81126"
_OF = "Gmail"
_FOR_PROGRAMS = "make an app password for this Google account and enter that, or give this server an account (OAuth)"
_RECORDS = "mend SPF and DKIM of the sender's domain: mailroom doctor DOMAIN says which records are missing"

GOOGLE: tuple[Row, ...] = (
    Row(
        of=_OF,
        code=534,
        enhanced=r"5\.7\.9",
        verdict=Verdict.HOLD_LANE,
        means="Google does not take the account's ordinary password from programs",
        advice=_FOR_PROGRAMS,
        source=_HELP,
    ),
    Row(
        of=_OF,
        code=534,
        enhanced=r"5\.7\.14",
        means="Google wants the owner of the account to sign in with a browser first",
        advice=f"sign in with a browser and confirm that it was you; then {_FOR_PROGRAMS}",
        source=_HELP,
    ),
    Row(
        of=_OF,
        code=535,
        enhanced=r"5\.7\.8",
        text="username and password not accepted|badcredentials|gsmtp",
        means="Google does not accept user and password",
        advice=_FOR_PROGRAMS,
        source=_HELP,
    ),
    Row(
        of=_OF,
        code=550,
        enhanced=r"5\.4\.5",
        text="sending (quota|limit)",
        verdict=Verdict.DEFER_LANE,
        means="The account has sent as many mails as it may in a day",
        advice="this Google account has had its mails of the day; it goes on by itself",
        source=_HELP,
        retry_after=timedelta(hours=1),
    ),
    Row(
        of=_OF,
        enhanced=r"[45]\.7\.26",
        means="Neither SPF nor DKIM proves the sender to the recipient's server (with DMARC: neither of them the domain in From)",
        advice=_RECORDS,
        source=f"{_SENDERS}; RFC 7372 3.3",
    ),
    Row(
        of=_OF,
        enhanced=r"[45]\.7\.25",
        means="The address that sends has no name in the DNS (PTR), or the name does not lead back to it",
        advice="let whoever gives you the address enter a name for it that leads back to the address; mail through Microsoft or a mail "
        "service has one already",
        source=f"{_SENDERS}; RFC 7372 3.2; for Exchange Online: Email non-delivery reports in Exchange Online, read 2026-11-21",
    ),
    Row(
        of=_OF,
        enhanced=r"[45]\.7\.(24|27)",
        text="spf",
        means="SPF of the sender's domain does not name the server that sends, or can't be evaluated",
        advice=_RECORDS,
        source=_SENDERS,
    ),
    Row(
        of=_OF,
        enhanced=r"[45]\.7\.30",
        text="dkim",
        means="DKIM could not prove the mail",
        advice=_RECORDS,
        source=_SENDERS,
    ),
    Row(
        of=_OF,
        enhanced=r"[45]\.7\.29",
        text="tls",
        means="The mail came without TLS, and Gmail demands it",
        advice="let the server that sends to Gmail use TLS",
        source=_SENDERS,
    ),
    Row(
        of=_OF,
        enhanced=r"[45]\.7\.(0|1|28)",
        text="unusual rate of (unsolicited|spam)|unusual(ly)? (spam )?rate|likely (unsolicited|suspicious)",
        means="Google takes mail from this address or domain for spam",
        advice="send less at once and only to people who want it, keep SPF, DKIM and DMARC in order (mailroom doctor DOMAIN), and look "
        "at Google Postmaster Tools",
        source=_SENDERS,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.1",
        text=r"gcdp|email policy|policy that prohibit",
        means="A rule of the recipient's or the sender's Google Workspace forbids this mail",
        advice="ask the administrator of that Workspace; the answer names the domain",
        source=_HELP,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.0",
        text="security (issue|reasons)|potential security",
        means="The mail has a file or a link that Gmail does not let through",
        advice="send the file as a link, or in another format",
        source="https://support.google.com/mail/answer/6590",
    ),
    Row(
        of=_OF,
        enhanced=r"4\.2\.1",
        text="too quickly|at a rate",
        means="The recipient gets more mail than Gmail takes for one mailbox at once",
        advice="nothing: it is tried again. If you send that much to one mailbox yourself, send less",
        source=_HELP,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.2\.1",
        text="disabled|inactive",
        means="The recipient's account is switched off",
        advice="reach the recipient in another way",
        source=_HELP,
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.1",
        text="relay.{0,20}(denied|not)|not registered.{0,30}relay|invalid credentials for relay",
        means="Google's SMTP relay service does not know who hands the mail in",
        advice="add the address of this gateway, or a user, to the SMTP relay service in Google's Admin console (Apps, Google "
        "Workspace, Gmail, Routing)",
        source=_HELP,
    ),
)
