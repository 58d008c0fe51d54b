"""Sources: where mail is fetched from.

`graph` drives flows of the core. `imap` and `pop` are a `visit` to a mail server, whose protocol a library keeps in one thread
(`imap_session`, `pop_session`).

To add one: a module here with a class that is an `incoming.Source`, an inbox in `objects/receiving.py`, a line in `wiring/mailboxes.py`.
"""
