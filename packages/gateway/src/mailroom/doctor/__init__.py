"""Looking whether things work, for a person who watches, and saying what to do about what does not.

A look at a domain has two halves. What is asked goes through `Ask`, which only `resolver.py` makes of a name server; each area (`spf.py`,
`dkim.py`, `dmarc.py`, `arriving.py`, ...) gathers what it needs by it, in parallel, as plain values. What is said (`judge_*`) is made of
these values alone. Nothing is said without the evidence that it was read from, and what could not be read is called unchecked.
"""
