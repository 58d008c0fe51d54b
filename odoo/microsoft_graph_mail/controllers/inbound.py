"""Mail that a gateway pushes: `POST /microsoft_graph_mail/inbound`, one `message/rfc822` each.

`Authorization: Bearer KEY`, `X-Envelope-To` with the envelope's recipients, `Idempotency-Key`, and `X-Fallback-Model` if what no alias
takes shall become a record, with the values in `X-Default-Values` (a JSON object). The answer says what became of the mail, so that the
gateway knows whether to try again: `created` and `updated` (with model and id), `duplicate`, `bounced` (a report), `refused` (Odoo has told
its sender why), `loop`, `dropped` (for no reason that Odoo says); 422 `no_route`; 500 `error`.
"""

import hashlib
import hmac
import json
import tempfile
from pathlib import Path

from odoo import http
from odoo.addons.microsoft_graph_mail.models.inbound_key import digest
from odoo.http import request
from werkzeug.exceptions import RequestEntityTooLarge

PATH = "/microsoft_graph_mail/inbound"
LARGEST = 200 * 1024 * 1024
"""Bytes; Odoo's own limit for a request would be 128 MiB."""


class Inbound(http.Controller):
    @http.route(
        PATH, type="http", auth="none", methods=["POST"], csrf=False, save_session=False, readonly=False, max_content_length=LARGEST
    )
    def inbound(self):
        asked = request.httprequest
        if not _may(asked.headers.get("Authorization", "")):
            return _answer(401, _error("The key is wrong. Make a new one in Settings, General Settings, Microsoft Graph"))
        if asked.mimetype != "message/rfc822":
            return _answer(415, _error("Send one mail as message/rfc822"))
        model = asked.headers.get("X-Fallback-Model") or None
        if model and model not in request.env:
            return _answer(422, _error(f"There is no model {model!r}"))
        values = _values(asked.headers.get("X-Default-Values", ""))
        if values is None:
            return _answer(422, _error("X-Default-Values is no JSON object with fields and their values"))
        recipients = [each.strip() for each in asked.headers.get("X-Envelope-To", "").split(",") if each.strip()]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "message.eml"
            try:
                digested = _kept(asked.get_data(cache=False), path)
            except RequestEntityTooLarge:
                return _answer(413, _error(f"The mail has more than {LARGEST} bytes"))
            key = asked.headers.get("Idempotency-Key") or digested
            return _answer(*request.env["microsoft.graph.pushed"].sudo()._take(path, recipients, model, key, values))


def _kept(raw, path):
    """Into a file, so that nobody holds it in memory while Odoo works on it; the SHA-256 of the bytes."""
    path.write_bytes(raw)
    return hashlib.sha256(raw).hexdigest()


def _may(authorization):
    kept = request.env["ir.config_parameter"].sudo().get_param("microsoft_graph_mail.inbound_key")
    scheme, _, given = authorization.partition(" ")
    return bool(kept) and scheme.lower() == "bearer" and hmac.compare_digest(digest(given.strip()), kept)


def _values(text):
    """None if there is no sense in it."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _error(text):
    return {"result": "error", "text": text}


def _answer(status, fields):
    return request.make_response(json.dumps(fields), headers=[("Content-Type", "application/json")], status=status)
