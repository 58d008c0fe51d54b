"""Microsoft tells of new mail: `POST /microsoft_graph_mail/notify`. Anybody can call it, so it believes nobody and fetches nothing."""

from odoo import http
from odoo.addons.microsoft_graph_mail.models.microsoft_graph_subscription import NOTIFY
from odoo.http import request
from werkzeug.exceptions import BadRequest, NotFound

from mailroom_core.providers.graph.notifying import MOST_BODY, handshake


class Notify(http.Controller):
    @http.route(
        NOTIFY, type="http", auth="none", methods=["POST"], csrf=False, save_session=False, readonly=False, max_content_length=MOST_BODY
    )
    def notify(self, **_parameters):
        subscriptions = request.env["microsoft.graph.subscription"].sudo()
        if not subscriptions._is_on():
            raise NotFound
        token = request.httprequest.args.get("validationToken")
        if token is None:
            subscriptions._hear(request.httprequest.get_data(cache=False))
            return request.make_response("", status=202)
        if (said := handshake(token)) is None:
            raise BadRequest
        return request.make_response(said, headers=[("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")])
