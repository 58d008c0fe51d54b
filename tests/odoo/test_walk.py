"""From the button to the chatter: connect, send, see it in Sent Items, and get the answer."""

from __future__ import annotations

import pytest

from demo.processes import Emulator
from tests.odoo.machine import Odoo

MAILBOX = "notifications@contoso.example"


@pytest.fixture(scope="module")
def outgoing(odoo: Odoo) -> int:
    return odoo.outgoing(MAILBOX, MAILBOX)


@pytest.fixture(scope="module")
def incoming(odoo: Odoo) -> int:
    """The alias of the sales team, which is a shared mailbox: Mary has rights to it."""
    return odoo.incoming("info@contoso.example", "mary@contoso.example")


@pytest.fixture(scope="module")
def customers(odoo: Odoo) -> list[int]:
    people = [{"name": name, "email": f"{name.lower()}@customer.example"} for name in ("Kim", "Lee")]
    found: list[int] = odoo.call("res.partner", "create", people)
    return found


def test_a_mail_from_the_chatter_reaches_each_once_and_the_answer_comes_back(
    odoo: Odoo, emulator: Emulator, outgoing: int, incoming: int, customers: list[int]
) -> None:
    lead = odoo.call("crm.lead", "create", {"name": "Ten pieces", "partner_id": customers[0]})
    odoo.call(
        "crm.lead", "message_post", [lead], body="Our offer", subject="Our offer", partner_ids=customers, message_type="comment",
        subtype_xmlid="mail.mt_comment",
    )  # fmt: skip
    odoo.eventually(lambda: len(emulator.outside()) == 2, "both copies have arrived")
    assert sorted(copy["to"] for copy in emulator.outside()) == ["kim@customer.example", "lee@customer.example"]
    assert len([mail for mail in emulator.folder(MAILBOX, "sentitems") if mail["subject"] == "Our offer"]) == 2

    emulator.reply("kim@customer.example", "Our offer", "We take twelve")
    odoo.fetch(incoming)
    answers = odoo.read("mail.message", [["model", "=", "crm.lead"], ["res_id", "=", lead], ["body", "ilike", "twelve"]], "email_from")
    assert ["kim@customer.example" in answer["email_from"] for answer in answers] == [True]
    assert odoo.read("ir.mail_server", [["id", "=", outgoing]], "from_filter")[0]["from_filter"] == MAILBOX
    assert odoo.complaints() == []
    assert not odoo.read("microsoft.graph.incoming", [], "id")
