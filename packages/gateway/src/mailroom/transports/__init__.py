"""The ways out. A transport knows its wire and maps what it says to outcomes; it knows nothing of the queue.

To add one: a module here with a class that passes `tests/contract/transports`, a route in `objects/sending.py`, a line in `wiring/ways.py`.
"""
