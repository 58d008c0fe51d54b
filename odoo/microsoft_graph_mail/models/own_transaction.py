"""Transactions beside Odoo's own, for rows that many workers write to."""

from contextlib import contextmanager

from odoo import modules


@contextmanager
def own_transaction(env):
    """Who had to wait for another's lock sees what that one has committed; Odoo's own transactions break off there."""
    with env.registry.cursor() as cr:
        if not modules.module.current_test:  # all share one there
            cr.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield cr
