"""Personal outgoing servers: a user's own mailbox, by their own consent."""

from odoo import _, api, fields, models
from odoo.exceptions import UserError


class ResUsers(models.Model):
    _inherit = "res.users"

    outgoing_mail_server_type = fields.Selection(
        selection_add=[("microsoft_graph", "Microsoft Graph")], ondelete={"microsoft_graph": "set default"}
    )

    @api.model
    def _get_mail_server_values(self, server_type):
        values = super()._get_mail_server_values(server_type)
        if server_type == "microsoft_graph":
            values |= {"smtp_authentication": "microsoft_graph", "smtp_encryption": "none", "smtp_host": False}
        return values

    @api.model
    def _get_mail_server_setup_end_action(self, smtp_server):
        if smtp_server.smtp_authentication != "microsoft_graph":
            return super()._get_mail_server_setup_end_action(smtp_server)
        if not self.env["microsoft.graph.app"].sudo()._setting("client_id"):
            raise UserError(_("Ask your administrator to set up Microsoft Graph first: Settings, General Settings."))
        return smtp_server.sudo().action_microsoft_graph_connect()
