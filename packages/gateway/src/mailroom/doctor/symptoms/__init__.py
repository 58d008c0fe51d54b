"""The ten classic symptoms, as questions that one can ask (`QUESTIONS` in `asking.py`), with a mail or an address as the subject.

Each question runs the checks that tell its causes apart. A check is a small function: it reads the store, lets the health of an object
or the DNS of a domain be looked at, and says one line about what it looked at, findings with evidence and a command or a page, and what
it could not look at. The answer puts the findings in order of harm: the first is the cause. Without findings the answer is that nothing
was found, and what was looked at; a cause is never stated without evidence.

What the checks may ask stands in `Clinic`, which `wiring/symptoms.py` makes. They change nothing.
"""
