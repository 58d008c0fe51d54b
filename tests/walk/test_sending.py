"""The main walk: a mail goes in by SMTP and out by each way, to whom the envelope says, and as whom the rules say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default

import pytest

from tests.contract.smtp_server import SmtpServer
from tests.walk.conftest import MakeWorld
from tests.walk.sink import smtp_sink
from tests.walk.world import ANNA, BOB, MARY, NOTIFICATIONS, SALES, TOM, World, mail, unique

MARTHA = "martha@warehouse.example"
"""Her domain goes by the smarthost."""
STRANGER = "stranger@elsewhere.example"
"""Nobody's FROM filter knows that domain."""
OBJECTS = """
[alias_domain."elsewhere.example"]
default_from = "notifications@contoso.example"

[server."sales"]
from_filter = ["sales@contoso.example"]
graph = {{ account = "office", mailbox = "sales@contoso.example" }}

[server."tom"]
from_filter = ["tom@contoso.example"]
graph = {{ account = "tom" }}

[server."relay"]
from_filter = ["warehouse.example"]
smarthost = {{ host = "127.0.0.1", port = {port}, security = "none" }}
"""


@pytest.fixture(scope="module")
def relay() -> Iterator[SmtpServer]:
    with smtp_sink() as server:
        yield server


@pytest.fixture(scope="module")
def world(make_world: MakeWorld, relay: SmtpServer) -> World:
    """Mary by draft, Tom with Mail.Send alone, the shared mailbox of sales, a smarthost for the warehouse."""
    world = make_world()
    world.emulator.ask("POST", f"/accounts/{MARY}/rights", json={NOTIFICATIONS: ["SendAs"]})
    world.gateway.connect(world.emulator, "tom", TOM, "--no-server", "--send-only")
    world.add_application("shop", "*")
    return world.set_up(OBJECTS.format(port=relay.port))


def test_a_plain_mail_arrives_once_and_lies_once_in_sent_items(world: World) -> None:
    subject = unique("plain")
    world.submit(mail(subject))
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert len(world.sent_items(MARY, subject)) == 1
    assert subject not in [draft["subject"] for draft in world.drafts()]


def test_with_mail_send_alone_a_mail_leaves_in_one_request(world: World) -> None:
    world.calm()
    subject = unique("send only")
    world.submit(mail(subject, sender=TOM), sender=TOM)
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]
    assert [request["mailbox"] for request in world.requests("sendMail")] == [TOM]
    assert world.count("createDraft") == 0


@pytest.mark.parametrize("sender", [MARY, TOM, SALES])
def test_a_bcc_recipient_gets_the_mail_and_nobody_sees_them(world: World, sender: str) -> None:
    subject, audit = unique("blind"), "audit@watch.example"
    world.submit(mail(subject, sender=sender), ANNA, audit, sender=sender)
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA, audit]
    copies = world.copies(subject)
    assert len(copies) == 2
    assert not [copy for copy in copies if audit.encode() in copy]


@pytest.mark.parametrize("sender", [MARY, TOM, MARTHA])
def test_copies_that_list_everybody_reach_their_own_recipient_only(world: World, relay: SmtpServer, sender: str) -> None:
    """Odoo hands one mail in once for each recipient; To and Message-ID are the same in all of them."""
    subject = unique("copies")
    everybody = [f"{name}@customer.example" for name in ("ann", "ben", "cleo", "dora")]
    raw = mail(subject, sender=sender, to=", ".join(everybody))
    application = "erp" if sender != MARTHA else "shop"
    with world.session(application) as smtp:
        for one in everybody:
            smtp.sendmail(sender, [one], raw)
    world.wait_until_sent(subject)
    assert _recipients_of(world, relay, subject) == everybody


def test_a_recipient_of_the_header_alone_gets_nothing(world: World) -> None:
    subject = unique("header alone")
    world.submit(mail(subject, to=f"{ANNA}, {BOB}", more="Cc: carl@customer.example\r\nBcc: dan@customer.example\r\n"), BOB)
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [BOB]


@pytest.mark.parametrize("sender", [MARY, TOM])
@pytest.mark.parametrize("to", ["undisclosed-recipients:;", f"{ANNA},", f"A: {BOB}, {ANNA};", "", '"broken <a@', "=?utf-8?q?=FF?= <x@y"])
def test_whatever_the_to_says_graph_delivers_to_the_envelope(world: World, sender: str, to: str) -> None:
    subject = unique("to")
    world.submit(mail(subject, sender=sender, to=to), sender=sender)
    world.wait_until_sent(subject)
    assert world.arrived(subject) == [ANNA]


@pytest.mark.parametrize("charset", ["x-unknown", "", "utf-8"])
def test_text_in_any_charset_passes_graph_without_damage(world: World, charset: str) -> None:
    """Exchange spoils 8-bit text and long lines, and guesses at charsets that it does not know."""
    subject, line = unique("charset"), "x" * 5000 + "\r\n"
    raw = mail(subject, more=f"Content-Type: text/plain; charset={charset}\r\n", text=line) + b"caf\xe9\r\n"
    world.submit(raw)
    world.wait_until_sent(subject)
    body = message_from_bytes(world.copies(subject)[0], policy=default).get_content()
    assert body.replace("\r\n", "\n").strip() == f"{'x' * 5000}\ncafé"


def test_mail_of_a_shared_mailbox_lies_in_its_own_sent_items(world: World) -> None:
    subject = unique("shared")
    world.submit(mail(subject, sender=SALES), sender=SALES)
    world.wait_until_sent(subject)
    (copy,) = world.copies(subject)
    assert world.arrived(subject) == [ANNA]
    assert SALES in message_from_bytes(copy)["From"]
    assert len(world.sent_items(SALES, subject)) == 1
    assert world.sent_items(MARY, subject) == []


def test_a_sender_that_no_filter_knows_is_rewritten_and_keeps_name_and_answers(world: World) -> None:
    subject = unique("rewritten")
    raw = mail(subject, sender=f"=?utf-8?q?Zo=C3=AB_Stranger?= <{STRANGER}>")
    world.submit(raw, sender=STRANGER, application="shop")
    world.wait_until_sent(subject)
    message = message_from_bytes(world.copies(subject)[0], policy=default)
    (author,) = message["From"].addresses
    assert (author.display_name, author.addr_spec) == ("Zoë Stranger", NOTIFICATIONS)
    assert [address.addr_spec for address in message["Reply-To"].addresses] == [STRANGER]


def test_a_rewritten_mail_keeps_the_reply_to_that_it_has(world: World) -> None:
    subject = unique("reply to")
    raw = mail(subject, sender=f'"Shop" <{STRANGER}>', more="Reply-To: desk@elsewhere.example\r\n")
    world.submit(raw, sender=STRANGER, application="shop")
    world.wait_until_sent(subject)
    message = message_from_bytes(world.copies(subject)[0], policy=default)
    (author,) = message["From"].addresses
    assert (author.display_name, author.addr_spec) == ("Shop", NOTIFICATIONS)
    assert [address.addr_spec for address in message["Reply-To"].addresses] == ["desk@elsewhere.example"]


def test_a_domain_with_a_smarthost_leaves_by_it(world: World, relay: SmtpServer) -> None:
    subject = unique("smarthost")
    raw = mail(subject, sender=MARTHA, text=".a line that begins with a dot\r\n" + "x" * 900 + "\r\n")
    world.submit(raw, ANNA, BOB, sender=MARTHA, application="shop")
    world.wait_until_sent(subject)
    taken = [mail for mail in relay.mails if subject.encode() in mail.content]
    assert [mail.recipients for mail in taken] == [[ANNA, BOB]]
    assert taken[0].content.endswith(raw)
    assert world.arrived(subject) == []


def test_twenty_megabytes_arrive_byte_for_byte(world: World) -> None:
    subject, content = unique("large"), os.urandom(20 * 1024 * 1024)
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = MARY, ANNA, subject
    message.set_content("The catalogue is attached.\n")
    message.add_attachment(content, maintype="application", subtype="pdf", filename="catalogue.pdf")
    world.submit(message.as_bytes(), ANNA, "audit@watch.example")
    world.wait_until_sent(subject, patience=60)
    assert world.arrived(subject) == [ANNA, "audit@watch.example"]
    got = message_from_bytes(world.copies(subject)[0], policy=default)
    (attachment,) = got.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content() == content) == ("catalogue.pdf", True)


def _recipients_of(world: World, relay: SmtpServer, subject: str) -> list[str]:
    taken = [one for mail in relay.mails if subject.encode() in mail.content for one in mail.recipients]
    return world.arrived(subject) or sorted(taken)


def test_a_text_that_graph_takes_in_no_form_is_a_552_at_once(world: World) -> None:
    subject = unique("endless text")
    code, text = world.answer_to(mail(subject, text=("x" * 78 + "\r\n") * 50_000))
    assert (code, text[:5]) == (552, "5.3.4")
    assert "send it as an attachment" in text
    assert not world.deliveries(subject)
