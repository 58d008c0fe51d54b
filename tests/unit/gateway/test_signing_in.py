"""Passwords, second factors, sessions and links, over a real store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import Event, Semaphore

import pyotp
import pytest
from argon2 import PasswordHasher

from mailroom.objects import Role
from mailroom.ports import Store
from mailroom.signin import second
from mailroom.signin.guest import Guest
from mailroom.signin.keys import Keyed, new_id
from mailroom.signin.passwords import AT_ONCE, WAITING, Passwords
from mailroom.signin.reception import PER_NETWORK, PER_USER, CodeNeeded, Present, Reception, Refusal, SignedIn, SignInRefused
from mailroom.signin.record import Record
from mailroom.signin.staff import Staff
from mailroom.signin.throttle import ALTOGETHER, Throttle
from mailroom.signin.throttle import PER_NETWORK as PER_MINUTE
from mailroom.store.open import open_store
from mailroom_core.errors import ConfigError
from tests.contract.store.makers import FakeClock

MARY, PAUL = "mary@example.com", "paul@example.com"
PASSWORD = "four horses in a kitchen"
BROWSER = Guest(visit="a visit", address="192.0.2.1", agent="Firefox")
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Notes(Record):
    """Keeps what is written down."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def signed_in(self, user: str, address: str) -> None:
        self.lines.append(f"{user} signed in from {address}")

    def sign_in_failed(self, user: str, address: str, why: str) -> None:
        self.lines.append(f"{user or 'somebody'} failed from {address}: {why}")

    def session_ended(self, user: str, *, by: str) -> None:
        self.lines.append(f"session of {user} ended by {by}")

    def changed(self, user: str, what: str, *, by: str) -> None:
        self.lines.append(f"{user}: {what} by {by}")


@dataclass
class House:
    store: Store
    clock: FakeClock
    secrets: dict[str, Mapping[str, str]] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        keyed, passwords = Keyed(b"k" * 32), Passwords(CHEAP)
        self.reception = Reception(
            users=self.store.users,
            open_secret=self.secrets.get,
            keyed=keyed,
            clock=self.clock,
            idle=timedelta(hours=8),
            absolute=timedelta(days=7),
            passwords=passwords,
            record=self.notes,
        )
        self.staff = Staff(
            users=self.store.users,
            open_secret=self.secrets.get,
            seal=self.seal,
            keyed=keyed,
            clock=self.clock,
            passwords=passwords,
            record=self.notes,
        )

    def seal(self, name: str, secret: Mapping[str, str] | None) -> None:
        if secret is None:
            self.secrets.pop(name, None)
        else:
            self.secrets[name] = secret

    def present(self, name: str = MARY) -> Present:
        """Somebody who is signed in."""
        answer = self.reception.sign_in(name, PASSWORD, BROWSER)
        assert isinstance(answer, SignedIn)
        who = self.reception.who(answer.session)
        assert who is not None
        return who

    def with_second_factor(self) -> tuple[pyotp.TOTP, list[str]]:
        user = self.present().user
        totp = pyotp.TOTP(self.staff.offer_second_factor(user))
        return totp, self.staff.accept_second_factor(user, totp.at(self.clock()))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    clock = FakeClock()
    store = open_store(tmp_path / "mailroom.db", clock=clock)
    made = House(store, clock)
    made.staff.set_up(made.staff.set_up_token(), MARY, PASSWORD)
    yield made
    store.close()


def refusal(of: Callable[[], object]) -> Refusal:
    with pytest.raises(SignInRefused) as caught:
        of()
    return caught.value.refusal


# ---- the first administrator ----------------------------------------------------------------------------------------


def test_the_first_administrator_comes_by_a_link_that_is_used_once(tmp_path: Path) -> None:
    clock = FakeClock()
    house = House(open_store(tmp_path / "new.db", clock=clock), clock)
    assert house.staff.needs_set_up()
    first, token = house.staff.set_up_token(), house.staff.set_up_token()
    assert not house.staff.is_set_up_token(first), "a new link replaces the one before"
    with pytest.raises(ConfigError, match="was used, or has expired"):
        house.staff.set_up(first, MARY, PASSWORD)
    with pytest.raises(ConfigError, match="12 to 256 characters"):
        house.staff.set_up(token, MARY, "short")
    with pytest.raises(ConfigError, match="no e-mail address"):
        house.staff.set_up(token, "mary", PASSWORD)
    assert house.staff.set_up(token, " Mary@Example.COM ", PASSWORD).name == MARY
    with pytest.raises(ConfigError, match="was used, or has expired"):
        house.staff.set_up(token, PAUL, PASSWORD)
    with pytest.raises(ConfigError, match="there is an administrator already"):
        house.staff.set_up_token()
    assert house.present().user.role is Role.ADMIN
    house.store.close()


def test_a_set_up_link_expires(tmp_path: Path) -> None:
    clock = FakeClock()
    house = House(open_store(tmp_path / "new.db", clock=clock), clock)
    token = house.staff.set_up_token()
    clock.go_on(hours=24)
    with pytest.raises(ConfigError, match="expired"):
        house.staff.set_up(token, MARY, PASSWORD)
    house.store.close()


# ---- passwords ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["short", "a" * 257, "aaaaaaaaaaaaaaaa", "mary@example.com"])
def test_a_password_that_is_easy_to_guess_is_not_taken(password: str) -> None:
    with pytest.raises(ConfigError, match="password"):
        Passwords(CHEAP).hash(password, name=MARY)


def test_a_password_fits_from_every_keyboard_and_nothing_else_does() -> None:
    passwords = Passwords(CHEAP)
    stored = passwords.hash("Schlüssel im Kühlschrank")
    assert passwords.matches("Schlüssel im Kühlschrank", stored)
    assert not passwords.matches("Schlussel im Kuhlschrank", stored)
    assert not passwords.matches("", "")
    assert not passwords.matches(PASSWORD, "no hash at all")


def test_a_password_that_is_too_long_never_fits_by_its_beginning() -> None:
    passwords = Passwords(CHEAP)
    longest = ("four horses " * 30)[:256]
    stored = passwords.hash(longest)
    assert passwords.matches(longest, stored)
    assert not passwords.matches(longest + "!", stored)


def test_a_name_that_does_not_exist_costs_the_same_work_as_a_wrong_password(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.staff.invite(PAUL, Role.VIEWER, by=MARY)
    verified: list[str] = []
    plain = PasswordHasher.verify

    def verify(self: PasswordHasher, stored: str, given: str) -> bool:
        verified.append(stored)
        return plain(self, stored, given)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    for name in (MARY, "nobody@example.com", PAUL, "", "\ud800"):
        assert refusal(lambda name=name: house.reception.sign_in(name, "wrong", BROWSER)) is Refusal.WRONG  # type: ignore[misc]
    assert len(verified) == 5
    assert {stored.split("$")[3] for stored in verified} == {"m=8,t=1,p=1"}


def test_a_crowd_before_the_door_is_sent_away_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking a password takes time and memory on purpose; nobody is to fill all threads with it."""
    go_on, working = Event(), Semaphore(AT_ONCE)

    def slow(self: PasswordHasher, stored: str, given: str) -> bool:
        assert working.acquire(blocking=False), "too many work at a time"
        go_on.wait(30)
        working.release()
        return True

    monkeypatch.setattr(PasswordHasher, "verify", slow)
    guests = [replace(BROWSER, address=f"192.0.2.{number}") for number in range(AT_ONCE + WAITING + 1)]
    with ThreadPoolExecutor(len(guests)) as pool:
        tries = [pool.submit(house.reception.sign_in, f"n{number}@example.com", "x", guest) for number, guest in enumerate(guests)]
        (first, *_), _ = wait(tries, 30, return_when=FIRST_COMPLETED)
        go_on.set()
        refused = [each.exception() for each in tries]
    assert [type(each) for each in refused] == [SignInRefused] * len(guests)
    crowded = [each for each in refused if isinstance(each, SignInRefused) and each.refusal is Refusal.CROWDED]
    assert crowded == [first.exception()]
    assert house.present(), "afterwards there is room again"


# ---- signing in -----------------------------------------------------------------------------------------------------


def test_who_signs_in_gets_a_session_that_nobody_knew_before(house: House) -> None:
    first, second_one = (house.reception.sign_in(MARY.upper(), PASSWORD, BROWSER) for _ in range(2))
    assert isinstance(first, SignedIn)
    assert isinstance(second_one, SignedIn)
    assert first.session != second_one.session
    who = house.reception.who(first.session)
    assert who is not None
    assert (who.user.name, who.session.address, who.session.agent) == (MARY, "192.0.2.1", "Firefox")
    assert first.session not in str(house.store.users.sessions(idle=timedelta(days=1), absolute=timedelta(days=1))), "only its hash is kept"


@pytest.mark.parametrize("forged", ["", "x", pytest.param(new_id(), id="a new one"), "\ud800", "a visit"])
def test_a_forged_session_is_nobodys(house: House, forged: str) -> None:
    house.present()
    assert house.reception.who(forged) is None


def test_a_session_ends_by_time_and_stays_while_it_is_used(house: House) -> None:
    answer = house.reception.sign_in(MARY, PASSWORD, BROWSER)
    assert isinstance(answer, SignedIn)
    for _ in range(3):
        house.clock.go_on(hours=7)
        assert house.reception.who(answer.session)
    house.clock.go_on(hours=8)
    assert house.reception.who(answer.session) is None


def test_who_is_not_active_is_not_let_in(house: House) -> None:
    house.staff.choose_password(house.staff.invite(PAUL, Role.ADMIN, by=MARY), PASSWORD)
    house.staff.set_active(PAUL, False, by=MARY)
    assert refusal(lambda: house.reception.sign_in(PAUL, PASSWORD, BROWSER)) is Refusal.WRONG


def test_too_many_attempts_close_the_door_for_a_while_even_for_the_right_password(house: House) -> None:
    for _ in range(PER_USER):
        assert refusal(lambda: house.reception.sign_in(MARY, "wrong", BROWSER)) is Refusal.WRONG
    assert refusal(lambda: house.reception.sign_in(MARY, PASSWORD, BROWSER)) is Refusal.TOO_MANY
    assert refusal(lambda: house.reception.sign_in(MARY, PASSWORD, replace(BROWSER, address="198.51.100.9"))) is Refusal.TOO_MANY
    house.clock.go_on(minutes=15)
    assert house.present()


def test_many_names_from_one_network_are_too_many_as_well(house: House) -> None:
    for number in range(PER_NETWORK):
        guest = replace(BROWSER, address=f"2001:db8::{number:x}")
        wrong = refusal(lambda number=number, guest=guest: house.reception.sign_in(f"n{number}@example.com", "wrong", guest))  # type: ignore[misc]
        assert wrong is Refusal.WRONG
    assert refusal(lambda: house.reception.sign_in(MARY, PASSWORD, replace(BROWSER, address="2001:db8::ffff"))) is Refusal.TOO_MANY
    assert house.reception.sign_in(MARY, PASSWORD, replace(BROWSER, address="2001:db8:0:1::1"))


def test_who_gets_in_begins_to_count_anew(house: House) -> None:
    for _ in range(3):
        for _ in range(PER_USER - 1):
            refusal(lambda: house.reception.sign_in(MARY, "wrong", BROWSER))
        assert house.present()


def test_a_name_that_nobody_has_is_not_written_down(house: House) -> None:
    refusal(lambda: house.reception.sign_in("my secret password", "x", BROWSER))
    assert house.notes.lines[-1] == "somebody failed from 192.0.2.1: password"


def test_a_csrf_token_belongs_to_one_session_and_one_use(house: House) -> None:
    one, other = (house.reception.sign_in(MARY, PASSWORD, BROWSER) for _ in range(2))
    assert isinstance(one, SignedIn)
    assert isinstance(other, SignedIn)
    who = house.reception.who(one.session)
    assert who is not None
    assert house.reception.csrf_fits(one.session, who.csrf)
    assert not house.reception.csrf_fits(other.session, who.csrf)
    assert not house.reception.csrf_fits("", house.reception.csrf_of(""))
    assert not house.reception.csrf_fits(one.session, who.session.key)
    assert not house.reception.csrf_fits(one.session, "\ud800é")


def test_one_ends_ones_own_sessions_and_nobody_elses(house: House) -> None:
    house.staff.choose_password(house.staff.invite(PAUL, Role.VIEWER, by=MARY), PASSWORD)
    mary, other, paul = house.present(), house.present(), house.present(PAUL)
    assert not house.reception.end(paul, mary.session.key)
    assert house.reception.end(mary, other.session.key)
    assert [each.key for each in house.reception.sessions(MARY)] == [mary.session.key]
    house.reception.leave(mary)
    assert house.reception.sessions(MARY) == []


# ---- links for a password -------------------------------------------------------------------------------------------


def test_an_invitation_is_used_once_by_whom_it_is_for(house: House) -> None:
    token = house.staff.invite(PAUL, Role.OPERATOR, by=MARY)
    assert refusal(lambda: house.reception.sign_in(PAUL, "", BROWSER)) is Refusal.WRONG
    owner = house.staff.owner_of(token)
    assert owner is not None
    assert owner.name == PAUL
    with pytest.raises(ConfigError, match="12 to 256"):
        house.staff.choose_password(token, "short")
    house.staff.choose_password(token, PASSWORD)
    assert house.present(PAUL).user.role is Role.OPERATOR
    for used in (token, new_id(), ""):
        assert house.staff.owner_of(used) is None
        with pytest.raises(ConfigError, match="was used, or has expired"):
            house.staff.choose_password(used, PASSWORD)


def test_a_reset_ends_the_sessions_once_the_new_password_is_there(house: House) -> None:
    who = house.present()
    token = house.staff.reset(MARY, by="command line")
    assert house.reception.sessions(MARY) == [who.session]
    house.staff.choose_password(token, "another four horses")
    assert house.reception.sessions(MARY) == []
    assert refusal(lambda: house.reception.sign_in(MARY, PASSWORD, BROWSER)) is Refusal.WRONG


def test_a_reset_link_expires_and_dies_with_the_right_to_sign_in(house: House) -> None:
    house.staff.invite(PAUL, Role.VIEWER, by=MARY)
    token = house.staff.reset(PAUL, by=MARY)
    house.clock.go_on(hours=24)
    assert house.staff.owner_of(token) is None
    token = house.staff.reset(PAUL, by=MARY)
    house.staff.set_active(PAUL, False, by=MARY)
    house.staff.set_active(PAUL, True, by=MARY)
    assert house.staff.owner_of(token) is None


def test_roles_grow_and_a_change_of_role_ends_the_sessions(house: House) -> None:
    assert [[role.covers(other) for other in Role] for role in Role] == [[True, False, False], [True, True, False], [True, True, True]]
    house.staff.choose_password(house.staff.invite(PAUL, Role.VIEWER, by=MARY), PASSWORD)
    house.present(PAUL)
    house.staff.set_role(PAUL, Role.OPERATOR, by=MARY)
    assert house.reception.sessions(PAUL) == []
    assert f"{PAUL}: role: viewer -> operator by {MARY}" in house.notes.lines
    with pytest.raises(ConfigError, match="last active administrator"):
        house.staff.set_role(MARY, Role.VIEWER, by=MARY)


# ---- the second factor ----------------------------------------------------------------------------------------------


def code_of(house: House, totp: pyotp.TOTP) -> str:
    house.clock.go_on(seconds=30)
    return totp.at(house.clock())


def test_with_a_second_factor_the_password_alone_opens_nothing(house: House) -> None:
    totp, _ = house.with_second_factor()
    answer = house.reception.sign_in(MARY, PASSWORD, BROWSER, next="/messages")
    assert isinstance(answer, CodeNeeded)
    code = code_of(house, totp)
    assert refusal(lambda: house.reception.give_code(code, replace(BROWSER, visit="another"))) is Refusal.TOO_LATE
    assert refusal(lambda: house.reception.give_code("000000" if code != "000000" else "111111", BROWSER)) is Refusal.WRONG_CODE
    signed_in = house.reception.give_code(f"{code[:3]} {code[3:]}", BROWSER)
    assert (signed_in.user.name, signed_in.next) == (MARY, "/messages")
    assert refusal(lambda: house.reception.give_code(code, BROWSER)) is Refusal.TOO_LATE


def test_a_code_is_good_once_even_within_its_half_minute(house: House) -> None:
    totp, _ = house.with_second_factor()
    code = code_of(house, totp)
    house.reception.sign_in(MARY, PASSWORD, BROWSER)
    house.reception.give_code(code, BROWSER)
    house.reception.sign_in(MARY, PASSWORD, BROWSER)
    assert refusal(lambda: house.reception.give_code(code, BROWSER)) is Refusal.WRONG_CODE


def test_a_clock_may_be_half_a_minute_wrong_and_not_more(house: House) -> None:
    secret, now = second.new_secret(), house.clock()
    totp = pyotp.TOTP(secret)

    def fits(seconds: int) -> bool:
        return second.step_of(secret, totp.at(now + timedelta(seconds=seconds)), now) is not None

    assert [fits(shift) for shift in (-60, -30, 0, 30, 60)] == [False, True, True, True, False]
    assert second.step_of(secret, "", now) is None
    assert second.step_of(secret, "abcdef", now) is None


def test_whoever_knows_the_password_can_not_try_all_codes(house: House) -> None:
    totp, _ = house.with_second_factor()
    for _ in range(PER_USER):
        house.reception.sign_in(MARY, PASSWORD, BROWSER)
        assert refusal(lambda: house.reception.give_code("nonsense", BROWSER)) is Refusal.WRONG_CODE
    assert refusal(lambda: house.reception.give_code(code_of(house, totp), BROWSER)) is Refusal.TOO_MANY


def test_the_time_for_the_code_is_short(house: House) -> None:
    totp, _ = house.with_second_factor()
    house.reception.sign_in(MARY, PASSWORD, BROWSER)
    house.clock.go_on(minutes=5)
    assert refusal(lambda: house.reception.give_code(code_of(house, totp), BROWSER)) is Refusal.TOO_LATE


def test_a_recovery_code_takes_the_place_of_the_phone_once(house: House) -> None:
    _, codes = house.with_second_factor()
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"[a-z2-9]{6}-[a-z2-9]{6}", code) for code in codes)
    house.reception.sign_in(MARY, PASSWORD, BROWSER)
    house.reception.give_code(codes[3].upper().replace("-", " "), BROWSER)
    house.reception.sign_in(MARY, PASSWORD, BROWSER)
    assert refusal(lambda: house.reception.give_code(codes[3], BROWSER)) is Refusal.WRONG_CODE
    user = house.store.users.user(MARY)
    assert user is not None
    assert len(user.recovery) == 9
    assert not any(code in str(user.recovery) for code in codes)


def test_a_second_factor_counts_once_its_first_code_was_right(house: House) -> None:
    user = house.present().user
    with pytest.raises(ConfigError, match="code is wrong"):
        house.staff.accept_second_factor(user, "123456")
    secret = house.staff.offer_second_factor(user)
    assert house.staff.offered_second_factor(user) == secret
    with pytest.raises(ConfigError, match="code is wrong"):
        house.staff.accept_second_factor(user, "nonsense")
    assert isinstance(house.reception.sign_in(MARY, PASSWORD, BROWSER), SignedIn)


def test_a_second_factor_can_be_dropped_with_a_reset(house: House) -> None:
    house.with_second_factor()
    house.staff.reset(MARY, by="command line", second_factor=True)
    assert isinstance(house.reception.sign_in(MARY, PASSWORD, BROWSER), SignedIn)
    assert not house.secrets


def test_the_picture_holds_an_address_that_apps_read() -> None:
    address = second.address("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", MARY, "Mailroom")
    assert address == "otpauth://totp/Mailroom:mary%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Mailroom"
    assert second.picture(address).startswith("<svg")


def test_who_is_removed_leaves_no_secret_behind(house: House) -> None:
    house.staff.choose_password(house.staff.invite(PAUL, Role.ADMIN, by=MARY), PASSWORD)
    house.with_second_factor()
    house.staff.remove(MARY, by=PAUL)
    assert not house.secrets


# ---- floods ---------------------------------------------------------------------------------------------------------


def test_a_flood_is_counted_by_network_and_altogether_for_a_minute() -> None:
    clock, throttle = FakeClock(), Throttle()
    one = [throttle.lets_pass("a", clock()) for _ in range(PER_MINUTE + 1)]
    assert one == [True] * PER_MINUTE + [False]
    assert throttle.lets_pass("b", clock())
    many = [throttle.lets_pass(str(number), clock()) for number in range(ALTOGETHER)]
    assert not all(many)
    assert not throttle.lets_pass("c", clock())
    clock.go_on(minutes=1)
    assert throttle.lets_pass("a", clock())
    clock.go_on(hours=-5)
    assert throttle.lets_pass("a", clock()), "a clock that was set back locks nobody out"
