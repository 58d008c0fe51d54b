"""Odoo's memory while a mail with an attachment of 100 MB comes in: IMAP from a Dovecot beside the add-on from the emulator.

As in `attachment`; both mails become a record of the same kind, whose attachment is compared with what was sent.
"""

from __future__ import annotations

import base64
import hashlib
import random

from bench.odoo.attachment import MB, ROUNDS, Peak, rows, watched
from bench.odoo.house import House, Way, house, in_turns
from bench.place import Missing, Place
from bench.results import Result
from tests import dovecot
from tests.contract.transports.certificates import Authority
from tests.odoo import machine

MAILBOX = "info@contoso.example"
_HEAD = """\
From: Kim <kim{number}@customer.example>
To: info@contoso.example
Subject: {subject}
Message-ID: <{number}.{way}@customer.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=bound

--bound
Content-Type: text/plain

Here it is.
--bound
Content-Type: application/pdf
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=film.pdf

"""


def measure(place: Place, odoo: machine.Place, quick: bool) -> list[Result]:
    size, rounds = (20 * MB, 1) if quick else (100 * MB, ROUNDS)
    if dovecot.PROGRAM is None:
        raise Missing("Dovecot is not installed; as root: apt-get install dovecot-imapd dovecot-pop3d dovecot-lmtpd")
    content = random.Random(3).randbytes(size)
    found: dict[Way, list[Peak]] = {way: [] for way in Way}
    with dovecot.Dovecot(Authority.make(place.folder / "authority")) as imap, house(place, odoo) as home:
        servers = {Way.STOCK: _imap(home, imap.ports["imap"]), Way.ADD_ON: _graph(home)}
        for number in range(rounds):
            for way in in_turns(number):
                found[way].append(_peak(home, imap, servers[way], way, number, content))
    return rows(f"odoo: a file of {size / MB:g} MB comes in", found)


def _imap(home: House, port: int) -> int:
    values = {"name": "IMAP", "server_type": "imap", "server": "127.0.0.1", "port": port, "user": MAILBOX, "password": dovecot.PASSWORD}
    server: int = home.odoo.call("fetchmail.server", "create", {**values, "object_id": _partners(home)})
    home.odoo.call("fetchmail.server", "button_confirm_login", [server])
    return server


def _graph(home: House) -> int:
    return home.odoo.incoming(MAILBOX, "mary@contoso.example", object_id=_partners(home))


def _partners(home: House) -> int:
    """What a mail that nobody waits for becomes."""
    return int(home.odoo.read("ir.model", [["model", "=", "res.partner"]], "id")[0]["id"])


def _peak(home: House, imap: dovecot.Dovecot, server: int, way: Way, number: int, content: bytes) -> Peak:
    home.odoo.kill()
    home.start()
    _deliver(home, imap, _mail(way, f"{number}.note", b"a few words"), way)
    _fetch(home, server)
    _deliver(home, imap, _mail(way, f"{number}.film", content), way)
    peak = watched(home, lambda: _fetch(home, server))
    _compare(home, f"{way} {number}.film", content)
    return peak


def _mail(way: Way, number: str, content: bytes) -> bytes:
    head = _HEAD.format(number=number, way=str(way).replace("-", ""), subject=f"{way} {number}")
    return (head.encode() + base64.encodebytes(content) + b"--bound--\n").replace(b"\n", b"\r\n")


def _deliver(home: House, imap: dovecot.Dovecot, raw: bytes, way: Way) -> None:
    if way is Way.STOCK:
        imap.deliver(MAILBOX, raw)
    else:
        home.emulator.deliver(MAILBOX, raw)


def _fetch(home: House, server: int) -> None:
    home.odoo.call("fetchmail.server", "fetch_mail", [server])


def _compare(home: House, subject: str, content: bytes) -> None:
    """Raises Missing if Odoo has not the whole file."""
    found = home.odoo.sql(
        "SELECT a.checksum FROM ir_attachment a JOIN res_partner p ON p.id = a.res_id AND a.res_model = 'res.partner' WHERE p.name = %s",
        subject,
    )
    if found != [(hashlib.sha1(content).hexdigest(),)]:
        raise Missing(f"what came in as {subject!r} is not what was sent; see {home.place.log('odoo')}")
