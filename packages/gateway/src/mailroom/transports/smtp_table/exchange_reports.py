"""What Exchange Online says in reports and as the recipient's server, in the order of its codes."""

from __future__ import annotations

from mailroom.transports.smtp_table.row import Row

_NDR = (
    "Microsoft, Email non-delivery reports and SMTP errors in Exchange Online (learn.microsoft.com/exchange/troubleshoot/"
    "email-delivery/ndr/non-delivery-reports-in-exchange-online), read 2026-11-21"
)
_CHECK = "check the address with the recipient in another way, and correct it"
_THEIRS = "only the recipient's administrator can allow it: ask the recipient, and write from an address that is allowed meanwhile"
_THEIR_SERVER = "the recipient's administrator mends it; it is tried again until the mail expires"
_RECORDS = "mend SPF and DKIM of the sender's domain: mailroom doctor DOMAIN says which records are missing"
_PASSES = "nothing: it is tried again. If it lasts for days, look whether something of yours sends too much, or sends spam"
_DELIST = "end the cause, then ask to be taken off the list at https://sender.office.com; through a mail service, its support does that"


def _row(enhanced: str, means: str, advice: str, text: str = "", source: str = _NDR) -> Row:
    return Row(of="Exchange Online", enhanced=enhanced, text=text, means=means, advice=advice, source=source)


REPORTS: tuple[Row, ...] = (
    _row(r"4\.3\.2", "The recipient's mailbox gets mail faster than Exchange stores it", _PASSES, "thread limit"),
    _row(r"4\.4\.312|5\.4\.312", "The DNS of the recipient's domain gives no answer", _THEIR_SERVER, "dns"),
    _row(r"4\.4\.316", "The recipient's server refuses the connection, or its network does", _THEIR_SERVER),
    _row(r"4\.4\.317", "No TLS that is good enough could be agreed on with the recipient's server", _THEIR_SERVER),
    _row(
        r"[45]\.4\.7|5\.4\.300",
        "The mail could not be handed over in time, mostly because the recipient's server was silent",
        _THEIR_SERVER,
        "expired",
    ),
    _row(r"4\.5\.3", "The mail has more than 200 recipients in one domain", "send it in several mails", "recipients"),
    _row(
        r"4\.7\.(5\d\d|6\d\d)",
        "Exchange suspects the traffic and takes less of it for a while",
        _PASSES,
        "access denied|server busy|try again",
    ),
    _row(r"4\.7\.8[5-9]\d", "Exchange suspects the address that sends and takes less from it for a while", _PASSES),
    _row(
        r"5\.0\.350",
        "The recipient's server refused the mail in words of its own; often a nested or a rich-text file",
        "send it as plain HTML, without a mail as a file in it",
    ),
    _row(
        r"5\.1\.0",
        "An address could not be resolved: an old address out of a saved mail, or one of a wrong form",
        _CHECK,
        "sender denied|resolver",
    ),
    _row(r"5\.1\.1", "There is no such mailbox", _CHECK, r"resolver\.adr|exrecipnotfound|bad destination"),
    _row(r"5\.1\.10|5\.5\.0", "There is no such mailbox", _CHECK, r"recipient ?not ?found|resolver\.adr|mailbox unavailable"),
    _row(
        r"5\.1\.20",
        "The mail has more than one address in From",
        "send it with one author, or with a Sender",
        "from",
        f"{_NDR}; fix-error-code-550-5-1-20-multiple-from-addresses",
    ),
    _row(
        r"5\.2\.1", "The recipient's mailbox is switched off, or its account is", "reach the recipient in another way", "storedrv|disabled"
    ),
    _row(
        r"5\.2\.121",
        "We have sent this recipient more mail in an hour than one sender may",
        "send less to this recipient; it can be sent again after an hour",
    ),
    _row(r"5\.2\.122", "The recipient gets more mail in an hour than a mailbox may", "send it again after an hour"),
    _row(
        r"5\.4\.1",
        "The server is not responsible for the recipient's domain: its DNS or its connector is wrong",
        "the recipient's administrator checks the domain's MX; mailroom doctor DOMAIN shows it",
        "relay",
    ),
    _row(
        r"5\.4\.1",
        "The recipient's domain does not know this address",
        _CHECK,
        "recipient address rejected",
        "https://learn.microsoft.com/exchange/mail-flow-best-practices/use-directory-based-edge-blocking",
    ),
    _row(
        r"5\.4\.(6|14)",
        "The mail went round in circles, mostly between two forwards or two servers",
        "look for rules that forward in the mailboxes of sender and recipient; the recipient's administrator checks MX and connectors",
    ),
    _row(r"5\.4\.310", "The recipient's domain does not exist in the DNS", _CHECK),
    _row(
        r"5\.6\.11",
        "The mail has single line feeds, which Exchange does not take from others",
        "let the program that writes the mail end lines with CR and LF",
        "invalid char|bare",
    ),
    _row(
        r"5\.7\.1",
        "The server wants whoever hands in the mail to sign in; it takes no mail from outside",
        "give the outgoing server a user, if it is yours; else the recipient's administrator allows mail from outside",
        "client was not authenticated",
    ),
    _row(
        r"5\.7\.1",
        "The recipient, a group or a rule of their organisation does not take mail from this sender",
        _THEIRS,
        r"not authori[sz]ed|resolver\.rst|transport\.rules|rejected by the recipient",
    ),
    _row(
        r"5\.7\.1",
        "Outlook.com does not take mail from this network: it is on Microsoft's block list",
        "let your mail service or the owner of the address ask at https://olcsupport.office.com",
        r"s3140|s3150|block list",
        "https://olcsupport.office.com; Outlook.com Postmaster, Troubleshooting",
    ),
    _row(r"5\.7\.12", "The recipient takes mail from their own organisation alone", _THEIRS),
    _row(r"5\.7\.1(3|35)", "The public folder takes mail from its own organisation alone", _THEIRS),
    _row(r"5\.7\.124", "The sender is not on the list of those who may write to this group", _THEIRS),
    _row(
        r"5\.7\.133",
        "The group takes mail from its own organisation alone",
        "the owner of the group, or an administrator, allows senders from outside in its delivery settings",
    ),
    _row(r"5\.7\.13[46]", "The mailbox takes mail from its own organisation alone", _THEIRS),
    _row(
        r"5\.7\.193",
        "The Microsoft 365 group takes mail from its own organisation, or its members, alone",
        _THEIRS,
        "",
        "Microsoft, 550 5.7.193 when external users send to a Microsoft 365 group, MicrosoftDocs/SupportArticles-docs",
    ),
    _row(r"[45]\.7\.26", "Mail over IPv6 must pass SPF or DKIM, and this one passed neither", _RECORDS, "ipv6"),
    _row(r"5\.7\.23", "SPF of the sender's domain does not name the server that sends", _RECORDS, "sender policy framework"),
    _row(r"[45]\.7\.321", "The recipient's domain demands TLS by DANE, and its server offers none that works", _THEIR_SERVER),
    _row(
        r"[45]\.7\.322", "The certificate of the recipient's server has expired, and its domain demands a valid one by DANE", _THEIR_SERVER
    ),
    _row(r"[45]\.7\.323", "The certificate of the recipient's server does not fit what its domain says by DANE", _THEIR_SERVER),
    _row(r"[45]\.7\.324", "DNSSEC of the recipient's domain is broken", _THEIR_SERVER),
    _row(r"[45]\.7\.325", "The certificate of the recipient's server is for another name than its MX", _THEIR_SERVER),
    _row(r"5\.7\.504", "There is no such mailbox", _CHECK),
    _row(
        r"5\.7\.505",
        "Exchange takes no mail for this recipient",
        f"{_CHECK}; if it is right, the recipient's administrator asks Microsoft's support",
    ),
    _row(
        r"5\.7\.506",
        "The server that sends greeted Exchange with Exchange's own name",
        "let the server that sends say its own name in EHLO (helo of the outgoing server)",
    ),
    _row(r"5\.7\.507", "The recipient's organisation has blocked the address that sends", _THEIRS),
    _row(r"5\.7\.508", "Too much mail came from this IPv6 network in a short time", _PASSES),
    _row(r"5\.7\.509", "The mail does not pass DMARC, and its domain wants such mail refused", _RECORDS),
    _row(r"5\.7\.510", "The recipient takes no mail over IPv6", "let the server that sends use IPv4 for this domain"),
    _row(
        r"5\.7\.511",
        "Microsoft has banned the address that sends",
        "write to delist@microsoft.com with the whole answer and the address; through a mail service, its support does that",
    ),
    _row(
        r"5\.7\.512",
        "The mail has no valid address in From",
        "let the program that writes the mail put one address into From, in angle brackets",
    ),
    _row(r"5\.7\.513", "The recipient's domain has put the address that sends on its own block list", _THEIRS),
    _row(
        r"5\.7\.515",
        "Outlook.com demands SPF, DKIM and DMARC from those who send much, and one of them is missing",
        _RECORDS,
        "",
        "Microsoft Defender for Office 365 blog, Outlook's requirements for high-volume senders, 2025-04",
    ),
    _row(r"5\.7\.6[0-4]\d", "Microsoft has banned the address that sends", _DELIST),
    _row(
        r"5\.7\.703",
        "The sender's own organisation blocks one of the recipients, so the mail went to none",
        "the administrator takes the recipient off the Tenant Allow/Block List (Microsoft Defender portal), or the mail goes without them",
    ),
    _row(
        r"5\.7\.9\d\d",
        "A mail flow rule of the recipient's organisation refused the mail",
        _THEIRS,
        "",
        "Microsoft, Mail flow rule actions in Exchange (RejectMessageEnhancedStatusCode, 5.7.900 to 5.7.999)",
    ),
)
