"""Transactions beside Odoo's own, for rows that many workers write to."""

from contextlib import contextmanager

from odoo import modules
from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED


@contextmanager
def own_transaction(env):
    """A cursor whose transactions see what others have committed meanwhile, as who waits for a lock must. Odoo's own break off there,
    and also where a row that they refer to was changed. It may be committed more than once."""
    with env.registry.cursor() as cr:
        if not modules.module.current_test:  # all share one there
            cr.connection.set_isolation_level(ISOLATION_LEVEL_READ_COMMITTED)  # Odoo sets its own anew for each cursor
        yield cr
