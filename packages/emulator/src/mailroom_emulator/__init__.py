"""A Microsoft 365 mail tenant in one process: Entra ID, mailboxes behind Microsoft Graph, and an outside world.

What is emulated, and where it is known from, is written at the function that does it: the vendor's page or a public
thread. What nobody outside Microsoft knows for certain is a switch (`switches.py`).
"""
