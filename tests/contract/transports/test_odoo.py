"""The transport of a stock Odoo, by both of its interfaces, against one that answers like the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailroom.ports import NewDelivery, NewMessage, Store
from mailroom.store.open import open_store
from mailroom.transports.http import Http, client
from mailroom.transports.odoo import OdooTransport
from mailroom.transports.ways import ODOO
from mailroom_core.model import Deferred, DeliveryId, Failed, Held, Kind, LaneName, MessageId, Outcome, Sent
from mailroom_core.providers.odoo.login import Login
from mailroom_core.providers.odoo.wire import NO_VALUES, Values
from tests.contract.transports.fake_odoo import ADD_ON_KEY, DATABASE, KEY, USER, FakeOdoo, fake_odoo
from tests.contract.transports.jobs import job, remember

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MAIL = (
    "From: Anna <anna@customer.example>\r\nDelivered-To: pretended@contoso.example\r\nTo: leads@contoso.example\r\n"
    "Subject: Hello\r\nMessage-ID: <a1@customer.example>\r\n{more}\r\nGrüße\r\n"
)


@pytest.fixture
def odoo() -> Iterator[FakeOdoo]:
    with fake_odoo() as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/mailroom.db", clock=lambda: NOW)
    yield store
    store.close()


@pytest.fixture(params=["json-2", "xml-rpc"])
def login(request: pytest.FixtureRequest, odoo: FakeOdoo) -> Login:
    return Login(url=odoo.url, database=DATABASE, user=USER, key=KEY, json2=request.param == "json-2")


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with client() as connection:
        yield Http(connection)


def raw(more: str = "", charset: str = "utf-8") -> bytes:
    return MAIL.format(more=more).encode(charset)


async def hand(login: Login, http: Http, store: Store, content: bytes | None = None, *to: str, values: Values = NO_VALUES) -> Outcome:
    async def of() -> Login:
        return login

    transport = OdooTransport(of, http, store, lambda recipients: values)
    found = await transport.attempt(job(*(to or ("leads@contoso.example",)), raw=raw() if content is None else content), remember)
    assert len(set(found.values())) == 1
    return next(iter(found.values()))


async def test_a_mail_becomes_a_record_byte_for_byte_but_for_the_envelope(login: Login, http: Http, store: Store, odoo: FakeOdoo) -> None:
    outcome = await hand(login, http, store, None, "leads@contoso.example", "sales@contoso.example")
    assert isinstance(outcome, Sent)
    assert outcome.remote_id == "101"
    (mail,) = odoo.taken
    assert mail.get_all("Delivered-To") == ["leads@contoso.example", "sales@contoso.example"]
    assert mail.get_payload(decode=True) == "Grüße\r\n".encode()


async def test_what_is_not_utf8_arrives_as_it_is(login: Login, http: Http, store: Store, odoo: FakeOdoo) -> None:
    assert isinstance(await hand(login, http, store, raw(charset="latin-1")), Sent)
    assert odoo.taken[0].get_payload(decode=True) == "Grüße\r\n".encode("latin-1")


async def test_an_answer_names_our_mail_by_the_id_that_odoo_knows(login: Login, http: Http, store: Store, odoo: FakeOdoo) -> None:
    delivery = NewDelivery(id=DeliveryId(1), recipient="anna@customer.example", server="out", lane=LaneName("x"), due_at=NOW)
    sent = NewMessage(
        id=MessageId(1),
        accepted_at=NOW,
        expires_at=NOW,
        sender="mary@contoso.example",
        header_from="mary@contoso.example",
        header_message_id="<ours@contoso.example>",
        subject="Offer",
        application="erp",
        kind=Kind.TRANSACTIONAL,
        size=1,
        raw=b"x",
        deliveries=(delivery,),
    )
    store.put([sent])
    odoo.parents["<ours@contoso.example>"] = 7
    outcome = await hand(login, http, store, raw("In-Reply-To: <ours@contoso.example>\r\n"), "reply@contoso.example")
    assert isinstance(outcome, Sent)
    assert outcome.remote_id == "7"


async def test_a_mail_whose_answer_got_lost_is_handed_over_again_and_makes_no_second_record(
    login: Login, http: Http, store: Store, odoo: FakeOdoo
) -> None:
    odoo.drop = lambda: bool(odoo.taken)
    for content in (raw(), raw().replace(b"Message-ID: <a1@customer.example>\r\n", b"")):
        odoo.taken.clear()
        odoo.drop = lambda: bool(odoo.taken)
        assert isinstance(await hand(login, http, store, content), Deferred)
        odoo.drop = lambda: False
        again = await hand(login, http, store, content)
        assert isinstance(again, Sent)
        assert "it has it already" in again.reply.text
        assert len(odoo.taken) == 1


async def test_a_mail_that_no_alias_takes_waits_in_quarantine_or_goes_to_the_fallback(
    login: Login, http: Http, store: Store, odoo: FakeOdoo
) -> None:
    odoo.aliases.clear()
    outcome = await hand(login, http, store)
    assert isinstance(outcome, Failed)
    assert "no alias of Odoo" in outcome.reply.text
    assert isinstance(await hand(replace(login, model="crm.lead"), http, store), Sent)


async def test_what_the_alias_says_of_the_record_goes_beside_the_mail(login: Login, http: Http, store: Store, odoo: FakeOdoo) -> None:
    login = replace(login, model="crm.lead")
    values = {"team_id": 3, "name": "Größe", "tag_ids": [[6, 0, [1, 2]]], "active": True, "probability": 0.5}
    for content, given in (
        (raw(), values),
        (raw(charset="latin-1").replace(b"<a1@", b"<a2@"), values),
        (raw().replace(b"<a1@", b"<a3@"), {}),
    ):
        assert isinstance(await hand(login, http, store, content, values=given), Sent)
    assert odoo.values == [values, values, None], "the second one goes by XML-RPC"
    odoo.add_on = True
    assert isinstance(await push(odoo, http, store, raw().replace(b"<a1@", b"<a4@"), model="crm.lead", values=values), Sent)
    assert odoo.values[-1] == values


async def test_a_loop_is_odoos_to_end(login: Login, http: Http, store: Store, odoo: FakeOdoo) -> None:
    assert isinstance(await hand(login, http, store, raw("References: <1-loop-detection-bounce-email@x>\r\n")), Sent)
    assert not odoo.taken


@pytest.mark.parametrize("wrong", [{"key": "nonsense"}, {"database": "shopp"}])
async def test_a_wrong_key_or_database_holds_everything(wrong: dict[str, str], login: Login, http: Http, store: Store) -> None:
    outcome = await hand(replace(login, **wrong), http, store)  # type: ignore[arg-type]  # texts all
    assert isinstance(outcome, Held)
    assert outcome.lane


async def test_an_odoo_that_is_down_is_tried_again(login: Login, http: Http, store: Store) -> None:
    assert isinstance(await hand(replace(login, url="http://127.0.0.1:9"), http, store), Deferred)


# ---- by the add-on


async def push(
    odoo: FakeOdoo,
    http: Http,
    store: Store,
    content: bytes,
    *to: str,
    key: str = ADD_ON_KEY,
    model: str = "",
    values: Values = NO_VALUES,
) -> Outcome:
    async def login() -> Login:
        return Login(url=odoo.url, database=DATABASE, user=USER, key=key, model=model)

    transport = OdooTransport(login, http, store, lambda recipients: values, add_on=True)
    (found,) = set((await transport.attempt(job(*(to or ("leads@contoso.example",)), raw=content), remember)).values())
    return found


async def test_the_add_on_takes_a_mail_once_and_names_its_record(http: Http, store: Store, odoo: FakeOdoo) -> None:
    odoo.add_on = True
    odoo.drop = lambda: bool(odoo.taken)
    latin = raw(charset="latin-1").replace(b"To: leads@", b"To: somebody@")
    assert isinstance(await push(odoo, http, store, latin), Deferred)
    odoo.drop = lambda: False
    again = await push(odoo, http, store, latin)
    assert isinstance(again, Sent)
    assert (again.remote_id, again.reply.text) == ("crm.lead,101", "Odoo has it already, in crm.lead 101")
    (mail,) = odoo.taken
    assert mail.get_payload(decode=True) == "Grüße\r\n".encode("latin-1")
    assert mail.get_all("Delivered-To") == ["leads@contoso.example"]


async def test_what_the_add_on_does_not_take_is_not_lost(http: Http, store: Store, odoo: FakeOdoo) -> None:
    missing = await push(odoo, http, store, raw())
    assert isinstance(missing, Held)
    assert "install it" in missing.reply.text
    odoo.add_on = True
    assert isinstance(await push(odoo, http, store, raw(), key=KEY), Held)
    loop = raw("References: <1-loop-detection-bounce-email@x>\r\n")
    for _ in range(2):
        assert isinstance(await push(odoo, http, store, loop), Failed)
    odoo.aliases.clear()
    nowhere = await push(odoo, http, store, raw())
    assert isinstance(nowhere, Failed)
    assert "no alias of Odoo" in nowhere.reply.text
    assert not odoo.taken
    made = await push(odoo, http, store, raw(), model="crm.lead")
    assert isinstance(made, Sent)
    assert made.reply.text == "Odoo has made crm.lead 101 of it"


async def test_an_unknown_end_is_resolved_by_handing_over_again(login: Login, http: Http, store: Store) -> None:
    async def of() -> Login:
        return login

    transport = OdooTransport(of, http, store, lambda recipients: {})
    known = await transport.resolve(job(facts={"way": ODOO}), remember)
    assert [type(each) for each in known.values()] == [Deferred]
    foreign = await transport.resolve(job(facts={"way": "smarthost"}), remember)
    assert [type(each) for each in foreign.values()] == [Held]
