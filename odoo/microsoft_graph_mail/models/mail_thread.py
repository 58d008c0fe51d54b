"""Reports about mail of ours: the envelope turns red on the right message and recipient, with a reason that people understand.

What Odoo does with a mail that it makes no record of is told to `microsoft_graph_told`, a list in the context: `bounced`, `refused`.
Large files of mail that comes in lie in `microsoft_graph_apart` of the context: Odoo's parser need not see them.
"""

from email import message_from_bytes, policy

from odoo import api, models
from odoo.tools import email_normalize, plaintext2html
from odoo.tools.mail import decode_message_header

from mailroom_core.inbound import Report
from mailroom_core.policy.bounces import judge


class MailThread(models.AbstractModel):
    _inherit = "mail.thread"

    @api.model
    def _microsoft_graph_bounced(self, report: Report, raw: bytes):
        """Hand what a report says to Odoo's own hooks. Whether it is about mail of ours; anything else goes Odoo's usual way."""
        tries = self.env["microsoft.graph.try"].sudo()._reported(report.original)
        if not tries:
            return False
        message = self.env["mail.message"].sudo().browse(tries[0].mail_message_id).exists()
        mail = message_from_bytes(raw, policy=policy.SMTP)
        told = {
            **dict.fromkeys(("to", "cc", "recipients", "references", "in_reply_to"), ""),
            "email_from": decode_message_header(mail, "From"),
            "subject": decode_message_header(mail, "Subject"),
            "message_id": mail["Message-Id"] or "",
            "is_bounce": True,
            "bounced_msg_ids": [tries[0].message_id],
            "bounced_message": message,
        }
        for failure in report.failures:
            address = email_normalize(failure.address) or failure.address
            partners = self.env["res.partner"].sudo().search([("email_normalized", "=", address)])
            words = judge(failure).reason.words
            said = f"{words}\n{failure.diagnostic}" if failure.diagnostic else words
            body = plaintext2html(said)
            self._routing_handle_bounce(mail, {**told, "bounced_email": address, "bounced_partner": partners, "body": body})
            message.notification_ids.filtered(
                lambda each, partners=partners, address=address: each.res_partner_id in partners or each.mail_email_address == address
            ).write({"failure_reason": said})
            message._notify_message_notification_update()
        return True

    def _microsoft_graph_tell(self, what):
        told = self.env.context.get("microsoft_graph_told")
        if told is not None:
            told.append(what)

    @api.model
    def _routing_handle_bounce(self, email_message, message_dict):
        self._microsoft_graph_tell("bounced")
        return super()._routing_handle_bounce(email_message, message_dict)

    @api.model
    def _routing_create_bounce_email(self, email_from, body_html, message, **mail_values):
        self._microsoft_graph_tell("refused")
        return super()._routing_create_bounce_email(email_from, body_html, message, **mail_values)

    def _message_parse_extract_payload(self, message, message_dict, save_original=False):
        payload = super()._message_parse_extract_payload(message, message_dict, save_original=save_original)
        if (apart := self.env.context.get("microsoft_graph_apart")) is not None:
            payload["attachments"] = [_with_content(attachment, apart) for attachment in payload["attachments"]]
            apart.check()
        return payload


def _with_content(attachment, apart):
    content = apart.content(attachment.content)
    return attachment if content is None else attachment._replace(content=content)
