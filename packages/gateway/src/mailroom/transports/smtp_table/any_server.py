"""What any mail server may answer, by the RFCs; and what many say in the same words."""

from __future__ import annotations

from datetime import timedelta

from mailroom.transports.smtp_table.row import Row, Stage, Verdict

_RCPT = frozenset({Stage.RCPT})
_OF = "a mail server"
_RECORDS = "mend SPF and DKIM of the sender's domain: mailroom doctor DOMAIN says which records are missing"

ANY_SERVER: tuple[Row, ...] = (
    Row(
        of=_OF,
        code=530,
        verdict=Verdict.HOLD_LANE,
        means="The server wants a sign-in, or TLS, before it takes mail",
        advice="the server wants a sign-in or TLS first: set user or account, and security",
        source="RFC 4954 6, RFC 3207 4",
    ),
    Row(
        of="Exchange Online",
        code=550,
        enhanced=r"5\.4\.1",
        text="recipient address rejected",
        stages=_RCPT,
        verdict=Verdict.FAIL_ADDRESS,
        means="The recipient's domain does not know this address",
        advice="the recipient's domain does not know this address",
        source="https://learn.microsoft.com/exchange/mail-flow-best-practices/use-directory-based-edge-blocking",
    ),
    Row(
        of=_OF,
        text=r"relay(ing)?( access)? (is )?(denied|not (permitted|allowed))|unable to relay|not relay",
        stages=_RCPT,
        verdict=Verdict.FAIL,
        means="The server does not pass on mail to this recipient for whoever handed it in",
        advice="this server does not relay for us: give it a user, or allow this gateway's address there",
        source="RFC 5321 3.6.2",
    ),
    Row(
        of=_OF,
        text="too many recipients",
        means="The mail names more recipients at once than the server takes",
        advice="nothing for mail through Mailroom, which sends to the others afterwards; otherwise send it to fewer at once",
        source="RFC 5321 4.5.3.1.10",
    ),
    Row(
        of=_OF,
        code=552,
        enhanced=r"|5\.3\.4|5\.2\.3",
        stages=frozenset({Stage.MAIL, Stage.CONTENT}),
        verdict=Verdict.FAIL,
        means="The mail is larger than the server takes",
        advice="it is too big for this server: set max_size, so that such mail takes another server or is refused at once",
        source="RFC 1870 6",
    ),
    Row(
        of=_OF,
        code=552,
        enhanced=r"|5\.5\.3",
        stages=_RCPT,
        verdict=Verdict.DEFER,
        means="The mail names more recipients at once than the server takes",
        advice="too many recipients at once; the others follow",
        source="RFC 5321 4.5.3.1.10",
        retry_after=timedelta(seconds=1),
    ),
    Row(
        of=_OF,
        code=452,
        enhanced=r"4\.5\.3",
        stages=_RCPT,
        verdict=Verdict.DEFER,
        means="The mail names more recipients at once than the server takes",
        advice="too many recipients at once; the others follow",
        source="RFC 5321 4.5.3.1.10",
        retry_after=timedelta(seconds=1),
    ),
    Row(
        of=_OF,
        code=503,
        stages=frozenset({Stage.MAIL}),
        verdict=Verdict.DEFER,
        means="Both sides were out of step: a command came when another one was due",
        advice="server and gateway were out of step; it is tried again over a new connection",
        source="RFC 5321 4.3.2",
    ),
    Row(
        of=_OF,
        code=535,
        means="The server does not accept user and password",
        advice="check the user and the password, or connect the account again. If it was Mailroom that answered, make a new credential "
        "for the application",
        source="RFC 4954 6",
    ),
    Row(
        of=_OF,
        code=538,
        means="The server takes a password only over an encrypted connection",
        advice="set security to starttls (port 587) or tls (port 465)",
        source="RFC 4954 6",
    ),
    Row(
        of=_OF,
        enhanced=r"[45]\.7\.2[0-2]",
        means="DKIM could not prove the mail to the recipient's server",
        advice=_RECORDS,
        source="RFC 7372 3.1",
    ),
    Row(
        of=_OF,
        enhanced=r"[45]\.7\.2[34]",
        means="SPF of the sender's domain does not name the server that sends, or can't be evaluated",
        advice=_RECORDS,
        source="RFC 7372 3.2",
    ),
    Row(
        of=_OF,
        enhanced=r"5\.7\.27",
        means="The sender's domain says in the DNS that it takes no mail (null MX)",
        advice="send from a domain that takes mail, or remove its null MX",
        source="RFC 7505 4.2",
    ),
    Row(
        of=_OF,
        text=r"\bdmarc\b",
        means="The mail does not pass DMARC, and its domain wants such mail refused",
        advice=_RECORDS,
        source="RFC 9989",
    ),
    Row(
        of=_OF,
        text=r"\bspf\b|sender policy framework",
        means="SPF of the sender's domain does not name the server that sends, or can't be evaluated",
        advice=_RECORDS,
        source="RFC 7208 8",
    ),
    Row(
        of=_OF,
        text=r"\bptr\b|reverse (dns|lookup)|\brdns\b|find your (reverse )?host",
        means="The address that sends has no name in the DNS (PTR), or the name does not lead back to it",
        advice="let whoever gives you the address enter a name for it that leads back to the address",
        source="RFC 1912 2.1; RFC 7372 3.2",
    ),
    Row(
        of=_OF,
        text=r"block ?list|blacklist|\brbl\b|dnsbl|spamhaus|spamcop|barracuda|(?<!not )listed (in|at|on|by)",
        means="The address or domain that sends is on a list of senders of spam",
        advice="the answer mostly names the list: look there why, end the cause, and ask to be taken off; through Microsoft or a mail "
        "service, its support does that",
        source="RFC 5782; RFC 6471",
    ),
    Row(
        of=_OF,
        text="gr[ae]y-?list",
        means="The recipient's server refuses the first try of mail from whom it does not know",
        advice="nothing: the next try goes through, mostly within half an hour",
        source="RFC 6647",
    ),
    Row(
        of=_OF,
        enhanced=r"[45]\.7\.1[01]",
        means="The server takes this mail only over an encrypted connection",
        advice="set security to starttls (port 587 or 25) or tls (port 465)",
        source="RFC 5248; the registry of enhanced status codes",
    ),
    Row(
        of=_OF,
        enhanced=r"[45]\.1\.[78]",
        means="The server does not accept the sender's address: its form is wrong, or its domain does not exist or takes no mail",
        advice="check MAIL FROM of the program; its domain needs an MX or an address in the DNS (mailroom doctor DOMAIN)",
        source="RFC 3463 3.2",
    ),
    Row(
        of=_OF,
        code=454,
        text="authentication|auth",
        means="The server can't check sign-ins at present",
        advice="nothing: it is tried again",
        source="RFC 4954 6",
    ),
    Row(
        of=_OF,
        code=421,
        means="The server serves nobody at present, or wants fewer connections from us",
        advice="nothing: it is tried again. If it lasts, set connections of the outgoing server lower, and ask its administrator",
        source="RFC 5321 3.8",
    ),
)
