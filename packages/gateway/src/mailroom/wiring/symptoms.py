"""What the questions about symptoms may ask of this installation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

from mailroom.doctor.mail_judge import MailReport
from mailroom.doctor.symptoms.asking import Answer, Clinic, Prospect, ask
from mailroom.doctor.symptoms.questions import question
from mailroom.intake.judge import Came, came_by
from mailroom.mailboxes import address_of
from mailroom.objects import OutgoingServer, SmarthostRoute, Verp
from mailroom.observe.recent import Refusal
from mailroom.return_address import is_read
from mailroom.way_out import explained
from mailroom.wiring.health import examination
from mailroom.wiring.health.programs import comes_by
from mailroom.wiring.intake import make_judge
from mailroom.wiring.parts import Parts, utc_now
from mailroom_core.errors import ConfigError
from mailroom_core.mime.index import MAX_HEAD
from mailroom_core.mime.source import InMemory
from mailroom_core.model import Envelope, MessageId
from mailroom_core.policy.addresses import domain_of, is_deliverable, normalize

STRANGER = "somebody@example.com"
"""Who writes the mail that the rules are asked about."""
_PROVEN = "Authentication-Results: {by}; dmarc=pass header.from=example.com\r\n"


async def answered(
    parts: Parts,
    slug: str,
    message: str = "",
    address: str = "",
    letter: bytes | None = None,
    *,
    refusals: Callable[[], Sequence[Refusal] | None] = lambda: None,
) -> Answer:
    """Raises ConfigError for a question or a mail that there is not."""
    from mailroom.wiring.doctor import look_at

    clinic = Clinic(
        store=parts.store,
        directory=parts.directory,
        clock=utc_now,
        health=lambda subject: examination(parts, subject).look(),
        domain=lambda domain: look_at(parts, domain),
        server_of=lambda sender: explained(parts.directory(), sender).choice.server,
        head=partial(_head, parts),
        refusals=refusals,
        ways_in=lambda: comes_by(parts),
        prospects=partial(prospects, parts),
        apart=partial(_apart, parts),
        returns=partial(_returns, parts),
    )
    return await ask(clinic, question(slug), message=message, address=address, letter=letter)


def prospects(parts: Parts, address: str) -> list[Prospect]:
    """See `Clinic.prospects`: the same judge that mail meets which comes in. A server that fetches this very mailbox is the only way."""
    if not is_deliverable(address):
        raise ConfigError(f"{address[:200]!r} is no address; write local@domain")
    directory, judge = parts.directory(), make_judge(parts)
    active = [each for _, each in sorted(directory.incoming.items()) if each.active]
    own = [each for each in active if normalize(address_of(directory, each)) == normalize(address)]
    ways = [(f"fetched by {each.name}", came_by(each)) for each in own or active]
    if not own and any(each not in directory.incoming for each in comes_by(parts)):
        mx = parts.settings.mx
        envelope = Envelope(STRANGER, (address,))
        handed = Came(by="", fallback=mx.destination if mx.enabled else "", authserv_id="here", envelope=envelope)
        ways.insert(0, ("handed over by a mail server", handed))
    return [Prospect(way, judge(_letter(address, came), came, utc_now()).decision) for way, came in ways]


def _letter(address: str, came: Came) -> InMemory:
    """Proven, where somebody says so of real mail; an alias may want that."""
    proof = _PROVEN.format(by=came.authserv_id) if came.authserv_id else ""
    return InMemory(
        f"{proof}From: Somebody <{STRANGER}>\r\nTo: {address}\r\nSubject: A question\r\nMessage-ID: <question@example.com>\r\n\r\n"
        "Hello\r\n".encode()
    )


def _apart(parts: Parts, mail: MessageId | bytes) -> MailReport | None:
    from mailroom.wiring.doctor import judge_mail
    from mailroom.wiring.support import source_of

    if isinstance(mail, bytes):
        return judge_mail(parts, InMemory(mail.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")))
    with source_of(parts, mail) as source:
        return None if source is None else judge_mail(parts, source)


def _returns(parts: Parts, server: OutgoingServer, sender: str) -> bool:
    """By an envelope sender of ours (VERP), or because the sender's domain is one whose mail is handed over to us."""
    directory, route = parts.directory(), server.route
    domain = directory.alias_domains.get(domain_of(sender)) if "@" in sender else None
    if domain is None or not isinstance(route, SmarthostRoute):
        return False
    if route.verp is Verp.ALWAYS or (route.verp is Verp.AUTO and is_read(directory, domain)):
        return True
    return any(each not in directory.incoming for each in comes_by(parts))


def _head(parts: Parts, number: MessageId) -> bytes:
    kept = parts.store.read(number)
    if kept is None or (kept.raw is None and not kept.blob):
        return b""
    if kept.raw is not None:
        return kept.raw[:MAX_HEAD]
    with closing(parts.blobs.open(kept.blob)) as blob:
        return blob.read_at(0, MAX_HEAD)
