"""Where Microsoft sends the browser back after signing in."""

import logging

from odoo import _, http
from odoo.addons.microsoft_graph_mail.driver.http import Http
from odoo.addons.microsoft_graph_mail.models.app import CALLBACK
from odoo.http import request

from mailroom_core.errors import VaultError
from mailroom_core.flow import run
from mailroom_core.oauth import microsoft
from mailroom_core.oauth.microsoft import Grant
from mailroom_core.oauth.problems import TokenProblem, callback_problem
from mailroom_core.providers.graph.mailbox import Mailbox
from mailroom_core.providers.graph.probe import probe

_logger = logging.getLogger(__name__)


class Callback(http.Controller):
    @http.route(CALLBACK, type="http", auth="user", methods=["GET"])
    def callback(self, state="", code="", **parameters):
        try:
            begun = request.env["microsoft.graph.signin"]._take(state)
        except VaultError as problem:
            return self._told(str(problem), "/odoo")
        if begun is None:
            return self._told(
                _("This sign-in was not begun here by you, has been used, or is older than ten minutes. Go back and press Connect again."),
                "/odoo",
            )
        server = request.env[begun["model"]].sudo().browse(begun["res_id"]).exists()
        if not server:
            return self._told(_("The mail server was deleted meanwhile."), "/odoo")
        back = server._microsoft_graph_form_url(request.env.user)
        trouble = self._ended(server, begun, code, {key: str(value) for key, value in parameters.items()})
        if not trouble or server._microsoft_graph_not_connected(trouble):
            return request.redirect(back)
        return self._told(trouble, back)

    def _ended(self, server, begun, code, parameters):
        """What stands in the way, in words; empty if nothing does."""
        if problem := callback_problem(parameters):
            return f"{problem.text}. {problem.what_to_do}. ({problem.code})"
        if not begun["account_id"]:
            server._microsoft_graph_consented()
            return ""
        try:
            return self._connect(server, begun, code)
        except VaultError as problem:
            return str(problem)

    def _connect(self, server, begun, code):
        """What stands in the way, in words; empty if the account is connected."""
        account = request.env["microsoft.graph.account"].sudo().browse(begun["account_id"])
        app = request.env["microsoft.graph.app"].sudo()._app()
        grant = run(
            microsoft.redeem_code(app, code=code, redirect_uri=begun["redirect_uri"], verifier=begun["verifier"], scopes=account._scopes()),
            Http(),
            _forget,
        )
        if isinstance(grant, TokenProblem):
            return f"{grant.text}. {grant.what_to_do}. ({grant.code})"
        identity = run(microsoft.who_am_i(app.cloud), Http(lambda refused: grant.access_token), _forget)
        if isinstance(identity, TokenProblem):
            return f"{identity.text}. {identity.what_to_do}. ({identity.code})"
        mailbox = server._microsoft_graph_address()
        if server._microsoft_graph_own_only() and mailbox not in identity.addresses:
            return _("You signed in as %(who)s, but this server is for %(mailbox)s. Sign in with that address.",
                     who=identity.addresses[0] if identity.addresses else identity.name, mailbox=mailbox)  # fmt: skip
        if trouble := self._without_rights(account, grant, identity, mailbox):
            return trouble
        account._signed_in(grant, identity)
        rights = account._find_out(mailbox)
        server._microsoft_graph_connected(account, rights)
        _logger.info("Microsoft Graph: account %s connected by user %s", account.id, request.env.uid)
        return ""

    def _without_rights(self, account, grant: Grant, identity, mailbox):
        """Who signs in must own the configured mailbox or have rights to it; before anything is kept."""
        if mailbox in identity.addresses:
            return ""
        app = request.env["microsoft.graph.app"].sudo()
        there = Mailbox.of(app._cloud().graph, mailbox)
        rights = run(probe(there, grant.scope), Http(lambda refused: grant.access_token), _forget)
        if rights.tier is not None and rights.trouble is None:
            return ""
        why = rights.trouble.reply.text if rights.trouble else ""
        return _("You signed in as %(who)s, who has no rights to the mailbox %(mailbox)s. %(why)s",
                 who=identity.addresses[0] if identity.addresses else identity.name, mailbox=mailbox, why=why)  # fmt: skip

    def _told(self, text, back):
        return request.render("microsoft_graph_mail.signin_problem", {"text": text, "back": back})


def _forget(note):
    raise AssertionError("this conversation has nothing to commit")
