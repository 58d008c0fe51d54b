"""Sources: where mail is fetched from.

To add one: a module here with a class that is an `incoming.Source`, an inbox in `objects.py`, a line in `wiring/fetching.py`.
"""
