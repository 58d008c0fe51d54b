"""What the console is made of in tests: people can sign in, and nothing secret reaches a disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from mailroom.accept import Accept, House, write
from mailroom.changing import ObjectDesk
from mailroom.console.door import Door
from mailroom.console.odoo_desk import Prepared
from mailroom.console.recipes import Entrance
from mailroom.console.way_in import WayIn
from mailroom.cutover.desk import CutoverDesk
from mailroom.doctor.arriving import Unfetched
from mailroom.doctor.desk import DoctorDesk
from mailroom.doctor.domain import Wanted, domain_name, examine
from mailroom.doctor.findings import Report
from mailroom.doctor.health.desk import HealthDesk
from mailroom.doctor.health.looking import Examination, Examined, Subject, unused
from mailroom.doctor.health.send_as import How, May, SendAs
from mailroom.doctor.mail import Seal, Verified, take_apart
from mailroom.doctor.mail_judge import MailReport, judge
from mailroom.doctor.odoo.findings import Here, OdooReport
from mailroom.doctor.odoo.report import judge as judge_odoo
from mailroom.doctor.symptoms.asking import Answer, Clinic, ask
from mailroom.doctor.symptoms.questions import question
from mailroom.doctor.trial import Step
from mailroom.intake.correspond import Correspondence
from mailroom.intake.followers import Followers
from mailroom.intake.judge import Judge
from mailroom.intake.lookup import Lookup
from mailroom.ports import Blobs, NewMessage, Store
from mailroom.signin.admission import Admission, Rules
from mailroom.signin.keys import Keyed
from mailroom.signin.passwords import Passwords
from mailroom.signin.provider import Provider
from mailroom.signin.reception import Reception
from mailroom.signin.record import Record
from mailroom.signin.staff import Staff
from mailroom.store.sql import SqlStore
from mailroom.support.bundle import Bundle, make
from mailroom.support.bundle import Wanted as Bundled
from mailroom.support.masking import Masks
from mailroom.transports.guarded import Caller, Policy
from mailroom.webhooks.desk import WebhookDesk
from mailroom_core.errors import ConfigError
from mailroom_core.mime.source import InMemory, ReadAt
from mailroom_core.model import MessageId
from mailroom_core.policy.decision import Settings
from mailroom_core.providers.odoo.setup import Change, Found
from mailroom_core.providers.odoo.setup import Wanted as Asked
from mailroom_core.providers.odoo.survey import QUEUE, Survey
from tests.contract.store.makers import FakeClock, Maker
from tests.unit.doctor.zone import Records, zone


def door_of(store: Store, clock: FakeClock, *, url: str = "http://testserver", provider: Provider | None = None, **rules: Any) -> Door:
    """People can sign in, with passwords that cost little. Secrets lie in memory."""
    kept: dict[str, Mapping[str, str]] = {}
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    keyed, passwords = Keyed(b"k" * 32), Passwords(hasher)

    def seal(name: str, secret: Mapping[str, str] | None) -> None:
        kept.pop(name, None)
        if secret is not None:
            kept[name] = secret

    known: Any = {
        "users": store.users,
        "open_secret": kept.get,
        "keyed": keyed,
        "clock": clock,
        "passwords": passwords,
        "record": Record(store.audit),
    }
    return Door(
        reception=Reception(**known, idle=timedelta(hours=8), absolute=timedelta(days=7)),
        staff=Staff(**known, seal=seal),
        clock=clock,
        provider=provider,
        admission=Admission(Rules(**rules), store.users, Record(store.audit)) if provider else None,
        provider_name="Contoso",
        public_url=url,
    )


def desk_of(store: SqlStore, clock: FakeClock) -> WebhookDesk:
    """Webhooks may be on this machine. Secrets lie in memory."""
    kept: dict[str, Mapping[str, str]] = {}

    def seal(name: str, secret: Mapping[str, str] | None) -> None:
        kept[name] = secret or {}

    caller = Caller(Policy(["127.0.0.0/8"]))
    return WebhookDesk(notices=store, store=store, seal=seal, unseal=kept.get, caller=caller, ids=Maker(clock).ids, clock=clock)


def objects_of(store: Store, sealed: dict[str, Mapping[str, str] | None] | None = None) -> ObjectDesk:
    """Secrets go into `sealed`, if somebody wants to see them."""
    kept = {} if sealed is None else sealed
    return ObjectDesk(store=store, directory=store.directory, look=lambda: True, seal=kept.__setitem__, key=b"k" * 32)


def way_in_of(store: Store, blobs: Blobs, clock: FakeClock, folder: Path) -> WayIn:
    """What is answered is stored, and waits for its outgoing server."""
    folder.mkdir(exist_ok=True)

    async def commit(message: NewMessage) -> Mapping[MessageId, MessageId]:
        return write(store, [message])

    accept = Accept(
        blobs=blobs,
        directory=store.directory,
        ids=Maker(clock, 2).ids,
        clock=clock,
        commit=commit,
        notify=lambda: None,
        house=House(hostname="gateway.example", lifetime=timedelta(days=5)),
    )
    followers = Followers(directory=store.directory, accept=accept, spool=folder, mark="ours")
    answering = Correspondence(store=store, blobs=blobs, directory=store.directory, accept=accept, followers=followers)
    rules = Settings(mark="ours")
    judge = Judge(store.directory, Lookup(store, rules), rules)
    return WayIn(correspondence=answering, judge=judge, odoo=FakeOdooDesk(), trial=tried, destination_trial=odoo_tried)


def cutover_of(store: Store, clock: FakeClock, sealed: dict[str, Mapping[str, str] | None] | None = None) -> CutoverDesk:
    return CutoverDesk(store=store, objects=objects_of(store, sealed), directory=store.directory, clock=clock)


async def supported(wanted: Bundled, by: str) -> Bundle:
    """Stands for a bundle of this house."""
    masks = Masks(["s3cret"], keep_names=wanted.keep_names)
    if "unknown" in wanted.mails:
        raise ConfigError("there is no mail 'unknown'")
    return make({"settings": {"by": by, "said": "<b>s3cret</b> of mary@contoso.example"}}, (), wanted, masks)


class FakeOdooDesk:
    """An Odoo that lacks its server until it is set up; `broken` is why nothing works."""

    def __init__(self) -> None:
        self.done, self.broken, self.asked = False, "", dict[str, Any]()

    async def prepared(self, name: str, *, host: str = "", port: int = 0, domain: str = "") -> Prepared:
        if self.broken:
            raise ConfigError(self.broken)
        self.asked = {"name": name, "host": host, "domain": domain}
        known: dict[str, Any] = {"port": 587, "tls": "starttls", "validated": False, "from_filter": (), "catchall": "", "bounce": ""}
        wanted = Asked(name="Mailroom", host=host or "here", user="odoo", password="", domain="contoso.example", default_from="", **known)
        change = Change(
            model="ir.mail_server", id=0, title="the outgoing server", before={}, after={"smtp_host": "<here>", "smtp_pass": "s3cret"}
        )
        state = Found(fields={}, servers=(), has_domains=True)
        changes = () if self.done else (change,)
        return Prepared(destination=name, state=state, wanted=wanted, changes=changes, new_password=True, warnings=("it is far away",))

    async def carried_out(self, plan: Prepared, *, by: str) -> AsyncIterator[str]:
        self.done = True
        yield f"set up by {by}"

    async def taken_back(self, name: str, *, by: str) -> AsyncIterator[str]:
        yield "one thing is as before"
        if not self.done:
            raise ConfigError("nothing was set up")
        self.done = False

    def was_set_up(self, name: str) -> bool:
        return self.done


async def tried(name: str) -> AsyncIterator[Step]:
    """Stands for a look into a mailbox."""
    yield Step("connect", f"{name} answers")
    yield Step("sign in", "<refused>", ok=False)


async def odoo_tried(name: str) -> AsyncIterator[Step]:
    """What the test of a destination says here."""
    yield Step("version", f"{name} is Odoo 19.0")
    yield Step("user", "nobody <b>there</b> knows the key", ok=False)


ENTRANCE = Entrance(host="mail.contoso.example", port=587, tls="starttls")


def health_of(store: Store, clock: FakeClock, *found: Examined) -> HealthDesk:
    """Looks at objects of which this is found."""

    def examination(each: Examined) -> Examination:
        async def examine() -> Examined:
            return each

        return Examination(each.subject, examine)

    async def ask(address: str, application: str) -> SendAs:
        if "@" not in address:
            raise ConfigError(f"{address!r} is no address; write local@domain")
        return SendAs(address=address, may=May.YES, how=How.PRIMARY, why="It is <the> mailbox", server="office", leaves_as=address)

    return HealthDesk(examinations=lambda: [examination(each) for each in found], ask=ask, diagnoses=store.diagnoses, clock=clock)


def doctor_of(store: Store, clock: FakeClock, records: Records | None = None, health: Sequence[Examined] = ()) -> DoctorDesk:
    """Looks at domains in a DNS that has these records, and at objects of which this is found."""

    async def no_policy(url: str) -> str:
        raise Unfetched("no web server")

    async def look_at(domain: str, selectors: Sequence[str]) -> Report:
        wanted = Wanted(domain_name(domain), ours=True, selectors=tuple(selectors))
        return await examine(wanted, zone(records or {}), no_policy, now=clock(), resolver="192.0.2.53")

    ours = lambda: store.directory().alias_domains  # noqa: E731

    async def answered(slug: str, message: str, address: str, letter: bytes | None) -> Answer:
        """Nothing but the store is asked."""

        async def none(subject: Subject) -> Examined:
            return unused(subject, "not for tests")

        def by_none(sender: str) -> str:
            raise ConfigError("no server")

        clinic = Clinic(
            store=store, directory=store.directory, clock=clock, health=none, domain=lambda domain: look_at(domain, ()),
            server_of=by_none, head=lambda number: b"", refusals=lambda: (), ways_in=tuple, prospects=lambda address: (),
            apart=lambda mail: judge_mail(InMemory(mail)) if isinstance(mail, bytes) else None, returns=lambda server, sender: False,
        )  # fmt: skip
        return await ask(clinic, question(slug), message=message, address=address, letter=letter)

    def judge_mail(source: ReadAt) -> MailReport:
        return judge(take_apart(source, Verified((), Seal("none", "", "")), lambda name: None, "SpamAssassin is not for tests"))

    return DoctorDesk(
        look_at=look_at,
        judge_mail=judge_mail,
        diagnoses=store.diagnoses,
        ours=ours,
        clock=clock,
        odoo=FakeOdooLooks(clock),
        answered=answered,
        health=health_of(store, clock, *health),
    )


class FakeOdooLooks:
    """An Odoo whose queue is off until it is mended; `broken` is why nothing works."""

    def __init__(self, clock: FakeClock) -> None:
        self.done, self.broken, self.clock = False, "", clock

    def names(self) -> list[str]:
        return ["erp"]

    async def look(self, name: str) -> OdooReport:
        if self.broken or name not in self.names():
            raise ConfigError(self.broken or f"there is no destination {name!r} that is an Odoo")
        cron = {"id": 7, "active": self.done, "nextcall": "2031-01-01 00:00:00"}
        known: dict[str, Any] = {"companies": (), "servers": (), "domains": ({"id": 1, "name": "<b>.example", "catchall_alias": "c"},)}
        more: dict[str, Any] = {"homeless": (), "fetchers": (), "failed": (), "failures": 0, "waiting": 0, "parameters": {}}
        survey = Survey(at=self.clock(), modern=True, crons={QUEUE: cron}, **known, **more)
        return judge_odoo(survey, Here(destination=name, server="Mailroom", user="odoo-erp", domains={}), "https://odoo.example")

    async def mended(self, name: str, codes: Collection[str], *, by: str) -> AsyncIterator[str]:
        if list(codes) != ["odoo-queue-off"]:
            raise ConfigError(f"nothing in Odoo mends {codes}")
        self.done = True
        yield f"the job is on, says {by}"

    async def taken_back(self, name: str, *, by: str) -> AsyncIterator[str]:
        if not self.done:
            raise ConfigError("nothing was mended")
        self.done = False
        yield "the job is as before"

    def was_mended(self, name: str) -> bool:
        return self.done
