"""What mail servers answer, what it means and what to do: one table, for our own next hop and for whoever asks what an error says.

A row matches if all that it names matches; the first one wins, so exact rows stand before general ones. Each says where we know it from.
"""

from __future__ import annotations

from mailroom.transports.smtp_table.any_server import ANY_SERVER
from mailroom.transports.smtp_table.exchange import EXCHANGE
from mailroom.transports.smtp_table.exchange_reports import REPORTS
from mailroom.transports.smtp_table.google import GOOGLE
from mailroom.transports.smtp_table.row import Row, Stage, Verdict
from mailroom.transports.smtp_table.services import SERVICES

TABLE: tuple[Row, ...] = (*EXCHANGE, *GOOGLE, *SERVICES, *REPORTS, *ANY_SERVER)

__all__ = ["TABLE", "Row", "Stage", "Verdict"]
