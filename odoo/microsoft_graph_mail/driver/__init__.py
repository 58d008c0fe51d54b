"""What the add-on does without Odoo. It imports nothing of Odoo, so that it can be tested without one."""
