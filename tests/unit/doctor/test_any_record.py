"""Whatever stands in the DNS: a look ends with a report, never with an error."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.doctor.arriving import Unfetched
from mailroom.doctor.domain import Wanted, examine
from mailroom.doctor.services import SERVICES, Way
from mailroom.doctor.shapes import report_body
from tests.unit.doctor.zone import Records, zone

WORDS = [
    "v=spf1",
    "v=DMARC1;",
    "v=STSv1;",
    "v=TLSRPTv1;",
    "v=BIMI1;",
    "include:",
    "include:a.test",
    "redirect=a.test",
    "a",
    "mx",
    "ptr",
    "exists:%{i}.test",
    "ip4:192.0.2.1/99",
    "ip6:::",
    "all",
    "-all",
    "p=reject;",
    "sp=x;",
    "rua=mailto:a@b.test;",
    "psd=y;",
    "t=y;",
    "pct=;",
    "k=rsa;",
    "p=AAAA",
    "l=https://x",
    "a/0//0",
    "=",
    ";",
    ":",
    "%",
    "..",
    "ä",
    "mx:a..b",
    "include:-",
]
TEXT = st.lists(st.sampled_from(WORDS) | st.text(max_size=12), max_size=12).map(" ".join)
MX = ["0 .", "10 mx.example.com.", "10 192.0.2.1.", "10 example.com."]
WAYS = tuple(Way(each.key, each, envelope="example.com" if each.include else "", signing="example.com") for each in SERVICES)
RELAY = Way("relay", None, envelope="example.com", signing="example.com", addresses=("192.0.2.9", "2001:db8::9"))


@settings(max_examples=100)
@given(
    texts=st.lists(TEXT, max_size=3),
    inner=TEXT,
    dmarc=st.lists(TEXT, max_size=2),
    key=TEXT,
    policy=TEXT,
    mx=st.lists(st.sampled_from(MX), max_size=3),
)
def test_any_record_gives_a_report(texts: list[str], inner: str, dmarc: list[str], key: str, policy: str, mx: list[str]) -> None:
    async def fetch(url: str) -> str:
        if not policy:
            raise Unfetched("nothing is there")
        return policy.replace(" ", "\n")

    records: Records = {
        "SOA example.com": "x",
        "TXT example.com": texts,
        "TXT a.test": inner,
        "TXT _dmarc.example.com": dmarc,
        "TXT _dmarc.com": inner,
        "TXT _mta-sts.example.com": inner,
        "TXT _smtp._tls.example.com": inner,
        "TXT default._bimi.example.com": inner,
        "MX example.com": mx,
        "A mx.example.com": "192.0.2.1",
        **{f"TXT {selector}._domainkey.example.com": key for each in SERVICES for selector in each.selectors},
    }
    wanted = Wanted("example.com", ways=(*WAYS, RELAY), ours=True, addresses=RELAY.addresses, blocklists=("bl.test",))
    made = asyncio.run(examine(wanted, zone(records), fetch, now=datetime(2026, 11, 21, tzinfo=UTC)))
    assert all(each.evidence for each in made.findings)
    assert report_body(made)["domain"] == "example.com"
