"""The cut-over: away from SMTP AUTH by password at Microsoft 365, one device after the other.

`report.py` reads which addresses still sign in by password, from the report of the Exchange admin center. `desk.py` proposes an
application for each, makes those that a person wants, and takes back what was never used. The store ticks an address off when its
first mail has come through us (`store/cutting_over.py`).
"""
