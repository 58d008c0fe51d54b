"""Mail services as data: where their SMTP servers are, what to enter as user and password, and what they demand of senders.

Only SMTP: it keeps a mail as it is, which most of their HTTP APIs don't.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Preset:
    """One service. `{region}` in `host` is one of `regions`, the first by default."""

    key: str
    name: str
    host: str
    port: int
    security: str
    """`tls` from the first byte, or `starttls`."""
    user: str
    """What to enter as user, in words; empty: nobody signs in."""
    password: str
    """What to enter as password, in words."""
    source: str
    """Where this is known from."""
    regions: tuple[str, ...] = ()
    fixed_user: str = ""
    """The user that everybody has."""
    password_is_user: bool = False
    """One token is both."""
    connections: int = 8
    max_size: int = 0
    """Bytes of the encoded message; 0: what the server says."""
    limits: str = ""
    verified_senders: str = ""
    """What the service demands of senders; empty: nothing that we know."""
    hint: str = ""
    """Whether there is a better way."""

    def host_in(self, region: str = "") -> str:
        """Raises ValueError for a region that the service does not have."""
        if not self.regions:
            return self.host
        region = region or self.regions[0]
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)*-?\d*", region) or (len(self.regions[0]) <= 2 and region not in self.regions):
            raise ValueError(f"{self.name} has no region {region!r}; there are {', '.join(self.regions)}")
        return self.host.format(region="" if region == "us" else f"{region}." if len(self.regions[0]) <= 2 else region)


_VERIFY = "Every sender must belong to a domain, or be an address, that you have verified at {}"

PRESETS: tuple[Preset, ...] = (
    Preset(
        key="ses",
        name="Amazon SES",
        host="email-smtp.{region}.amazonaws.com",
        regions=("us-east-1", "us-east-2", "us-west-2", "ca-central-1", "eu-west-1", "eu-central-1", "eu-north-1", "ap-southeast-1"),
        port=587,
        security="starttls",
        user="SMTP user name: SES console, SMTP settings, Create SMTP credentials (no AWS access key)",
        password="SMTP password, shown once beside it",
        max_size=40 * MB,
        limits="40 MB a message, 50 recipients each; a new account is in the sandbox: 200 mails a day, to verified addresses only",
        verified_senders=_VERIFY.format("Amazon SES (Identities), in the same region; in the sandbox recipients as well"),
        source="docs.aws.amazon.com/ses, smtp-connect, smtp-credentials and quotas; read 2026-11-21",
    ),
    Preset(
        key="mailjet",
        name="Mailjet",
        host="in-v3.mailjet.com",
        port=587,
        security="starttls",
        user="API key: Account settings, API key management",
        password="Secret key, beside it",
        limits="The free plan ends at 200 mails a day",
        verified_senders=_VERIFY.format("Mailjet (Sender domains & addresses)"),
        source="www.mailjet.com/support, what-are-the-api-key-and-secret-keys; smtptester.org/guides/mailjet-smtp-test; read 2026-11-21",
    ),
    Preset(
        key="brevo",
        name="Brevo",
        host="smtp-relay.brevo.com",
        port=587,
        security="starttls",
        user="Login: Settings, SMTP & API, SMTP",
        password="SMTP key, on the same page (no API key, no account password)",
        limits="The free plan has a daily limit",
        verified_senders=_VERIFY.format("Brevo (Senders, domains)"),
        source="developers.brevo.com/docs/smtp-integration; smtptester.org/guides/brevo-smtp-test; read 2026-11-21",
    ),
    Preset(
        key="mailgun",
        name="Mailgun",
        host="smtp.{region}mailgun.org",
        regions=("us", "eu"),
        port=587,
        security="starttls",
        user="SMTP user of the sending domain, a whole address: Sending, Domain settings, SMTP credentials",
        password="Its SMTP password, shown once (no API key)",
        limits="A sandbox domain sends to authorised recipients only",
        verified_senders=_VERIFY.format("Mailgun (Sending, Domains), in the same region"),
        source="help.mailgun.com, 203380100; smtptester.org/guides/mailgun-smtp-test; read 2026-11-21",
    ),
    Preset(
        key="sendgrid",
        name="SendGrid",
        host="smtp.sendgrid.net",
        port=587,
        security="starttls",
        user="The word apikey",
        fixed_user="apikey",
        password="API key with the right Mail Send: Settings, API keys",
        verified_senders=_VERIFY.format("SendGrid (Settings, Sender authentication)"),
        source="anymail/django-anymail, docs/esps/sendgrid; docs.sendgrid.com, integrating-with-the-smtp-api; read 2026-11-20",
    ),
    Preset(
        key="postmark",
        name="Postmark",
        host="smtp.postmarkapp.com",
        port=587,
        security="starttls",
        user="Server API token: Servers, API tokens",
        password="The same token",
        password_is_user=True,
        max_size=10 * MB,
        limits="10 MB a message; transactional mail only, bulk mail goes through smtp-broadcasts.postmarkapp.com",
        verified_senders=_VERIFY.format("Postmark (Sender signatures)"),
        source="postmarkapp.com/developer/user-guide/send-email-with-smtp; read 2026-11-21",
    ),
    Preset(
        key="gmail",
        name="Gmail with app password",
        host="smtp.gmail.com",
        port=465,
        security="tls",
        user="Whole address of the mailbox",
        password="App password, 16 letters: myaccount.google.com/apppasswords (needs 2-step verification)",
        connections=4,
        limits="About 500 recipients a day, 2,000 messages with Workspace",
        verified_senders="Gmail replaces every sender by the mailbox's own address, except those under Settings, Accounts, Send mail as",
        hint="Better: mailroom connect NAME --google, which needs no password",
        source="support.google.com/mail/answer/185833 and 22370; support.google.com/a/answer/166852; read 2026-11-20",
    ),
    Preset(
        key="office365",
        name="Office 365",
        host="smtp.office365.com",
        port=587,
        security="starttls",
        user="Whole address of the mailbox",
        password="Its password; Microsoft ends this: off by default from the end of December 2026",
        connections=3,
        limits="3 connections, 30 messages a minute and 10,000 recipients a day for a mailbox",
        verified_senders="The mailbox needs Send As for every other sender",
        hint="Better: mailroom connect NAME, which needs no password and sends by Microsoft Graph",
        source="learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements; MC786329; read 2026-11-20",
    ),
    Preset(
        key="smtp",
        name="Any SMTP server",
        host="",
        port=587,
        security="starttls",
        user="What its operator gave you; nothing if it knows you by your address",
        password="The same",
        source="RFC 6409, RFC 8314",
    ),
)
BY_KEY = {preset.key: preset for preset in PRESETS}


def to_verify(preset: Preset, own: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """What to tell who adds it: the demand, and the addresses that Mailroom itself sends as. `own` are (local part, domain)."""
    if not preset.verified_senders:
        return ()
    addresses = dict.fromkeys(local if "@" in local else f"{local}@{domain}" for local, domain in own if local)
    if not addresses:
        return (preset.verified_senders,)
    return preset.verified_senders, f"Think of the addresses that Mailroom itself sends as: {', '.join(addresses)}"
