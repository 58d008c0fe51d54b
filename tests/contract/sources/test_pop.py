"""POP3 against a real Dovecot: what is deleted was stored before, and a visit that breaks off deletes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailroom.incoming import New
from mailroom.objects import PopInbox, Security
from mailroom.sources import pop as pop_source
from mailroom.sources.pop import PopSource
from mailroom.sources.visit import Credential
from mailroom_core.errors import VaultError
from mailroom_core.model import After, Arrived, Deferred, Held, NotThere, Remote
from tests.contract.sources.conftest import Signer, Tokens, mail, password, pop
from tests.dovecot import Dovecot

pytestmark = pytest.mark.anyio


def source(inbox: PopInbox, signer: Signer | None = None, *, after: After = After.DELETE) -> PopSource:
    return PopSource(inbox, signer or password(inbox.user), address=inbox.user, after=after, secret="mailroom incoming password info")


async def found(there: PopSource, cursor: str = "", skip: int = 0) -> New:
    new = await there.new(cursor, skip)
    assert isinstance(new, New), new
    return new


async def test_mail_is_read_byte_for_byte_also_dots_and_endless_lines(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    body = b".\r\n..two\r\n.x\r\n" + b"y" * 200_000 + b"\r\n." + b"z" * 70_000 + b"\r\n\r\n"
    dovecot.deliver(mailbox, mail("dots", body=body))
    there = source(pop(dovecot, mailbox))
    (message,) = (await found(there)).arrived
    assert await there.read(message, tmp_path / "one.eml") is None
    assert (tmp_path / "one.eml").read_bytes().endswith(mail("dots", body=body).partition(b"From:")[2])
    await there.close()


@pytest.mark.parametrize("way", ["tls", "starttls", "none"])
async def test_what_was_acknowledged_is_deleted_when_the_look_ends(dovecot: Dovecot, mailbox: str, tmp_path: Path, way: str) -> None:
    dovecot.deliver(mailbox, mail("one"), mail("two"))
    there = source(pop(dovecot, mailbox, security=Security(way), port=dovecot.ports["pop3s" if way == "tls" else "pop3"]))
    new = await found(there)
    assert (len(new.arrived), new.more, new.cursor) == (2, False, "")
    assert await there.read(new.arrived[0], tmp_path / "one.eml") is None
    assert b"Subject: one" in (tmp_path / "one.eml").read_bytes()
    assert await there.acknowledge(new.arrived[0]) is None
    await there.close()
    assert dovecot.subjects(mailbox) == ["two"]


async def test_a_visit_that_breaks_off_deletes_nothing_and_ids_stay(dovecot: Dovecot, mailbox: str) -> None:
    dovecot.deliver(mailbox, mail("one"))
    there = source(pop(dovecot, mailbox))
    (message,) = (await found(there)).arrived
    assert await there.acknowledge(message) is None
    there._visit.drop()
    assert dovecot.subjects(mailbox) == ["one"]
    assert (await found(there)).arrived == [message]
    await there.close()


async def test_pages_are_visits(dovecot: Dovecot, mailbox: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pop_source, "PAGE", 2)
    dovecot.deliver(mailbox, *(mail(f"no {number}") for number in range(3)))
    there = source(pop(dovecot, mailbox))
    first = await found(there)
    assert (len(first.arrived), first.more) == (2, True)
    for each in first.arrived:
        assert await there.acknowledge(each) is None
    second = await found(there)
    assert (len(second.arrived), second.more) == (1, False)
    assert dovecot.subjects(mailbox) == ["no 2"]
    await there.close()


async def test_what_is_left_there_is_remembered_by_the_last_one(dovecot: Dovecot, mailbox: str) -> None:
    dovecot.deliver(mailbox, mail("one"), mail("two"))
    there = source(pop(dovecot, mailbox), after=After.NOTHING)
    first = await found(there)
    assert len(first.arrived) == 2
    assert await there.acknowledge(first.arrived[0]) is None
    assert (await found(there, first.cursor)).arrived == []
    dovecot.deliver(mailbox, mail("three"))
    (third,) = (await found(there, first.cursor)).arrived
    assert third not in first.arrived
    assert dovecot.subjects(mailbox) == ["one", "two", "three"]
    assert len((await found(there, "a cursor that is gone")).arrived) == 3
    await there.close()


async def test_what_somebody_else_deletes_brings_nothing_back(dovecot: Dovecot, mailbox: str) -> None:
    dovecot.deliver(mailbox, mail("one"), mail("two"), mail("three"))
    there = source(pop(dovecot, mailbox), after=After.NOTHING)
    first = await found(there)
    with dovecot.opened(mailbox) as client:
        client.store("3", "+FLAGS", "\\Deleted")
        client.expunge()
    assert (await found(there, first.cursor)).arrived == []
    dovecot.deliver(mailbox, mail("four"))
    second = await found(there, first.cursor)
    assert len(second.arrived) == 1
    assert (await found(there, second.cursor)).arrived == []
    await there.close()


async def test_sign_ins_with_a_token_and_those_that_are_refused(dovecot: Dovecot, mailbox: str, tokens: Tokens) -> None:
    tokens.owners["pop good"] = mailbox
    signer = Signer([Credential(mailbox, "stale", token=True), Credential(mailbox, "pop good", token=True)])
    there = source(pop(dovecot, mailbox, account="office"), signer)
    assert (await found(there)).arrived == []
    assert signer.refused == ["stale"]
    await there.close()
    for wrong, inbox in (
        (password(mailbox, "wrong"), pop(dovecot, mailbox)),
        (Signer([Credential(mailbox, "dead", token=True)]), pop(dovecot, mailbox, account="office")),
    ):
        refused = source(inbox, wrong)
        with pytest.raises(VaultError, match="run: mailroom"):
            await refused.new("", 0)
        await refused.close()


async def test_trouble_of_the_connection_is_told(dovecot: Dovecot, mailbox: str) -> None:
    refused = await source(pop(dovecot, mailbox, port=1)).new("", 0)
    assert isinstance(refused, Deferred)
    refused = await source(pop(dovecot, mailbox, ca_file="")).new("", 0)
    assert isinstance(refused, Held)
    assert "ca_file" in str(refused.reply)


async def test_what_has_gone_meanwhile_is_no_trouble(dovecot: Dovecot, mailbox: str, tmp_path: Path) -> None:
    there = source(pop(dovecot, mailbox))
    assert isinstance(await there.read(Arrived(Remote("gone"), None), tmp_path / "one.eml"), NotThere)
    assert await there.acknowledge(Arrived(Remote("gone"), None)) is None
    await there.close()
