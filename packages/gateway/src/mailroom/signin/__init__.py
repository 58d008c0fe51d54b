"""Who may use the console: passwords, second factors, sessions, one-time links, and the identity provider.

    reception.py      lets people in: the order of checks, limits, what is remembered     guest.py     who asks, before we know them
    passwords.py      argon2id                                                            second.py    TOTP and recovery codes
    keys.py           ids of sessions and links, and what is stored of them               provider.py  OpenID Connect
    admission.py      whom the identity provider's word lets in, and as what              staff.py     what administrators do to people
    links.py         where links lead, and the file of the first one                      throttle.py  against floods
    record.py        what is written down

What is generated carries 256 bits and is stored as keyed SHA-256. A password that is wrong and a name that does not exist cost the
same work and give the same answer.
"""
