"""What the add-on costs beside Odoo's own SMTP and IMAP: `make bench-odoo ODOO=/path/to/odoo`.

One Odoo, one database, two servers of each direction: Odoo's own and the add-on's. Whatever is compared takes turns, so that a busy
machine hurts both. PostgreSQL writes to the disk as in production.
"""
