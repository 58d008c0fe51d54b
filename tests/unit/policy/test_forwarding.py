"""policy.forwarding: From stays only where receivers will still believe it."""

from __future__ import annotations

import pytest

from mailroom_core.mime.headers import Fields
from mailroom_core.mime.incoming import head, signing_domains
from mailroom_core.policy.forwarding import why_rewritten

OURS = ("contoso.example",)
SIGNED = "DKIM-Signature: v=1; a=rsa-sha256;\r\n d=mail.shop.example;\r\n s=x; b=abc=="


def asked(*fields: str, untouched: bool = True) -> str:
    raw = "\r\n".join([*fields, "", ""]).encode()
    mail = head(Fields(raw), authserv_id="mx.contoso.example")
    return why_rewritten(mail, signing_domains(Fields(raw)), untouched=untouched, ours=OURS)


def test_an_author_whose_domain_has_signed_stays() -> None:
    assert asked("From: Anna <anna@shop.example>", SIGNED) == ""


def test_without_a_signature_of_the_authors_domain_dmarc_would_fail() -> None:
    assert "has not signed" in asked("From: anna@shop.example")
    assert "has not signed" in asked("From: anna@shop.example", "DKIM-Signature: v=1; d=other.example; b=x")
    assert "has not signed" in asked("From: anna@shop.example", "DKIM-Signature: nonsense")


def test_a_mailbox_that_makes_the_bytes_anew_breaks_every_signature() -> None:
    assert "anew" in asked("From: anna@shop.example", SIGNED, untouched=False)


@pytest.mark.parametrize(("result", "kept"), [("dkim=pass header.d=shop.example", True), ("dkim=fail header.d=shop.example", False)])
def test_who_has_looked_at_the_signature_knows_better(result: str, kept: bool) -> None:
    why = asked("From: anna@shop.example", SIGNED, f"Authentication-Results: mx.contoso.example; {result}")
    assert (why == "") is kept
    assert kept or "mx.contoso.example did not believe" in why


def test_our_own_name_is_lent_to_nobody() -> None:
    forged = ("From: boss@contoso.example", "DKIM-Signature: v=1; d=contoso.example; b=forged")
    assert "nobody has proven" in asked(*forged)
    assert "nobody has proven" in asked(*forged, "Authentication-Results: mx.contoso.example; dmarc=fail")
    assert asked(*forged, "Authentication-Results: mx.contoso.example; dmarc=pass header.from=contoso.example") == ""


@pytest.mark.parametrize(
    "fields", [("From: a@shop.example, b@shop.example",), ("Subject: no author",), ("From: a@shop.example", "broken line")]
)
def test_what_has_no_single_author_is_not_forwarded_as_one(fields: tuple[str, ...]) -> None:
    assert "no single author" in asked(*fields, SIGNED)
