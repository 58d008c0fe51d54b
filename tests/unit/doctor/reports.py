"""DMARC reports and mails that bring them, as receivers write them."""

from __future__ import annotations

import gzip
import zipfile
from email.message import EmailMessage
from email.policy import SMTP
from io import BytesIO

ROW = """<record><row><source_ip>{source}</source_ip><count>{count}</count>
<policy_evaluated><disposition>{disposition}</disposition><dkim>{dkim}</dkim><spf>{spf}</spf></policy_evaluated></row>
<identifiers><envelope_from>bounce.{domain}</envelope_from><header_from>{domain}</header_from></identifiers>
<auth_results><dkim><domain>{domain}</domain><selector>s1</selector><result>{dkim}</result></dkim>
<dkim><domain>esp.test</domain><result>pass</result></dkim><spf><domain>bounce.{domain}</domain><result>{spf}</result></spf></auth_results></record>"""


def row(
    source: str = "192.0.2.1", count: int = 3, *, dkim: str = "pass", spf: str = "pass", disposition: str = "none", domain: str = ""
) -> str:
    return ROW.format(source=source, count=count, dkim=dkim, spf=spf, disposition=disposition, domain=domain or "example.com")


def report(
    *rows: str, domain: str = "example.com", number: str = "r-1", begins: int = 1763596800, policy: str = "none", opened: str = ""
) -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8" ?>{opened or "<feedback>"}
<version>1.0</version><report_metadata><org_name>google.com</org_name><email>noreply@google.com</email><report_id>{number}</report_id>
<date_range><begin>{begins}</begin><end>{begins + 86400}</end></date_range></report_metadata>
<policy_published><domain>{domain}</domain><adkim>r</adkim><p>{policy}</p><sp>none</sp><pct>100</pct></policy_published>
{"".join(rows or (row(domain=domain),))}</feedback>""".encode()


def zipped(raw: bytes, *more: str) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("report.xml", *more):
            archive.writestr(name, raw)
    return made.getvalue()


def brought(packed: bytes, *, name: str = "google.com!example.com!1!2.xml.gz", to: str = "reports@example.com") -> bytes:
    """A mail with this attachment."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = "noreply-dmarc-support@google.com", to, "Report domain: example.com"
    mail["Message-ID"] = f"<{abs(hash(packed))}@google.com>"
    mail["Date"] = "Fri, 21 Nov 2025 00:00:00 +0000"
    mail.set_content("A report.\n")
    mail.add_attachment(packed, maintype="application", subtype="gzip", filename=name)
    return mail.as_bytes()


def packed(raw: bytes) -> bytes:
    return gzip.compress(raw, mtime=0)
