"""What mail services need in the DNS of the domains that they send for."""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.doctor.answers import within


@dataclass(frozen=True, slots=True)
class Service:
    """One mail service. `{domain}` and `{dashed}` in `points_to` are the domain, the latter with dashes for its dots."""

    key: str
    name: str
    hosts: tuple[str, ...]
    """Its SMTP servers are at or below these names."""
    include: str = ""
    """What the SPF record of the envelope sender's domain must include; empty: the service has an envelope sender of its own."""
    selectors: tuple[str, ...] = ()
    """Of its DKIM keys; empty: they are different for everybody, so that they can't be looked up."""
    all_selectors: bool = False
    """Each of them must be there, because the service changes between them."""
    alias: str = ""
    """Its selectors are CNAMEs to names that end so; empty: TXT records of one's own."""
    where: str = ""
    """Where its DKIM records are shown."""
    source: str = ""


SERVICES: tuple[Service, ...] = (
    Service(
        key="microsoft",
        name="Microsoft 365",
        hosts=("office365.com", "outlook.com"),
        include="spf.protection.outlook.com",
        selectors=("selector1", "selector2"),
        all_selectors=True,
        alias=".onmicrosoft.com or .dkim.mail.microsoft",
        where="security.microsoft.com, Email authentication settings, DKIM: choose the domain, switch signing on; it shows both CNAMEs",
        source="learn.microsoft.com/defender-office-365, email-authentication-spf-configure and -dkim-configure (19 June 2025)",
    ),
    Service(
        key="google",
        name="Google",
        hosts=("gmail.com", "google.com"),
        include="_spf.google.com",
        selectors=("google",),
        where="admin.google.com, Apps, Google Workspace, Gmail, Authenticate email: generate a 2048-bit key, then Start authentication",
        source="support.google.com/a/answer/33786 and 174124",
    ),
    Service(
        key="ses",
        name="Amazon SES",
        hosts=("amazonaws.com",),
        where="SES console, Identities, the domain, Authentication: three CNAME records of Easy DKIM",
        source="docs.aws.amazon.com/ses, send-email-authentication-dkim-easy and mail-from",
    ),
    Service(
        key="mailjet",
        name="Mailjet",
        hosts=("mailjet.com",),
        include="spf.mailjet.com",
        selectors=("mailjet",),
        where="Mailjet, Account settings, Sender domains & addresses, the domain, Authenticate",
        source="documentation.mailjet.com, 360042412734 and 360049641733",
    ),
    Service(
        key="brevo",
        name="Brevo",
        hosts=("brevo.com", "sendinblue.com"),
        selectors=("brevo1", "brevo2", "mail"),
        where="Brevo, Senders, domains & dedicated IPs, Domains, the domain, Authenticate",
        source="help.brevo.com, 12163873383186",
    ),
    Service(
        key="mailgun",
        name="Mailgun",
        hosts=("mailgun.org",),
        include="mailgun.org",
        selectors=("pdk1", "pdk2", "smtp", "mx", "pic", "k1", "mta", "krs", "mailo", "email"),
        where="Mailgun, Sending, Domain settings, DNS records",
        source="documentation.mailgun.com, domains-verify",
    ),
    Service(
        key="sendgrid",
        name="SendGrid",
        hosts=("sendgrid.net",),
        selectors=("s1", "s2"),
        alias=".sendgrid.net",
        where="SendGrid, Settings, Sender authentication, the domain: CNAME records",
        source="docs.sendgrid.com, how-to-set-up-domain-authentication",
    ),
    Service(
        key="postmark",
        name="Postmark",
        hosts=("postmarkapp.com",),
        where="Postmark, Sender signatures, the domain, DNS settings",
        source="postmarkapp.com/support/article/1046",
    ),
    Service(
        key="odoo",
        name="Odoo Online and Odoo.sh",
        hosts=("odoo.com",),
        include="_spf.odoo.com",
        selectors=("odoo",),
        alias="odoo._domainkey.odoo.com",
        where="a CNAME record odoo._domainkey that leads to odoo._domainkey.odoo.com",
        source="www.odoo.com/documentation, email_domain",
    ),
)
BY_KEY = {each.key: each for each in SERVICES}


def service_at(host: str) -> Service | None:
    """Whose SMTP server that is; None for nobody's that we know."""
    return next((each for each in SERVICES if any(within(host.lower(), known) for known in each.hosts)), None)


@dataclass(frozen=True, slots=True)
class Way:
    """An outgoing server of ours that mail of a domain leaves by."""

    server: str
    """Its name."""
    service: Service | None
    """None: some server that somebody runs."""
    host: str = ""
    envelope: str = ""
    """The domain of the envelope sender, which SPF looks at; empty: the service's own."""
    signing: str = ""
    """The domain that it would sign as."""
    addresses: tuple[str, ...] = ()
    """Public addresses that it sends from, where they are known."""
    named: tuple[str, ...] = ()
    """Selectors that the settings name, of a service that has others for everybody."""

    @property
    def selectors(self) -> tuple[str, ...]:
        """Of its DKIM keys; empty: nobody knows them."""
        return self.service.selectors if self.service is not None and self.service.selectors else self.named
