"""The domains that the doctor's tests look at."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.dns_server import text


def dkim_key(bits: int = 2048) -> str:
    """The record of a fresh key."""
    public = rsa.generate_private_key(65537, bits).public_key()
    return "v=DKIM1; k=rsa; p=" + base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def ed25519_key() -> str:
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return "v=DKIM1; k=ed25519; p=" + base64.b64encode(raw).decode()


def txt(name: str, value: str) -> str:
    return f"{name}. TXT {text(value)}"


def microsoft() -> list[str]:
    """What Microsoft has in its own zones, for all domains of the tenant `contoso`."""
    key = dkim_key()
    return [
        txt("spf.protection.outlook.com", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8:1::/48 -all"),
        *(txt(f"{each}._domainkey.contoso.onmicrosoft.com", key) for each in ("selector1-key", "selector2-key")),
    ]


def others() -> list[str]:
    return [
        txt("_spf.google.com", "v=spf1 include:_netblocks.google.com ~all"),
        txt("_netblocks.google.com", "v=spf1 ip4:198.51.100.0/24 ~all"),
        txt("mailgun.org", "v=spf1 ip4:203.0.113.0/25 ~all"),
    ]


def signed_by_microsoft(domain: str) -> list[str]:
    return [f"{each}._domainkey.{domain}. CNAME {each}-key._domainkey.contoso.onmicrosoft.com." for each in ("selector1", "selector2")]


def healthy(domain: str = "healthy.test", *, spf: str = "v=spf1 include:spf.protection.outlook.com -all") -> list[str]:
    """A domain of Microsoft 365 where nothing is to be found."""
    return [
        f"{domain}. SOA ns.{domain}. hostmaster.{domain}. 1 3600 600 86400 60",
        f"{domain}. MX 10 mx.{domain}.",
        f"mx.{domain}. A 192.0.2.25",
        txt(domain, spf),
        txt(domain, "some-verification=1234"),
        txt(f"_dmarc.{domain}", f"v=DMARC1; p=reject; rua=mailto:dmarc@{domain}"),
        *signed_by_microsoft(domain),
    ]
