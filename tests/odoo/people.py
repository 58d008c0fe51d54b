"""What the tests have in common: a customer, a record, a mail from its chatter."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from tests.odoo.machine import Odoo

MAILBOX = "notifications@contoso.example"
"""The alias domain's notification address: all mail leaves as it."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Lead:
    """A record with customers."""

    odoo: Odoo
    id: int
    customers: list[int]

    @classmethod
    def new(cls, odoo: Odoo, *addresses: str) -> Lead:
        people = [{"name": address.partition("@")[0], "email": address} for address in addresses]
        customers = odoo.call("res.partner", "create", people)
        return cls(odoo, odoo.call("crm.lead", "create", {"name": f"Ten pieces {next(_numbers)}", "partner_id": customers[0]}), customers)

    def post(self, subject: str, body: str = "Our offer", **more: object) -> int:
        """A mail from the chatter to all customers; the number of its message."""
        found: list[int] | int = self.odoo.call(
            "crm.lead", "message_post", [self.id], body=body, subject=subject, partner_ids=self.customers, message_type="comment",
            subtype_xmlid="mail.mt_comment", **more,
        )  # fmt: skip
        return found[0] if isinstance(found, list) else found

    def followed_by(self, partner: int) -> None:
        self.odoo.call("crm.lead", "message_subscribe", [self.id], [partner])

    def envelopes(self, message: int) -> dict[str, tuple[str, str]]:
        """What the chatter shows of each recipient: status, and kind of failure."""
        rows = self.odoo.sql(
            "SELECT p.email, n.notification_status, coalesce(n.failure_type, '') FROM mail_notification n"
            " JOIN res_partner p ON p.id = n.res_partner_id WHERE n.mail_message_id = %s AND n.notification_type = 'email'",
            message,
        )
        return {email: (status, failure) for email, status, failure in rows}

    def reasons(self, message: int) -> list[str]:
        return [row[0] or "" for row in self.odoo.sql("SELECT failure_reason FROM mail_notification WHERE mail_message_id = %s", message)]

    def said(self) -> str:
        """Everything in its chatter."""
        rows = self.odoo.sql("SELECT body FROM mail_message WHERE model = 'crm.lead' AND res_id = %s", self.id)
        return "\n".join(row[0] or "" for row in rows)
