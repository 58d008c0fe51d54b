"""IMAP against a real Dovecot: nothing is missed, nothing is taken twice, and memory does not grow with a mail."""

from __future__ import annotations

import asyncio
import imaplib
import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from imapclient import IMAPClient

from mailroom.incoming import New
from mailroom.objects import ImapInbox, Security
from mailroom.sources import imap_session
from mailroom.sources.imap import ImapSource
from mailroom.sources.imap_session import ImapSession
from mailroom.sources.visit import Broken, Credential, Visit
from mailroom_core.errors import VaultError
from mailroom_core.model import After, Arrived, Deferred, Held, NotConvertible, NotThere, Remote
from tests.contract.sources.conftest import Signer, Tokens, imap, mail, password
from tests.dovecot import PASSWORD, Dovecot
from tests.mail_server import MailServer

pytestmark = pytest.mark.anyio
MiB = 1024 * 1024


def source(
    inbox: ImapInbox,
    signer: Signer | None = None,
    *,
    after: After = After.READ,
    move_to: str = "",
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ImapSource:
    return ImapSource(
        inbox,
        signer or password(inbox.user),
        address=inbox.user,
        after=after,
        move_to=move_to,
        secret="mailroom incoming password info",
        clock=clock,
    )


async def found(there: ImapSource, cursor: str = "", skip: int = 0) -> New:
    new = await there.new(cursor, skip)
    assert isinstance(new, New), new
    return new


async def taken(there: ImapSource, into: Path, cursor: str = "") -> list[bytes]:
    """All that is new, in order; each is acknowledged."""
    mails = []
    for message in (await found(there, cursor)).arrived:
        assert await there.read(message, into) is None
        mails.append(await asyncio.to_thread(into.read_bytes))
        assert await there.acknowledge(message) is None
    return mails


async def test_what_is_unread_is_read_in_order_byte_for_byte_and_then_marked(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    mails = [mail(f"no {number}", body=b".\r\n..dots\r\n\xe4\r\n" * number) for number in range(1, 4)]
    dovecot.deliver(mailbox, *mails)
    there = source(imap(dovecot, mailbox))
    read = await taken(there, tmp_path / "one.eml")
    assert [each.partition(b"From: Ann")[2] for each in read] == [each.partition(b"From: Ann")[2] for each in mails]
    assert dovecot.subjects(mailbox, "UNSEEN") == []
    assert (await found(there)).arrived == ()
    await there.close()


@pytest.mark.parametrize("way", ["starttls", "none"])
async def test_other_ways_to_connect(dovecot: Dovecot, mailbox: str, tmp_path: Path, way: str) -> None:
    dovecot.deliver(mailbox, mail("one"))
    there = source(imap(dovecot, mailbox, port=dovecot.ports["imap"], security=Security(way)))
    assert len(await taken(there, tmp_path / "one.eml")) == 1
    await there.close()


async def test_a_certificate_that_nobody_vouches_for_is_refused_before_the_password(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    for security, port in ((Security.TLS, "imaps"), (Security.STARTTLS, "imap")):
        signer = password(mailbox)
        there = source(imap(dovecot, mailbox, ca_file="", security=security, port=dovecot.ports[port]), signer)
        refused = await there.new("", 0)
        assert isinstance(refused, Held)
        assert "name the file of its own CA in ca_file" in str(refused.reply)
        await there.close()
    assert f"user=<{mailbox}>" not in dovecot.log()
    other = tmp_path / "empty.pem"
    other.write_text("")
    refused = await source(imap(dovecot, mailbox, ca_file=str(other))).new("", 0)
    assert isinstance(refused, Held)
    assert "name another in ca_file" in str(refused.reply)


async def test_a_wrong_password_is_a_sign_in_that_a_person_puts_right(dovecot: Dovecot, mailbox: str) -> None:
    there = source(imap(dovecot, mailbox), password(mailbox, "wrong"))
    with pytest.raises(VaultError, match=r"refuses the password for .*; run: mailroom incoming password info"):
        await there.new("", 0)
    await there.close()


@pytest.mark.parametrize("after", [After.READ, After.NOTHING])
async def test_a_folder_with_more_mail_than_one_answer_holds_is_read_in_parts(
    dovecot: Dovecot, mailbox: str, monkeypatch: pytest.MonkeyPatch, after: After
) -> None:
    monkeypatch.setattr(imaplib, "_MAXLINE", 1400)
    monkeypatch.setattr(imap_session, "FIRST", 50)
    monkeypatch.setattr(imap_session, "MOST", 200)
    before = source(imap(dovecot, mailbox), after=after)
    cursor = (await found(before)).cursor
    await before.close()
    dovecot.fill(mailbox, (mail(f"no {number}", names=f"Message-ID: <{number}@x.example>\r\n") for number in range(400)))
    there = source(imap(dovecot, mailbox), after=after)
    came: list[str] = []
    while arrived := (new := await found(there, cursor)).arrived:
        came += [each.remote.remote_id for each in arrived]
        for each in arrived:
            assert await there.acknowledge(each) is None
        cursor = new.cursor
    assert len(came) == len(set(came)) == 400
    await there.close()


async def test_a_large_folder_that_was_numbered_anew_is_looked_through_in_parts(
    dovecot: Dovecot, mailbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imaplib, "_MAXLINE", 1400)
    monkeypatch.setattr(imap_session, "FIRST", 50)
    monkeypatch.setattr(imap_session, "MOST", 200)
    clock = datetime.now(UTC) - timedelta(days=1)
    there = source(imap(dovecot, mailbox), after=After.NOTHING, clock=lambda: clock)
    cursor = (await found(there)).cursor
    dovecot.fill(mailbox, (mail(f"no {number}", names=f"Message-ID: <{number}@x.example>\r\n") for number in range(400)))
    await there.close()
    dovecot.renumber(mailbox, 4711)
    again = source(imap(dovecot, mailbox), after=After.NOTHING)
    assert len((await found(again, cursor)).arrived) == 400
    await again.close()


async def test_a_token_is_shown_and_asked_for_once_more_when_it_is_refused(
    dovecot: Dovecot, mailbox: str, tokens: Tokens, tmp_path: Path
) -> None:
    tokens.owners["good"] = mailbox
    dovecot.deliver(mailbox, mail("one"))
    signer = Signer([Credential(mailbox, "stale", token=True), Credential(mailbox, "good", token=True)])
    there = source(imap(dovecot, mailbox, account="office"), signer)
    assert len(await taken(there, tmp_path / "one.eml")) == 1
    assert signer.refused == ["stale"]
    await there.close()
    dead = source(imap(dovecot, mailbox, account="office"), Signer([Credential(mailbox, "dead", token=True)]))
    with pytest.raises(VaultError, match="run: mailroom connect office"):
        await dead.new("", 0)
    await dead.close()


async def test_a_server_that_is_not_there_is_trouble_that_passes(mailbox: str, dovecot: Dovecot) -> None:
    refused = await source(imap(dovecot, mailbox, port=1)).new("", 0)
    assert isinstance(refused, Deferred)
    assert "takes no connections; look at host and port" in str(refused.reply)
    refused = await source(imap(dovecot, mailbox, host="nobody.invalid")).new("", 0)
    assert isinstance(refused, Deferred)
    assert "has no address" in str(refused.reply)


async def test_folders_are_found_by_path_and_what_is_missing_is_said(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    with dovecot.opened(mailbox, "Invoices/New") as client:
        client.append("Invoices/New", "", "", mail("bill"))
    there = source(imap(dovecot, mailbox, folder="invoices/new"))
    assert len(await taken(there, tmp_path / "one.eml")) == 1
    await there.close()
    refused = await source(imap(dovecot, mailbox, folder="Nowhere")).new("", 0)
    assert isinstance(refused, Held)
    assert "There is no folder 'Nowhere'" in str(refused.reply)


async def test_mail_is_moved_and_a_folder_that_is_missing_leaves_it_where_it_is(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    dovecot.deliver(mailbox, mail("one"), mail("two"))
    lost = source(imap(dovecot, mailbox), after=After.MOVE, move_to="Nowhere")
    (message, _) = (await found(lost)).arrived
    refused = await lost.acknowledge(message)
    assert isinstance(refused, Held)
    await lost.close()
    there = source(imap(dovecot, mailbox), after=After.MOVE, move_to="done")
    assert len(await taken(there, tmp_path / "one.eml")) == 2
    await there.close()
    assert (dovecot.subjects(mailbox), dovecot.subjects(mailbox, folder="Done")) == ([], ["one", "two"])


async def test_what_is_deleted_takes_nothing_with_it_that_somebody_else_has_marked(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    dovecot.deliver(mailbox, mail("ours"), mail("a person's"))
    with dovecot.opened(mailbox) as client:
        client.store("2", "+FLAGS", "(\\Deleted \\Seen)")
        client.unselect()  # CLOSE would expunge
    there = source(imap(dovecot, mailbox), after=After.DELETE)
    assert len(await taken(there, tmp_path / "one.eml")) == 1
    await there.close()
    assert dovecot.subjects(mailbox) == ["a person's"]


async def test_who_may_only_read_takes_what_comes_from_now_on_and_marks_nothing(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    dovecot.deliver(mailbox, mail("before"))
    there = source(imap(dovecot, mailbox), after=After.NOTHING)
    first = await found(there)
    assert (first.arrived, first.more) == ((), False)
    dovecot.deliver(mailbox, mail("after"), mail("later"))
    second = await found(there, first.cursor)
    assert len(second.arrived) == 2
    assert await there.read(second.arrived[0], tmp_path / "one.eml") is None
    assert b"Subject: after" in (tmp_path / "one.eml").read_bytes()
    assert (await found(there, second.cursor)).arrived == ()
    assert dovecot.subjects(mailbox, "UNSEEN") == ["before", "after", "later"]
    await there.close()


async def test_a_folder_that_was_numbered_anew_loses_and_doubles_nothing(dovecot: Dovecot, mailbox: str) -> None:
    names = "Message-ID: <known@customer.example>\r\n"
    dovecot.deliver(mailbox, mail("before"))
    began = datetime.now(UTC)
    there = source(imap(dovecot, mailbox), after=After.NOTHING, clock=lambda: began)
    cursor = (await found(there)).cursor
    await asyncio.to_thread(_next_second, began)
    dovecot.deliver(mailbox, mail("known", names=names))
    (known,) = (await found(there, cursor)).arrived
    cursor = (await found(there, cursor)).cursor
    await there.close()
    dovecot.renumber(mailbox, 4_000_000_000)
    dovecot.deliver(mailbox, mail("new"))
    there = source(imap(dovecot, mailbox), after=After.NOTHING, clock=lambda: began)
    again = await found(there, cursor)
    assert len(again.arrived) == 2
    assert again.arrived[0].remote == known.remote
    assert (await found(there, again.cursor)).arrived == ()
    await there.close()


def _next_second(after: datetime) -> None:
    """INTERNALDATE has no more than seconds."""
    while datetime.now(UTC) <= after.replace(microsecond=0) + timedelta(seconds=1):
        pass


async def test_numbers_that_change_during_a_look_end_it(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    dovecot.deliver(mailbox, mail("one"))
    there = source(imap(dovecot, mailbox))
    (message,) = (await found(there)).arrived
    await there.close()
    there = source(imap(dovecot, mailbox))
    (message,) = (await found(there)).arrived
    there._visit.drop()
    dovecot.renumber(mailbox, 3_000_000_000)
    assert isinstance(await there.read(message, tmp_path / "one.eml"), Deferred)
    assert isinstance(await there.acknowledge(message), Deferred)
    assert dovecot.subjects(mailbox, "UNSEEN") == ["one"]
    await there.close()


async def test_doubles_in_a_folder_are_one_mail_and_both_are_marked(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    raw, when = mail("twice", names="Message-ID: <twice@customer.example>\r\n"), '"21-Nov-2026 12:00:00 +0000"'
    with dovecot.opened(mailbox) as client:
        for _ in range(2):
            client.append("INBOX", "", when, raw)
    there = source(imap(dovecot, mailbox))
    assert len(await taken(there, tmp_path / "one.eml")) == 1
    assert dovecot.subjects(mailbox, "UNSEEN") == []
    await there.close()


async def test_mails_with_nothing_of_their_own_are_told_apart_by_number(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    when = '"21-Nov-2026 12:00:00 +0000"'
    with dovecot.opened(mailbox) as client:
        for body in (b"one\r\n", b"two\r\n"):
            client.append("INBOX", "", when, mail("Scan", body=body))
    there = source(imap(dovecot, mailbox))
    assert [each[-5:] for each in await taken(there, tmp_path / "one.eml")] == [b"one\r\n", b"two\r\n"]
    await there.close()


async def test_what_has_gone_meanwhile_is_no_trouble(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    dovecot.deliver(mailbox, mail("one"))
    there = source(imap(dovecot, mailbox))
    (message,) = (await found(there)).arrived
    with dovecot.opened(mailbox) as client:
        client.store("1", "+FLAGS", "\\Deleted")
        client.expunge()
    assert isinstance(await there.read(message, tmp_path / "one.eml"), NotThere)
    assert await there.acknowledge(message) is None
    await there.close()


@pytest.mark.parametrize("content", [b" BODY[]<0> NIL", b""])
@pytest.mark.parametrize("gone", [False, True])
async def test_a_mail_without_content_is_told_if_it_is_still_there(tmp_path: Path, content: bytes, gone: bool) -> None:
    """Of what somebody has deleted a server may say NIL as well, until it tells so (RFC 2180 4.1.3)."""

    def answer(line: bytes) -> bytes:
        tag, _, command = line.strip().partition(b" ")
        told = {
            b"CAPABILITY": b"* CAPABILITY IMAP4rev1 OBJECTID\r\n",
            b"SELECT": b"* FLAGS (\\Seen)\r\n* OK [UIDVALIDITY 1]\r\n* OK [UIDNEXT 9]\r\n* 1 EXISTS\r\n",
            b"UID SEARCH": b"* SEARCH 8\r\n",
            b"UID FETCH 8 (INTERNALDATE EMAILID)": b'* 1 FETCH (UID 8 EMAILID (M1) INTERNALDATE "21-Nov-2026 12:00:00 +0000")\r\n',
            b"UID FETCH 8 (BODY.PEEK[]": b"* 1 FETCH (UID 8%s)\r\n" % content,
            b"UID FETCH 8 (UID)": b"" if gone else b"* 1 FETCH (UID 8)\r\n",
            b"NOOP": b"* 1 EXPUNGE\r\n" if gone else b"",
        }
        return next((said for begin, said in told.items() if command.startswith(begin)), b"") + tag + b" OK done\r\n"

    with MailServer(b"* OK ready\r\n", answer) as server:
        there = source(ImapInbox(host="127.0.0.1", port=server.port, security=Security.NONE, user="info"))
        (message,) = (await found(there)).arrived
        said = await there.read(message, tmp_path / "one.eml")
        await there.close()
    assert isinstance(said, NotThere if gone else NotConvertible)
    assert gone or "no content of this mail" in str(said)


async def test_what_goes_while_it_is_read_is_never_taken_for_a_whole_mail(
    dovecot: Dovecot, mailbox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dovecot.deliver(mailbox, mail("one", body=b"0123456789\r\n" * 1000))
    there = source(imap(dovecot, mailbox))
    (message,) = (await found(there)).arrived
    monkeypatch.setattr(imap_session, "PIECE", 4096)
    fetch, asked = IMAPClient.fetch, []

    def fetched(client: IMAPClient, uids: list[int], wanted: list[str]) -> object:
        asked.append(wanted)
        if len(asked) == 2:
            with dovecot.opened(mailbox) as other:
                other.store("1", "+FLAGS", "\\Deleted")
                other.expunge()
            client.noop()
        return fetch(client, uids, wanted)

    monkeypatch.setattr(IMAPClient, "fetch", fetched)
    assert isinstance(await there.read(message, tmp_path / "one.eml"), NotThere)
    assert [each[0].partition("[")[0] for each in asked] == ["BODY.PEEK", "BODY.PEEK", "UID"]
    await there.close()


async def test_a_mail_that_the_server_cant_read_ends_the_connection_and_stops_no_other(
    dovecot: Dovecot, mailbox: str, tmp_path: Path
) -> None:
    dovecot.deliver(mailbox, mail("good"), mail("broken", body=b"x" * 5 * MiB), mail("also good"))
    there = source(imap(dovecot, mailbox))
    messages = (await found(there)).arrived
    (broken,) = (dovecot.folder / "mail" / mailbox).glob("*/*S=52*")
    os.truncate(broken, 100_000)
    files = [tmp_path / f"{number}.eml" for number in range(3)]
    ends = await asyncio.gather(*(there.read(each, file) for each, file in zip(messages, files, strict=True)), return_exceptions=True)
    assert ends[0] is ends[2] is None
    assert isinstance(ends[1], Broken)
    assert b"also good" in await asyncio.to_thread(files[2].read_bytes)
    assert await there.acknowledge(messages[2]) is None
    await there.close()
    assert dovecot.subjects(mailbox, "UNSEEN") == ["good", "broken"]


async def test_a_large_mail_takes_no_more_memory_than_a_piece(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    dovecot.deliver(mailbox, mail("large", body=b"0123456789" * 7 + b"\r\n"), mail("larger", body=(b"0123456789" * 7 + b"\r\n") * 440_000))
    there = source(imap(dovecot, mailbox))
    messages = (await found(there)).arrived
    assert await there.read(messages[0], tmp_path / "small.eml") is None
    tracemalloc.start()
    try:
        assert await there.read(messages[1], tmp_path / "large.eml") is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "large.eml").stat().st_size > 30 * MiB
    assert peak < 10 * MiB
    await there.close()


async def test_waiting_hears_of_new_mail_and_ends_with_the_connection(dovecot: Dovecot, mailbox: str) -> None:
    inbox = imap(dovecot, mailbox)
    visit = Visit(inbox, password(mailbox), lambda shown: ImapSession(inbox, shown, read_only=True), "")
    heard: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    told = lambda: loop.call_soon_threadsafe(heard.put_nowait, None)  # noqa: E731
    waiting = asyncio.create_task(visit(lambda session: session.wait(told)))
    async with asyncio.timeout(20):
        await heard.get()  # it hears
        await asyncio.to_thread(dovecot.deliver, mailbox, mail("one"))
        await heard.get()
        await asyncio.to_thread(dovecot.kick, mailbox)
        with pytest.raises(Broken, match="has ended the connection"):
            await waiting
    await visit.close()


async def test_closing_breaks_off_what_is_under_way(dovecot: Dovecot, mailbox: str) -> None:
    inbox = imap(dovecot, mailbox)
    visit = Visit(inbox, password(mailbox), lambda shown: ImapSession(inbox, shown, read_only=True), "")
    hears = asyncio.Event()
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(visit(lambda session: session.wait(lambda: loop.call_soon_threadsafe(hears.set))))
    async with asyncio.timeout(20):
        await hears.wait()
        waiting.cancel()
        await visit.close()
        await asyncio.to_thread(visit._thread.shutdown)


async def test_a_message_of_another_look_is_not_taken_for_one_of_this(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    there = source(imap(dovecot, mailbox))
    with pytest.raises(KeyError):
        await there.read(Arrived(Remote("h.unknown"), None), tmp_path / "one.eml")
    await there.close()


def test_a_credential_never_shows_its_secret() -> None:
    assert PASSWORD not in repr(Credential("info", PASSWORD))
