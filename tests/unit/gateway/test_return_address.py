"""Which envelope sender a delivery leaves with, and what it says when something comes back to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailroom.objects import Account, AliasDomain, Directory, GraphInbox, ImapInbox, IncomingServer, SmarthostRoute, Verp
from mailroom.return_address import delivery_of, return_address
from mailroom_core.model import DeliveryId, show_id
from mailroom_core.policy import verp
from tests.contract.transports.jobs import job
from tests.unit.policy.test_srs import mac

NUMBER = DeliveryId(4711)
DOMAIN = AliasDomain(name="example.com")
READ = IncomingServer(name="bounces", source=GraphInbox(account="office", mailbox="Bounce@example.com"))


def made(
    way: Verp = Verp.ALWAYS, *, sender: str | None = "mary@example.com", domain: AliasDomain = DOMAIN, server: IncomingServer = READ
) -> str:
    """Empty: it stays what it is."""
    accounts = {"office": Account(name="office", mailbox="office@example.com")}
    directory = Directory(1, accounts, alias_domains={domain.name: domain}, incoming={server.name: server})
    found = return_address(lambda: directory, SmarthostRoute(host="h", verp=way), mac)
    return (found(job(sender=sender).message, NUMBER) or "") if found else ""


def test_it_names_the_delivery_and_only_we_can_make_it() -> None:
    address = made()
    assert address == verp.make("bounce@example.com", show_id(NUMBER), mac)
    directory = Directory(1, alias_domains={"example.com": DOMAIN, "none.example": AliasDomain(name="none.example", bounce="")})
    assert delivery_of(directory, address.upper(), mac) == NUMBER
    for foreign in ("bounce@example.com", address.replace("example.com", "other.example"), address.replace("-", "-0"), ""):
        assert delivery_of(directory, foreign, mac) is None
    assert delivery_of(directory, verp.make("bounce@example.com", "short", mac), mac) is None


@pytest.mark.parametrize(
    ("server", "used"),
    [
        (READ, True),
        (replace(READ, active=False), False),
        (replace(READ, source=GraphInbox(account="office")), False),
        (replace(READ, source=GraphInbox(account="gone")), False),
        (replace(READ, source=ImapInbox(host="mail.example.com", user="bounce@example.com")), False),
    ],
)
def test_by_itself_it_is_used_where_the_bounce_address_is_read(server: IncomingServer, used: bool) -> None:
    assert bool(made(Verp.AUTO, server=server)) is used


def test_it_is_never_used_for_strangers_for_nobody_and_where_it_is_not_wanted() -> None:
    assert made(Verp.NEVER) == ""
    assert made(sender=None) == ""
    assert made(sender="SRS0=abcd=5d=shop.example=anna@example.com") == "", "a forwarded mail has its own way back"
    assert made(sender="anna@partner.example") == ""
    assert made(domain=replace(DOMAIN, bounce="")) == ""
    assert made(domain=replace(DOMAIN, bounce="back@bounces.example")).endswith("@bounces.example")
