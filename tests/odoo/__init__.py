"""The Odoo add-on in a real Odoo 19 Community, beside the emulator. Run by `make test-odoo ODOO=/path/to/odoo`; not part of `make test`,
because it needs an Odoo."""
