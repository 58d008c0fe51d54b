"""The outgoing server "Microsoft Graph"."""

from odoo import _, api, fields, models
from odoo.exceptions import UserError

from .session import GraphSession

EXCHANGE_LIMIT = 35.0
"""MB; what Exchange Online lets a mailbox send unless its administrator says otherwise."""


class IrMailServer(models.Model):
    _name = "ir.mail_server"
    _inherit = ["ir.mail_server", "microsoft.graph.server"]

    smtp_authentication = fields.Selection(
        selection_add=[("microsoft_graph", "Microsoft Graph")],
        ondelete={"microsoft_graph": lambda servers: servers._microsoft_graph_retire()},
    )

    def _microsoft_graph_is_ours(self):
        return self.smtp_authentication == "microsoft_graph"

    def _microsoft_graph_retire(self):
        """Without the add-on: archived, so that it sends nothing, and of a type that Odoo knows."""
        self.with_context(active_test=False).write({"active": False, "smtp_authentication": "login"})

    def _microsoft_graph_own_only(self):
        return bool(self.owner_user_id) or super()._microsoft_graph_own_only()

    def _microsoft_graph_connected(self, account, rights):
        super()._microsoft_graph_connected(account, rights)
        if not self.from_filter:
            self.from_filter = self._microsoft_graph_address()

    @api.depends("smtp_authentication")
    def _compute_smtp_authentication_info(self):
        ours = self.filtered(lambda server: server._microsoft_graph_is_ours())
        ours.smtp_authentication_info = _(
            "Mail leaves through Microsoft 365 or Outlook.com by Microsoft Graph, without SMTP.\n"
            "Enter the address of the mailbox, then connect: its owner signs in once, or somebody with rights to it."
        )
        super(IrMailServer, self - ours)._compute_smtp_authentication_info()

    @api.onchange("smtp_authentication", "smtp_user")
    def _onchange_microsoft_graph(self):
        if self._microsoft_graph_is_ours():
            self.smtp_pass = False
            self.smtp_encryption = "none"
            self.smtp_host = False
            if not self.from_filter:
                self.from_filter = self._microsoft_graph_address()

    @api.constrains("smtp_authentication", "smtp_user", "smtp_pass")
    def _check_microsoft_graph(self):
        for server in self.filtered(lambda server: server._microsoft_graph_is_ours()):
            if not server._microsoft_graph_address():
                raise UserError(_("Enter the address of the mailbox that the server “%s” sends from.", server.name))
            if server.smtp_pass:
                raise UserError(_("The server “%s” needs no password: leave it empty.", server.name))

    def _microsoft_graph_form_url(self, user):
        """Who has connected a personal server is sent back to their preferences."""
        if self.owner_user_id == user and not user.has_group("base.group_system"):
            return f"/odoo/my-preferences/{user.id}"
        return super()._microsoft_graph_form_url(user)

    def _get_personal_mail_servers_limit(self):
        """Mails per minute and user; Microsoft takes 30 by SMTP, and by Graph no fewer."""
        if self._microsoft_graph_is_ours():
            limit = self.env["ir.config_parameter"].sudo().get_param("mail.server.personal.limit.minutes_microsoft_graph")
            return int(limit or 0) or 30
        return super()._get_personal_mail_servers_limit()

    def _get_max_email_size(self):
        if len(self) == 1 and self._microsoft_graph_is_ours():
            return self.max_email_size or EXCHANGE_LIMIT
        return super()._get_max_email_size()

    def _connect__(self, host=None, *args, smtp_from=None, mail_server_id=None, allow_archived=False, **kwargs):
        server = self.env["ir.mail_server"]
        forwarded = {"smtp_from": smtp_from, "mail_server_id": mail_server_id, "allow_archived": allow_archived}
        if self._disable_send():
            return super()._connect__(host, *args, **forwarded, **kwargs)  # where nothing is sent, whoever else has a word has it
        if mail_server_id:
            server = self.sudo().browse(mail_server_id)
        elif not host:
            server, smtp_from = self.sudo()._find_mail_server(smtp_from)
        if not server or not server._microsoft_graph_is_ours():
            return super()._connect__(host, *args, **forwarded, **kwargs)
        self._check_forced_mail_server(server, allow_archived, smtp_from)
        return GraphSession(server, smtp_from)

    def test_smtp_connection(self, autodetect_max_email_size=False):
        ours = self.filtered(lambda server: server._microsoft_graph_is_ours())
        if not ours:
            return super().test_smtp_connection(autodetect_max_email_size)
        if autodetect_max_email_size:
            raise UserError(_("Microsoft does not tell the limit of a mailbox. It is 35 MB unless your administrator has changed it."))
        told = [server._microsoft_graph_told() for server in ours]
        if others := self - ours:
            others.test_smtp_connection()
        return self._microsoft_graph_notification("\n".join(told))
