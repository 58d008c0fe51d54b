"""Who has really sent a mail that another server brings: SPF (RFC 7208), DKIM (RFC 6376), ARC (RFC 8617) and DMARC (RFC 9989).

`evaluate` asks them all, within a given time, and says it as an Authentication-Results field (RFC 8601). It blocks, and belongs into a
thread. What can't be found out is `temperror` and never costs a mail. The protocols are pyspf's and dkimpy's, the field is authres'; their
quirks, and what a hostile mail could do to them, end in `spf.py` and `signatures.py`. DMARC is `mailroom_core.policy.dmarc`.
"""
