"""What the Odoo add-on does without Odoo."""
