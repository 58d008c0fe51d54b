"""Sign-in through an identity provider: one that tells the truth, and ones that lie."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT
from mailroom.objects import Role
from mailroom.signin.admission import Admission, Rules
from mailroom.signin.guest import Guest
from mailroom.signin.keys import Keyed
from mailroom.signin.provider import Identity, Provider, ProviderTrouble, Registration
from mailroom.signin.reception import Refusal, SignInRefused
from mailroom.store.open import open_store
from mailroom.store.sql import SqlStore
from mailroom.users import User
from mailroom_emulator.server import Options, in_thread
from tests.contract.store.makers import FakeClock
from tests.oidc import CLIENT, SECRET, Forge, Key, Oidc, b64, provider, unsigned, with_secret
from tests.unit.gateway.test_signing_in import Notes

BACK = "https://mail.example.com/signin/answer"
BROWSER = Guest(visit="a visit", address="192.0.2.1", agent="Firefox")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[SqlStore]:
    made = open_store(tmp_path / "mailroom.db", clock=clock)
    yield made
    made.close()


@pytest.fixture
def oidc(clock: FakeClock) -> Iterator[Oidc]:
    with provider() as made:
        made.now = lambda: clock().timestamp()
        yield made


@pytest.fixture
def ours(oidc: Oidc, store: SqlStore, clock: FakeClock) -> Provider:
    registration = Registration(issuer=oidc.url, client_id=CLIENT, client_secret=SECRET)
    return Provider(registration, users=store.users, keyed=Keyed(b"k" * 32), clock=clock)


def sent_to(ours: Provider, guest: Guest = BROWSER) -> str:
    return asyncio.run(ours.begin(guest, BACK, next="/messages"))


def finish(ours: Provider, answer: dict[str, str], guest: Guest = BROWSER) -> tuple[Identity, str]:
    return asyncio.run(ours.finish(guest, BACK, answer))


def trouble(ours: Provider, answer: dict[str, str]) -> str:
    with pytest.raises(ProviderTrouble) as caught:
        finish(ours, answer)
    return str(caught.value)


def refusal(ours: Provider, answer: dict[str, str], guest: Guest = BROWSER) -> Refusal:
    with pytest.raises(SignInRefused) as caught:
        finish(ours, answer, guest)
    return caught.value.refusal


# ---- the way there and back -----------------------------------------------------------------------------------------


def test_whom_the_provider_vouches_for_comes_back_with_where_they_wanted_to_go(ours: Provider, oidc: Oidc) -> None:
    oidc.person["groups"] = ["Mail admins", "Staff"]
    identity, to = finish(ours, oidc.answer(sent_to(ours)))
    assert identity == Identity(f"{oidc.url} 7", "anna@example.com", frozenset({"Mail admins", "Staff"}))
    assert to == "/messages"


def test_an_answer_is_good_once_for_ten_minutes_in_the_browser_that_asked(ours: Provider, oidc: Oidc, clock: FakeClock) -> None:
    answer = oidc.answer(sent_to(ours))
    assert refusal(ours, answer, replace(BROWSER, visit="another browser")) is Refusal.STATE
    assert refusal(ours, answer, replace(BROWSER, visit="")) is Refusal.STATE
    assert refusal(ours, {**answer, "state": "forged"}) is Refusal.STATE
    assert refusal(ours, {"code": answer["code"]}) is Refusal.STATE
    finish(ours, answer)
    assert refusal(ours, answer) is Refusal.STATE
    late = oidc.answer(sent_to(ours))
    clock.go_on(minutes=10)
    assert refusal(ours, late) is Refusal.STATE


def test_an_answer_without_a_code_says_what_happened(ours: Provider, oidc: Oidc) -> None:
    state = oidc.answer(sent_to(ours))["state"]
    assert refusal(ours, {"state": state, "error": "access_denied"}) is Refusal.DECLINED
    state = oidc.answer(sent_to(ours))["state"]
    assert "server_error it is broken" in trouble(ours, {"state": state, "error": "server_error", "error_description": "it is broken"})


def test_an_answer_of_another_provider_is_not_taken(ours: Provider, oidc: Oidc) -> None:
    assert "comes from 'https://evil.example'" in trouble(ours, oidc.answer(sent_to(ours), iss="https://evil.example"))
    assert finish(ours, oidc.answer(sent_to(ours), iss=oidc.url))


def test_a_code_that_was_begun_for_somebody_else_is_worth_nothing(ours: Provider, oidc: Oidc) -> None:
    """Whoever injects a stolen code does not know the verifier (RFC 7636)."""
    stolen = oidc.answer(sent_to(ours))["code"]
    mine = oidc.answer(sent_to(ours))
    assert "no such code" in trouble(ours, {**mine, "code": stolen})


@pytest.mark.parametrize(
    ("status", "body"), [(500, b"oops"), (200, b"[]"), (200, b"{}"), (200, b'{"id_token": 7}'), (403, b"<html>"), (200, b"\xff")]
)
def test_nonsense_instead_of_tokens_is_trouble_of_the_provider(ours: Provider, oidc: Oidc, status: int, body: bytes) -> None:
    oidc.token_answer = (status, body)
    assert trouble(ours, oidc.answer(sent_to(ours)))


# ---- lies -----------------------------------------------------------------------------------------------------------

OTHER = Key("one")
"""Another key under the same name."""


def changed(**claims: Any) -> Forge:
    def forge(oidc: Oidc, honest: dict[str, Any]) -> str:
        return oidc.key.sign({name: value for name, value in {**honest, **claims}.items() if value is not None})

    return forge


def later(**seconds: int) -> Forge:
    return lambda oidc, honest: oidc.key.sign({**honest, **{name: honest["iat"] + shift for name, shift in seconds.items()}})


LIES: dict[str, Forge] = {
    "wrong issuer": changed(iss="https://evil.example"),
    "no issuer": changed(iss=None),
    "for somebody else": changed(aud="another client"),
    "for somebody else among others": changed(aud=["another client", "a third"]),
    "for us and others, handed to another": changed(aud=[CLIENT, "another client"], azp="another client"),
    "for us and others, handed to nobody": changed(aud=[CLIENT, "another client"]),
    "no audience": changed(aud=None),
    "wrong nonce": changed(nonce="x"),
    "no nonce": changed(nonce=None),
    "a nonce that is no text": changed(nonce=7),
    "no subject": changed(sub=None),
    "a subject that is no text": changed(sub=["7"]),
    "expired": later(exp=-61),
    "no expiry": changed(exp=None),
    "an expiry that is no time": changed(exp="never"),
    "not yet good": later(nbf=3600),
    "made in the future": later(iat=3600),
    "for another access token": changed(at_hash=b64(b"0" * 16)),
    "signed by another key": lambda _, honest: OTHER.sign(honest),
    "signed by a key that nobody knows": lambda _, honest: Key("unknown").sign(honest),
    "not signed": lambda _, honest: f"{unsigned(honest, alg='none')}.",
    "not signed, in capitals": lambda _, honest: f"{unsigned(honest, alg='None', kid='one')}.",
    "signed with our secret": lambda _, honest: with_secret(honest, SECRET.encode(), kid="one"),
    "signed with the public key as a secret": lambda oidc, honest: with_secret(honest, oidc.key.public["n"].encode(), kid="one"),
    "signature cut off": lambda oidc, honest: oidc.key.sign(honest).rpartition(".")[0] + ".",
    "claims changed afterwards": lambda oidc, honest: ".".join(
        (oidc.key.sign(honest).split(".")[0], unsigned({**honest, "sub": "1"}).split(".")[1], oidc.key.sign(honest).split(".")[2])
    ),
    "an algorithm of its own": lambda oidc, honest: oidc.key.sign(honest, alg="RS1"),
    "a header that must be understood": lambda oidc, honest: oidc.key.sign(honest, crit=["x"]),  # type: ignore[arg-type]
    "no token": lambda _oidc, _honest: None,
    "no text": lambda _oidc, _honest: 7,
    "no dots": lambda _oidc, _honest: "token",
    "dots alone": lambda _oidc, _honest: "..",
    "five parts": lambda _oidc, _honest: "a.b.c.d.e",
    "claims that are a list": lambda oidc, _: oidc.key.sign([]),  # type: ignore[arg-type]
    "not ASCII": lambda _oidc, _honest: "ü.ü.ü",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_lets_nobody_in(ours: Provider, oidc: Oidc, lie: str) -> None:
    oidc.forge = LIES[lie]
    assert "ID token" in trouble(ours, oidc.answer(sent_to(ours)))
    oidc.forge = None
    assert finish(ours, oidc.answer(sent_to(ours))), "the truth still does"


def test_a_new_key_of_the_provider_is_fetched(ours: Provider, oidc: Oidc, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(ours, oidc.answer(sent_to(ours)))
    oidc.key = Key("two")
    monkeypatch.setattr("mailroom.signin.provider.KEYS_EVERY", 0.0)
    assert finish(ours, oidc.answer(sent_to(ours)))
    assert oidc.asked.count("/keys") == 2


def test_unknown_keys_do_not_make_us_ask_again_and_again(ours: Provider, oidc: Oidc) -> None:
    oidc.forge = LIES["signed by a key that nobody knows"]
    for _ in range(3):
        trouble(ours, oidc.answer(sent_to(ours)))
    assert oidc.asked.count("/keys") == 1


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"issuer": "https://evil.example"}, "write exactly that as signin.issuer"),
        ({"issuer": None}, "write exactly that"),
        ({"token_endpoint": None}, "token_endpoint is no address"),
        ({"jwks_uri": "file:///etc/passwd"}, "jwks_uri is no address"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint is no address"),
    ],
)
def test_a_provider_that_describes_itself_wrongly_is_said_so(ours: Provider, oidc: Oidc, metadata: dict[str, Any], said: str) -> None:
    oidc.metadata = metadata
    with pytest.raises(ProviderTrouble, match=said):
        sent_to(ours)


def test_a_provider_that_is_not_there_is_said_so(store: SqlStore, clock: FakeClock) -> None:
    registration = Registration(issuer="http://127.0.0.1:1", client_id=CLIENT)
    with pytest.raises(ProviderTrouble, match="ConnectError"):
        sent_to(Provider(registration, users=store.users, keyed=Keyed(b""), clock=clock))


@pytest.mark.parametrize(
    ("claim", "person", "address"),
    [
        ("", {"email": "anna@example.com", "email_verified": True}, "anna@example.com"),
        ("", {"email": "anna@example.com", "email_verified": False}, ""),
        ("", {"email": "anna@example.com", "email_verified": "true"}, ""),
        ("", {"email": "anna@example.com"}, ""),
        ("", {"email": ["anna@example.com"], "email_verified": True}, ""),
        ("preferred_username", {"preferred_username": "Anna@Example.com", "email": "eve@x.example"}, "anna@example.com"),
        ("preferred_username", {}, ""),
    ],
)
def test_an_address_counts_if_the_provider_stands_for_it(
    oidc: Oidc, store: SqlStore, clock: FakeClock, claim: str, person: dict[str, Any], address: str
) -> None:
    oidc.person = {"sub": "7", **person}
    registration = Registration(issuer=oidc.url, client_id=CLIENT, client_secret=SECRET, address_claim=claim)
    ours = Provider(registration, users=store.users, keyed=Keyed(b"k" * 32), clock=clock)
    assert finish(ours, oidc.answer(sent_to(ours)))[0].address == address


def test_microsofts_id_tokens_are_understood(store: SqlStore) -> None:
    """Against the emulator, which speaks as Microsoft does."""
    with in_thread(Options()) as emulator:
        registration = Registration(
            issuer=f"{emulator.url}/{TENANT}/v2.0",
            client_id=CONFIDENTIAL_CLIENT,
            client_secret=CONFIDENTIAL_SECRET,
            address_claim="preferred_username",
        )
        ours = Provider(registration, users=store.users, keyed=Keyed(b"k" * 32), clock=lambda: datetime.now(timezone.utc))
        back = "http://localhost:8020"
        url = asyncio.run(ours.begin(BROWSER, back, next="/"))
        answer = httpx2.get(f"{url}&login_hint=mary@contoso.example", headers={"x-emulator-auto": "1"}, trust_env=False)
        query = dict(httpx2.URL(answer.headers["location"]).params)
        identity, _ = asyncio.run(ours.finish(BROWSER, back, query))
    assert identity.address == "mary@contoso.example"
    assert identity.subject.startswith(f"{registration.issuer} ")


# ---- who is let in --------------------------------------------------------------------------------------------------

ANNA = Identity("https://id.example 7", "anna@example.com", frozenset({"Staff"}))
GROUPS = {"Mail admins": Role.ADMIN, "Staff": Role.VIEWER}


def admit(store: SqlStore, identity: Identity = ANNA, **rules: Any) -> User | None:
    try:
        return Admission(Rules(**rules), store.users, Notes()).admit(identity, "192.0.2.1")
    except SignInRefused:
        return None


def test_without_rules_only_invited_people_are_let_in(store: SqlStore) -> None:
    assert admit(store) is None
    store.users.add(User(name=ANNA.address, role=Role.OPERATOR))
    user = admit(store)
    assert user is not None
    assert (user.role, user.subject, user.managed) == (Role.OPERATOR, ANNA.subject, False)
    renamed = admit(store, replace(ANNA, address="other@example.com"))
    assert renamed is not None
    assert renamed.name == ANNA.address, "the subject counts, not the address"


def test_an_address_that_belongs_to_somebody_already_is_not_taken_over(store: SqlStore) -> None:
    store.users.add(User(name=ANNA.address, role=Role.ADMIN, subject="https://id.example 1"))
    assert admit(store, roles=GROUPS) is None
    assert admit(store, replace(ANNA, address=""), roles=GROUPS) is None


def test_who_may_not_sign_in_any_more_does_not_come_in_by_the_provider(store: SqlStore) -> None:
    store.users.add(User(name=ANNA.address, role=Role.VIEWER, active=False))
    assert admit(store, roles=GROUPS) is None
    store.users.add(User(name="b@example.com", role=Role.VIEWER, active=False, subject="https://id.example 8"))
    assert admit(store, replace(ANNA, subject="https://id.example 8"), roles=GROUPS) is None


@pytest.mark.parametrize(
    ("rules", "role"),
    [
        ({"roles": GROUPS}, Role.VIEWER),
        ({"roles": {"Staff": Role.VIEWER, "x": Role.ADMIN}, "domains": frozenset({"example.com"})}, Role.VIEWER),
        ({"everybody": Role.OPERATOR}, Role.OPERATOR),
        ({"roles": {"x": Role.ADMIN}}, None),
        ({"roles": GROUPS, "domains": frozenset({"example.org"})}, None),
        ({"everybody": Role.VIEWER, "domains": frozenset({"com"})}, None),
    ],
)
def test_groups_and_domains_say_who_else_is_let_in(store: SqlStore, rules: dict[str, Any], role: Role | None) -> None:
    user = admit(store, **rules)
    assert (user.role if user else None) is role


def test_the_highest_role_of_the_groups_counts_at_every_sign_in(store: SqlStore) -> None:
    store.users.add(User(name="mary@example.com", role=Role.ADMIN))
    both = admit(store, replace(ANNA, groups=frozenset(GROUPS)), roles=GROUPS)
    assert both is not None
    assert both.role is Role.ADMIN
    less = admit(store, roles=GROUPS)
    assert less is not None
    assert less.role is Role.VIEWER
    assert admit(store, replace(ANNA, groups=frozenset()), roles=GROUPS) is None


def test_the_last_administrator_keeps_the_role_even_if_the_group_is_gone(store: SqlStore) -> None:
    only = replace(ANNA, groups=frozenset(GROUPS))
    admit(store, only, roles=GROUPS)
    assert admit(store, ANNA, roles=GROUPS) is None
    kept = store.users.user(ANNA.address)
    assert kept is not None
    assert kept.role is Role.ADMIN
