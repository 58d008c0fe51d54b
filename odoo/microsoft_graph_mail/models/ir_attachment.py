"""Large attachments stay in the filestore while a mail is built: a few bytes stand in their place until they are uploaded."""

import secrets

from odoo import models
from odoo.addons.microsoft_graph_mail.driver.letter import File

LARGE = 256 * 1024
"""Bytes from which an attachment is not read into memory, where all of a mail's are more than `MEMORY`."""
MEMORY = 1_500_000


class StandIns:
    """What stands for which file. Nobody can guess a name, so no attachment can pretend to be another."""

    def __init__(self):
        self.files = {}

    def of(self, attachment):
        name = f"microsoft_graph_mail {secrets.token_hex(16)}".encode()
        self.files[name] = File(attachment._full_path(attachment.store_fname), attachment.file_size)
        return name


class IrAttachment(models.Model):
    _inherit = "ir.attachment"

    def _compute_raw(self):
        stand_ins = self.env.context.get("microsoft_graph_stand_ins")
        if stand_ins is None:
            return super()._compute_raw()
        large = self.filtered(lambda attachment: attachment._microsoft_graph_may_stay())
        for attachment in large:
            attachment.raw = stand_ins.of(attachment)
        return super(IrAttachment, self - large)._compute_raw()

    def _microsoft_graph_may_stay(self):
        """Odoo parses an attached mail, so that needs its bytes."""
        return bool(self.store_fname) and self.file_size >= LARGE and not (self.mimetype or "").startswith("message/")
