"""The queue: what was accepted is delivered once, or its owner hears why not.

A `Worker` leases lanes; each lane has one `LaneRunner`, which takes due deliveries, has the attempt committed (`Store.begin`),
lets the transport try once under one hard deadline (`attempt.py`), and has the outcome committed (`settle.py`, `Store.settle`).
Attempts that ended without an answer are looked up at the provider before anything else happens to their message. `sweep.py` ends
what is too old and drops what nobody needs any more; `indexing.py` fills the search index.

The property: between two commits of `begin` for one delivery there is always a commit that says what became of the first
attempt, and that was learnt from the next hop or decided by a rule that a person has set.
"""
