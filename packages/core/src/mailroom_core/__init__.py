"""What mail, routing, OAuth and the mail providers' HTTP conversations are.

Nothing here does I/O, looks at a clock, draws random numbers or writes a log: all of that comes in as arguments, so that the
gateway, the Odoo add-on and the tests drive the same code. Imports go one way only:

    providers > oauth > flow > policy | mime > inbound > model > errors
"""
