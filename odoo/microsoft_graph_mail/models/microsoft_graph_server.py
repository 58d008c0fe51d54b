"""What our outgoing and incoming servers have in common: an account, and how to connect it."""

from odoo import _, fields, models
from odoo.exceptions import UserError
from odoo.tools import email_normalize

from mailroom_core.errors import VaultError
from mailroom_core.oauth.scopes import Tier


class MicrosoftGraphServer(models.AbstractModel):
    _name = "microsoft.graph.server"
    _description = "Mail Server at Microsoft"

    microsoft_graph_account_id = fields.Many2one(
        "microsoft.graph.account", "Microsoft account", ondelete="restrict", copy=False, groups="base.group_system"
    )
    microsoft_graph_app_only = fields.Boolean(
        "The app itself signs in", groups="base.group_system", help="With permissions that an administrator has given the application."
    )
    microsoft_graph_state = fields.Selection(related="microsoft_graph_account_id.state", string="Connection", groups="base.group_system")
    microsoft_graph_problem = fields.Text(related="microsoft_graph_account_id.problem", groups="base.group_system")
    microsoft_graph_addresses = fields.Char(related="microsoft_graph_account_id.addresses", groups="base.group_system")
    microsoft_graph_tier = fields.Selection(related="microsoft_graph_account_id.tier", groups="base.group_system")

    def _microsoft_graph_is_ours(self):
        raise NotImplementedError

    def _microsoft_graph_address(self):
        """The mailbox that the server is for, normalised."""
        self.ensure_one()
        return email_normalize(self[self._email_field] or "") or ""

    def unlink(self):
        """With the last server that uses it goes a sign-in."""
        accounts = self.sudo().microsoft_graph_account_id
        unlinked = super().unlink()
        accounts._let_go()
        return unlinked

    def _microsoft_graph_own_only(self):
        """Whether nobody but the owner of the mailbox may connect it: who is no administrator proves no more than their own address."""
        self.ensure_one()
        return not self.env.user.has_group("base.group_system")

    def _microsoft_graph_form_url(self, user):
        self.ensure_one()
        return f"/odoo/{self._name}/{self.id}"

    def _microsoft_graph_connected(self, account, rights):
        """An account has been connected for this server."""
        self.ensure_one()
        before = self.sudo().microsoft_graph_account_id - account
        self.write({"microsoft_graph_account_id": account.id, "active": True})
        before._let_go()
        self.env["mail.mail"].sudo()._microsoft_graph_again(account)

    def _microsoft_graph_not_connected(self, text):
        """Nothing came of a sign-in for this server. Whether its own page tells why."""
        return False

    def _microsoft_graph_pause(self, outcome):
        """Microsoft wants its mailbox to slow down."""
        self.env["microsoft.graph.lane"].sudo()._pause(self._microsoft_graph_address(), outcome)

    def _microsoft_graph_waits_until(self):
        return self.env["microsoft.graph.lane"].sudo()._waits_until(self._microsoft_graph_address())

    def _microsoft_graph_path(self):
        """The account, and the mailbox as it reaches it. Raises UserError if no account is connected."""
        self.ensure_one()
        account = self.sudo().microsoft_graph_account_id
        if not account:
            raise UserError(_("The mail server %s has no Microsoft account yet. Open it and press Connect.", self.display_name))
        return account, account._mailbox(self._microsoft_graph_address())

    def action_microsoft_graph_connect(self):
        """Sign in at Microsoft; for the app itself no browser is needed."""
        self.ensure_one().check_access("write")
        if not self.env["microsoft.graph.app"].sudo()._setting("client_id"):
            raise UserError(_("Enter the application's client id first: Settings, General Settings, Microsoft Graph."))
        if not (mailbox := self._microsoft_graph_address()):
            raise UserError(_("Enter the address of the mailbox first."))
        account = self.env["microsoft.graph.account"]._for(mailbox, self.microsoft_graph_app_only)
        if not account.app_only:
            return {"type": "ir.actions.act_url", "url": self.env["microsoft.graph.signin"]._begin(self, account), "target": "self"}
        try:
            account._token(fresh=True)
            rights = account._find_out(mailbox)
        except VaultError as problem:
            raise UserError(str(problem)) from None
        if rights.tier is None:
            raise UserError(rights.trouble.reply.text if rights.trouble else _("The app has no permission to this mailbox."))
        self._microsoft_graph_connected(account, rights)
        return {"type": "ir.actions.client", "tag": "soft_reload"}

    def action_microsoft_graph_disconnect(self):
        """Forget the tokens, and with them every server of the same account."""
        self.ensure_one().check_access("write")
        self.sudo().microsoft_graph_account_id._disconnect()
        return {"type": "ir.actions.client", "tag": "soft_reload"}

    def _microsoft_graph_told(self):
        """What the account may do in the mailbox, in words. Raises UserError."""
        self.ensure_one()
        account, _mailbox = self._microsoft_graph_path()
        try:
            rights = account._find_out(self._microsoft_graph_address())
        except VaultError as problem:
            raise UserError(str(problem)) from None
        if rights.tier is None:
            raise UserError(rights.trouble.reply.text if rights.trouble else _("The account has no rights to this mailbox."))
        if rights.tier is Tier.SEND:
            return _(
                "%s may send. What became of a mail can't be asked, and mail above 2.9 MB can't be sent.", self._microsoft_graph_address()
            )
        return _("%s may send, read and write: large mail goes, and nothing is sent twice.", self._microsoft_graph_address())

    def _microsoft_graph_notification(self, text):
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {"message": text, "type": "success", "sticky": False, "next": {"type": "ir.actions.act_window_close"}},
        }
