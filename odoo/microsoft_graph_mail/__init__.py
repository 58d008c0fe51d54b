"""Odoo 19 sends and receives mail by Microsoft Graph.

`driver` is what needs no Odoo: HTTP, the key that seals tokens, the mail as Graph wants it. `models` hang all of it into Odoo's own
outgoing and incoming servers and its mail queue; `controllers` are where the browser comes back after signing in. What mail and Graph
*are* stands in `mailroom_core`.
"""

from . import controllers, models
from .hooks import uninstall_hook

__all__ = ["controllers", "models", "uninstall_hook"]
