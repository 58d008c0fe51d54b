"""What servers say, and what it means. The order of the rows counts; patterns are looked for anywhere, in any case.

Words: those of Postfix, Exim, Sendmail, qmail, Exchange, Gmail, Yahoo and others in bounces of the last twenty years. Codes: RFC 3463 3
unless a row names another source; Exchange's are those that Microsoft lists as "Email non-delivery reports and SMTP errors in Exchange
Online".
"""

from __future__ import annotations

from mailroom_core.policy.reasons import Reason

Rules = tuple[tuple[Reason, tuple[str, ...]], ...]

_WHO = r"(user(id| ?name)?|recipient|mailbox|account|address(ee)?|alias|person|local[- ]?part|destination|customer)"

PLAIN: Rules = (
    (
        Reason.MAILBOX_FULL,
        (
            r"over ?quota", r"quota (exceeded|full|limit)",
            r"(mailbox|inbox|account|storage|box).{0,30}\b(is |over |exceed\w* |has exceeded )?.{0,12}(full|quota|too large)",
            r"exceed\w*.{0,20}quota", r"over disk quota", r"mailfolder is full", r"out of storage", r"not enough (storage|space)",
            r"insufficient (disk|storage|space)", r"mailbox.{0,30} exceeds", r"bo[iî]te pleine", r"postfach.{0,20}(voll|überfüllt)",
            r"buzón lleno",
            r"casella piena",
        ),
    ),
    (
        Reason.OUR_LIMIT,
        (
            r"exceeded the external recipient rate", r"exceeded max recipients", r"daily (sending|message|user)? ?(limit|quota)",
            r"sending (limit|quota) exceeded", r"submission quota", r"recipientlimit", r"tenant exceeded", r"outboundspam",
        ),
    ),
    (
        Reason.TOO_LARGE,
        (
            r"size limit", r"message (is )?too (large|big)", r"maximum (message )?size",
            r"exceeds? (the )?(maximum|max|size|fixed maximum)", r"message size", r"mail too large", r"messagetoolarge",
            r"too large to",
        ),
    ),
    (
        Reason.GREYLISTED,
        (
            r"greylist", r"graylist", r"grey-list", r"try again in \d+", r"come back later",
        ),
    ),
    (
        Reason.NOT_AUTHENTICATED,
        (
            r"\bdmarc\b", r"\bdkim\b", r"\bspf\b", r"unauthenticated (e?mail|sender)", r"not authenticated",
            r"authentication (checks|fail)", r"sender policy framework",
        ),
    ),
    (
        Reason.REVERSE_DNS,
        (
            r"\bptr\b", r"reverse (dns|lookup|name)", r"\brdns\b", r"ip name lookup failed", r"unverifyable sending ip",
            r"(cannot|can't|could not) find your (reverse )?host", r"does not (have|resolve).{0,20}reverse",
        ),
    ),
    (
        Reason.TOO_MANY_MAILS,
        (
            r"rate limit", r"at a rate that", r"mail too quickly", r"frequency limit", r"unexpected volume",
            r"too many (messages|mails|connections|recipients this hour)", r"throttl", r"too fast", r"too frequent",
        ),
    ),
    (
        Reason.VIRUS,
        (
            r"\b(virus|malware|trojan|infected)\b", r"phishing (mail|message|attempt)",
        ),
    ),
    (
        Reason.ATTACHMENT,
        (
            r"(attachment|file).{0,40}(not (allowed|accepted|permitted)|blocked|prohibited|refused|banned)", r"banned file",
            r"executable",
        ),
    ),
    (
        Reason.SENDER_BLOCKED,
        (
            r"block ?list", r"blacklist", r"black list", r"\brbl\b", r"dnsbl", r"spamhaus", r"barracuda", r"spamcop", r"sorbs",
            r"reputation", r"(?<!not )listed (in|at|on|by)", r"banned send", r"banned sending ip", r"s3140", r"s3150", r"poor reputation",
            r"client host.{0,40}blocked", r"access denied, (spam|banned)", r"ip (address )?.{0,40}(blocked|blacklisted)",
        ),
    ),
    (
        Reason.MEMBERS_ONLY,
        (
            r"resolver\.rst\.(auth|restrictedto)", r"resolver\.rst\.not(auth)?", r"only (accepts|members|internal)",
            r"members[- ]only", r"not a member", r"restricted (to|group)", r"authrequired", r"post by non-member",
            r"not (allowed|authorized|permitted) to (post|send (messages )?to (the|this) (group|list|recipient))",
        ),
    ),
    (
        Reason.SPAM,
        (
            r"unsolicited", r"\bspam\b", r"spam (content|message|detected)", r"junk", r"bulk mail", r"looks like spam",
            r"content (rejected|filter)", r"rejected.{0,20}content", r"spammy",
        ),
    ),
    (
        Reason.LOOP,
        (
            r"mail (loop|forwarding loop)", r"too many hops", r"hop count", r"routing loop", r"loop detected", r"loops back",
            r"local configuration error.{0,20}loop",
        ),
    ),
    (
        Reason.UNICODE_ADDRESS,
        (
            r"smtputf8", r"internationali[sz]ed",
        ),
    ),
)  # fmt: skip
"""Where a server says this, its code does not matter."""

BY_STATUS: dict[str, Reason] = {
    "0.350": Reason.CONTENT,  # Exchange: refused in words of the other server's own, often a nested file
    "1.1": Reason.NO_SUCH_MAILBOX,
    "1.2": Reason.NO_SUCH_DOMAIN,
    "1.3": Reason.BAD_ADDRESS,
    "1.4": Reason.NO_SUCH_MAILBOX,
    "1.6": Reason.MAILBOX_MOVED,
    "1.7": Reason.SENDER_REFUSED,
    "1.8": Reason.SENDER_REFUSED,
    "1.10": Reason.NO_SUCH_MAILBOX,  # RFC 7505 4.2; Exchange: no such recipient
    "1.20": Reason.CONTENT,  # Exchange: several addresses in From
    "1.90": Reason.OUR_LIMIT,  # Exchange: the mailbox's daily limit
    "2.1": Reason.MAILBOX_DISABLED,
    "2.2": Reason.MAILBOX_FULL,
    "2.3": Reason.TOO_LARGE,
    "2.4": Reason.MEMBERS_ONLY,
    "2.121": Reason.TOO_MANY_MAILS,  # Exchange: to one recipient in an hour
    "2.122": Reason.TOO_MANY_MAILS,  # Exchange: the recipient gets too much in an hour
    "3.1": Reason.SERVER_TROUBLE,
    "3.2": Reason.SERVER_TROUBLE,
    "3.4": Reason.TOO_LARGE,
    "3.5": Reason.SERVER_TROUBLE,
    "4.1": Reason.UNREACHABLE,
    "4.2": Reason.UNREACHABLE,
    "4.3": Reason.UNREACHABLE,
    "4.4": Reason.NO_SUCH_DOMAIN,
    "4.5": Reason.SERVER_TROUBLE,
    "4.6": Reason.LOOP,
    "4.7": Reason.EXPIRED,
    "4.14": Reason.LOOP,  # Exchange: hop count exceeded
    "4.300": Reason.EXPIRED,  # Exchange
    "4.310": Reason.NO_SUCH_DOMAIN,  # Exchange: the domain does not exist in DNS
    "4.312": Reason.UNREACHABLE,  # Exchange: DNS query failed
    "4.316": Reason.UNREACHABLE,  # Exchange: connection refused
    "4.317": Reason.ENCRYPTION_WANTED,  # Exchange: DNSSEC or DANE failed
    "5.3": Reason.TOO_MANY_RECIPIENTS,
    "6.0": Reason.CONTENT,
    "6.1": Reason.CONTENT,
    "6.2": Reason.CONTENT,
    "6.3": Reason.CONTENT,
    "6.7": Reason.UNICODE_ADDRESS,  # RFC 6531 3.5
    "6.9": Reason.UNICODE_ADDRESS,
    "6.11": Reason.CONTENT,  # Exchange: bare line feeds
    "7.2": Reason.MEMBERS_ONLY,
    "7.4": Reason.ENCRYPTION_WANTED,
    "7.5": Reason.ENCRYPTION_WANTED,
    "7.8": Reason.SIGN_IN_WANTED,  # RFC 4954 6
    "7.10": Reason.ENCRYPTION_WANTED,
    "7.11": Reason.ENCRYPTION_WANTED,
    "7.12": Reason.MEMBERS_ONLY,  # Exchange: its own organisation alone
    "7.13": Reason.MEMBERS_ONLY,  # Exchange: a public folder
    "7.20": Reason.NOT_AUTHENTICATED,  # RFC 7372 3.1
    "7.21": Reason.NOT_AUTHENTICATED,
    "7.22": Reason.NOT_AUTHENTICATED,
    "7.23": Reason.NOT_AUTHENTICATED,
    "7.24": Reason.NOT_AUTHENTICATED,
    "7.25": Reason.NOT_AUTHENTICATED,
    "7.26": Reason.NOT_AUTHENTICATED,
    "7.27": Reason.SENDER_REFUSED,  # RFC 7505 4.2: the sender's domain takes no mail
    "7.28": Reason.TOO_MANY_MAILS,  # the registry of RFC 5248: mail flood
    "7.30": Reason.ENCRYPTION_WANTED,
    "7.57": Reason.SIGN_IN_WANTED,  # Exchange: client was not authenticated
    "7.60": Reason.SENDER_REFUSED,  # Exchange: no right to send as this sender
    "7.124": Reason.MEMBERS_ONLY,  # Exchange: sender not in the allowed senders list
    "7.129": Reason.MEMBERS_ONLY,
    "7.133": Reason.MEMBERS_ONLY,  # Exchange: sender not authenticated for group
    "7.134": Reason.MEMBERS_ONLY,
    "7.135": Reason.MEMBERS_ONLY,
    "7.136": Reason.MEMBERS_ONLY,
    "7.193": Reason.MEMBERS_ONLY,
    "7.232": Reason.OUR_LIMIT,
    "7.233": Reason.OUR_LIMIT,  # Exchange: the tenant's external recipient rate limit
    "7.368": Reason.SENDER_BLOCKED,
    "7.501": Reason.SENDER_BLOCKED,  # Exchange: spam was sent from this address
    "7.502": Reason.SENDER_BLOCKED,
    "7.503": Reason.SENDER_BLOCKED,
    "7.504": Reason.RECIPIENT_REFUSES,  # Exchange: not valid there; no word that the mailbox is gone
    "7.505": Reason.RECIPIENT_REFUSES,
    "7.507": Reason.RECIPIENT_REFUSES,  # Exchange: the recipient has blocked the sender
    "7.508": Reason.TOO_MANY_MAILS,
    "7.509": Reason.NOT_AUTHENTICATED,  # Exchange: DMARC
    "7.511": Reason.SENDER_BLOCKED,
    "7.512": Reason.SENDER_REFUSED,  # Exchange: no valid From
    "7.513": Reason.SENDER_BLOCKED,
    "7.515": Reason.NOT_AUTHENTICATED,
    "7.606": Reason.SENDER_BLOCKED,
    "7.705": Reason.OUR_LIMIT,
    "7.708": Reason.SENDER_BLOCKED,
    "7.750": Reason.SENDER_REFUSED,
}
"""Enhanced code without its class -> reason."""

VAGUE: Rules = (
    (
        Reason.SENDER_REFUSED,
        (
            r"sender.{0,40}(reject|denied|refused|not (allowed|accepted|permitted|verified|exist))",
            r"(not allowed|not permitted|not authori[sz]ed) to send", r"sendasdenied", r"not accepting mail from",
            r"sender verify failed", r"(unroutable|unverified|unknown) sender", r"valid from:?", r"from: domain", r"invalid sender",
            r"bad sender",
        ),
    ),
    (
        Reason.NO_SUCH_DOMAIN,
        (
            r"host or domain name not found",
            r"\b(host|domain)( name)?( [^ ]+)? (is |was )?(not found|unknown|does not exist|not exist|invalid)",
            r"no such (host|domain)", r"(unknown|invalid) (host|domain)", r"nxdomain", r"bad destination host",
            r"no (mx|mail exchanger|relevant answers)", r"unrouteable mail domain", r"cannot find.{0,20}(host|domain)", r"null ?mx",
            r"name service error", r"dns lookup failure",
        ),
    ),
    (
        Reason.NO_SUCH_MAILBOX,
        (
            _WHO + r".{0,60}(unknown|not (be )?(found|known|recogni[sz]ed|listed|exist)|invalid|does ?n.?o?t exist|doesn.t (have|exist))",
            r"(unknown|invalid|no such|no|bad|non-?existent) (local |final delivery )?" + _WHO + r"(?! error)\b",
            r"\b550[ -](5\.\d\.\d )?requested action not taken: mailbox unavailable",
            r"not our customer", r"recipnotfound", r"recipientnotfound", r"recipient address rejected: access denied",
            r"unknown or illegal alias", r"user not known",
            r"no one by that", r"unknown user", r"addressee unknown", r"unrouteable address", r"no matches to",
            r"not a valid (mailbox|user)", r"didn.t find", r"unbekannt", r"inconnu", r"desconocid", r"sconosciut", r"onbekend",
            r"non recens",
        ),
    ),
    (
        Reason.MAILBOX_DISABLED,
        (
            _WHO + r".{0,40}(disabled|inactive|suspend\w*|discontinued|deactivat\w*|closed|terminated|expired|locked|blocked)",
            r"frozen", r"disabled (recipient|user|mailbox|account|address)",
            r"no longer (active|valid|in use|available|with|employed)", r"has left",
        ),
    ),
    (
        Reason.MAILBOX_MOVED,
        (
            r"(has )?moved to", r"new address", r"address (has )?changed",
        ),
    ),
    (
        Reason.RELAY_DENIED,
        (
            r"relay(ing)? (access )?(is )?(denied|not permitted|prohibited|not allowed)", r"unable to relay",
            r"not (permitted|allowed) to relay", r"we do not relay",
        ),
    ),
    (
        Reason.BAD_ADDRESS,
        (
            r"(bad|invalid|illegal|malformed) (address|recipient|mailbox) ?(syntax|format)?", r"syntax error",
            r"address.{0,20}malformed",
        ),
    ),
    (
        Reason.SIGN_IN_WANTED,
        (
            r"authentication (is )?required", r"must (authenticate|log ?in)", r"auth.{0,10}required", r"login required",
        ),
    ),
    (
        Reason.ENCRYPTION_WANTED,
        (
            r"starttls", r"\btls\b", r"encryption", r"certificate",
        ),
    ),
    (
        Reason.TOO_MANY_MAILS,
        (
            r"rate limit", r"too many (messages|mails|connections|errors)", r"throttl", r"too fast", r"exceeded.{0,30}(rate|limit)",
            r"too frequent", r"limit exceeded",
        ),
    ),
    (
        Reason.TOO_MANY_RECIPIENTS,
        (
            r"too many recipients",
        ),
    ),
    (
        Reason.UNREACHABLE,
        (
            r"connect(ion)?.{0,60}(timed? ?out|refused|reset|failed|lost|dropped|unreachable)", r"no route to host",
            r"not (reachable|responding)", r"could not (connect|be reached)", r"unable to connect", r"mail exchanger failed",
            r"host.{0,40}(down|unreachable)", r"network (is )?(unreachable|error|problem)", r"lost connection", r"did not respond",
            r"did not accept our requests to connect",
        ),
    ),
    (
        Reason.EXPIRED,
        (
            r"retry time (not reached|exceeded)", r"retry timeout", r"timed? ?out", r"expired", r"too long", r"queued? (too|for more)",
            r"delivery attempts", r"giv\w+ up", r"lifetime", r"not be delivered for", r"unsuccessful delivery attempts",
            r"for \d+ (days|hours)", r"\d+ attempts",
        ),
    ),
    (
        Reason.SERVER_TROUBLE,
        (
            r"command died", r"i/o error", r"internal (server )?error", r"configuration (error|problem)", r"server error",
            r"system (error|failure)", r"undefined value", r"command (output|fail\w*)", r"out of memory", r"resources",
            r"service (is )?((temporarily|currently) )?(not available|unavailable)", r"temporar(y|ily)", r"transient",
            r"error while being processed",
        ),
    ),
    (
        Reason.RECIPIENT_REFUSES,
        (
            r"recipient (has )?(refused|rejected|blocked)", r"refused by (the )?recipient", r"blocked by (the )?recipient",
        ),
    ),
    (
        Reason.POLICY,
        (
            r"polic(y|ies)", r"prohibit", r"administrat", r"access denied", r"not (allowed|permitted|authori[sz]ed|accepted)",
            r"denied", r"rule", r"refused", r"reject", r"forbidden", r"blocked",
        ),
    ),
)  # fmt: skip
"""What counts where the code says nothing."""

VAGUE_STATUS = frozenset({"0.0", "1.0", "2.0", "3.0", "4.0", "5.0", "6.0", "7.0", "7.1", "4.1"})
"""Codes that servers use for anything."""

BY_CODE = {
    "421": Reason.SERVER_TROUBLE,
    "450": Reason.MAILBOX_BUSY,
    "451": Reason.SERVER_TROUBLE,
    "452": Reason.SERVER_TROUBLE,
    "550": Reason.POLICY,
    "551": Reason.RELAY_DENIED,
    "552": Reason.MAILBOX_FULL,
    "553": Reason.POLICY,
    "554": Reason.POLICY,
}
"""An SMTP reply code (RFC 5321 4.2.2), when nothing else is known: too little to call an address dead."""
