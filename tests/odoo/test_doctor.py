"""The doctor looks at a real Odoo over its API: a healthy one gets no finding, and what is wrong is found, mended and taken back."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mailroom.cli import main
from mailroom.objects import AliasDomain, Destination, GraphInbox, IncomingServer, OdooApi, OdooTarget
from mailroom.settings import Settings
from mailroom.wiring.parts import object_desk, open_parts
from tests.contract.smtp_server import Script
from tests.odoo.machine import Odoo, Place
from tests.walk.sink import smtp_sink

KEYS = """
from datetime import datetime, timedelta
clerk = env["res.users"].create({"name": "Clerk", "login": "clerk", "group_ids": [(6, 0, [env.ref("base.group_user").id])]})
for who, days in ((env["res.users"].browse(2), 9), (clerk, 1)):
    print("KEY", who.login, env(user=who)["res.users.apikeys"].sudo()._generate(None, "mailroom", datetime.now() + timedelta(days=days)))
env.cr.commit()
"""
SERVER, DOMAIN, ALIAS, CRON, FETCHER, MAIL = "ir.mail_server", "mail.alias.domain", "mail.alias", "ir.cron", "fetchmail.server", "mail.mail"
PARAMETER = "ir.config_parameter"
OURS = "contoso.example"
QUEUE, FETCH = "mail.ir_cron_mail_scheduler_action", "mail.ir_cron_mail_gateway_action"
NO_RIGHT = b"550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n"
BOTH = ("erp", "erp-xml")
"""The same Odoo by JSON-2, and by XML-RPC as before Odoo 19."""


@pytest.fixture(scope="module")
def house(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odoo]:
    """As it is after its installation. Its jobs don't run by themselves, so that what waits stays."""
    made = Odoo(place, tmp_path_factory.mktemp("doctor-odoo"))
    try:
        made.start("--max-cron-threads", "0")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def keys(place: Place, house: Odoo) -> dict[str, str]:
    """By login: the administrator's ends in nine days, the clerk's tomorrow."""
    words = place.words(house.database, house.data, "--no-http")
    words.insert(2, "shell")
    done = subprocess.run(words, input=KEYS, env=place.environment, capture_output=True, text=True, check=False)
    found = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("KEY ")]
    assert len(found) == 2, done.stdout + done.stderr
    return {login: key for login, key in found}  # noqa: C416  # lists of two


@pytest.fixture(scope="module")
def data(house: Odoo, keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway that knows this Odoo three times."""
    folder = tmp_path_factory.mktemp("doctor")
    parts = open_parts(Settings(data=folder))
    fetched = IncomingServer(name="info", source=GraphInbox(account="", mailbox=f"info@{OURS}"))
    logins = {"erp": (OdooApi.JSON2, "admin"), "erp-xml": (OdooApi.XML_RPC, "admin"), "clerk": (OdooApi.JSON2, "clerk")}
    destinations = {
        name: Destination(name=name, target=OdooTarget(url=house.url, database=house.database, user=user, api=api))
        for name, (api, user) in logins.items()
    }
    parts.store.apply([AliasDomain(name=OURS), fetched, *destinations.values()], [], by="test")
    for name, each in destinations.items():
        object_desk(parts).set_key(each, keys[logins[name][1]], by="test")
    parts.close()
    return folder


@pytest.fixture(scope="module")
def healthy(house: Odoo, data: Path) -> Odoo:
    """Set up from here, and with the address that people use."""
    with socket.socket() as nobody:  # nothing listens there
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    assert looked(data, "erp").keys() >= {"odoo-no-server", "odoo-no-alias-domain", "odoo-base-url"}
    run(data, "odoo", "setup", "erp", "--host", "127.0.0.1", "--port", str(port), "--yes")
    house.call(PARAMETER, "set_param", "web.base.url", f"https://erp.{OURS}")
    house.call(PARAMETER, "set_param", "web.base.url.freeze", "True")
    return house


def run(data: Path, *words: str, code: int = 0, answer: str = "") -> str:
    done = CliRunner().invoke(main, ["--data", str(data), *words], input=answer)
    assert done.exit_code == code, (words, done.output, done.exception)
    return done.output


def looked(data: Path, name: str, *, unchecked: bool = False) -> dict[str, dict[str, Any]]:
    """The findings by their codes, each with evidence."""
    done = CliRunner().invoke(main, ["--data", str(data), "doctor", "odoo", name, "--json"])
    body = json.loads(done.stdout)
    assert bool(body["unchecked"]) is unchecked, body["unchecked"]
    assert done.exit_code == int(body["harmful"])
    assert all(each["evidence"] for each in body["findings"])
    return {each["code"]: each for each in body["findings"]}


class Wreck:
    """Puts things wrong in an Odoo; all is as before at the end."""

    def __init__(self, odoo: Odoo, end: ExitStack) -> None:
        self.odoo, self._end = odoo, end

    def change(self, model: str, number: int, **values: object) -> None:
        (before,) = self.odoo.read(model, [["id", "=", number]], *values, archived=True)
        kept = {name: value[0] if isinstance(value := before[name], list) else value for name in values}
        self._end.callback(self.odoo.call, model, "write", [number], kept)
        self.odoo.call(model, "write", [number], values)

    def make(self, model: str, **values: object) -> int:
        made: int = self.odoo.call(model, "create", values)
        self._end.callback(self.odoo.call, model, "unlink", [made])
        return made

    def mail(self, **values: object) -> int:
        """Nobody may remove one by a call."""
        made: int = self.odoo.call(MAIL, "create", {"email_to": "bo@fabrikam.example", "subject": "7", "auto_delete": False, **values})
        self._end.callback(self.odoo.sql, f"DELETE FROM mail_mail WHERE id = {made}")
        return made

    def sql(self, statement: str, back: str) -> None:
        self._end.callback(self.odoo.sql, back)
        self.odoo.sql(statement)

    @property
    def ours(self) -> int:
        """Its outgoing server that leads here."""
        return int(self.odoo.read(SERVER, [["name", "=", "Mailroom"]], "id", archived=True)[0]["id"])

    @property
    def domain(self) -> int:
        return int(self.odoo.read(DOMAIN, [["name", "=", OURS]], "id")[0]["id"])

    def rival(self, name: str, **values: object) -> int:
        return self.make(SERVER, name=name, smtp_host="127.0.0.1", smtp_encryption="none", **values)

    def mailbox(self, **values: object) -> int:
        """A mailbox that Odoo itself fetches."""
        login = {"server": "imap.example", "password": "secret", "state": "done", "server_type": "imap"}
        return self.make(FETCHER, name="Own", **{"user": "sales@other.example", **login, **values})


def rival_first(wreck: Wreck) -> None:
    wreck.change(SERVER, wreck.ours, from_filter="other.example")
    wreck.rival("Old", from_filter=OURS, sequence=30)


def two_for_all(wreck: Wreck) -> None:
    wreck.rival("A", sequence=30)
    wreck.rival("B", sequence=31)


def company_without_domain(wreck: Wreck) -> None:
    wreck.change("res.company", 1, alias_domain_id=False)


def alias_without_domain(wreck: Wreck) -> None:
    model = wreck.odoo.read("ir.model", [["model", "=", "crm.lead"]], "id")[0]["id"]
    alias = wreck.make(ALIAS, alias_name="old", alias_model_id=model)
    wreck.odoo.call(ALIAS, "write", [alias], {"alias_domain_id": False})


def fetching_off(wreck: Wreck) -> None:
    wreck.mailbox()
    wreck.change(CRON, wreck.odoo.ref(FETCH), active=False)


def queue_stands(wreck: Wreck) -> None:
    number = wreck.odoo.ref(QUEUE)
    (due, changed), *_ = wreck.odoo.sql(f"SELECT nextcall, write_date FROM ir_cron WHERE id = {number}")
    wreck.sql(
        f"UPDATE ir_cron SET nextcall = now() - interval '5 hours', write_date = now() - interval '6 hours' WHERE id = {number}",
        f"UPDATE ir_cron SET nextcall = '{due}', write_date = '{changed}' WHERE id = {number}",
    )


def queue_fails(wreck: Wreck) -> None:
    where = f"WHERE id = {wreck.odoo.ref(QUEUE)}"
    wreck.sql(f"UPDATE ir_cron SET failure_count = 2 {where}", f"UPDATE ir_cron SET failure_count = 0 {where}")


def mail_waits(wreck: Wreck) -> None:
    mail = wreck.mail(email_from=f"anna@{OURS}")
    wreck.sql(f"UPDATE mail_mail SET create_date = now() - interval '5 hours' WHERE id = {mail}", "SELECT 1")


def no_filter(wreck: Wreck) -> None:
    wreck.change(SERVER, wreck.ours, from_filter=False)


TROUBLES: dict[str, tuple[Callable[[Wreck], object], str]] = {
    "odoo-server-bypassed": (rival_first, "from_filter: other.example -> other.example,contoso.example"),
    "odoo-servers-overlap": (lambda wreck: wreck.rival("Old", from_filter=OURS, sequence=30), ""),
    "odoo-servers-compete": (two_for_all, ""),
    "odoo-server-archived": (lambda wreck: wreck.change(SERVER, wreck.ours, active=False), "active: no -> yes"),
    "odoo-no-from-filter": (no_filter, "from_filter: nothing -> contoso.example"),
    "odoo-domain-differs": (
        lambda wreck: wreck.change(DOMAIN, wreck.domain, catchall_alias="answers"),
        "catchall_alias: answers -> catchall",
    ),
    "odoo-domain-not-here": (lambda wreck: wreck.make(DOMAIN, name="other.example"), ""),
    "odoo-company-without-domain": (company_without_domain, "alias_domain_id: nothing -> "),
    "odoo-aliases-without-domain": (alias_without_domain, "alias_domain_id: nothing -> "),
    "odoo-queue-off": (lambda wreck: wreck.change(CRON, wreck.odoo.ref(QUEUE), active=False), "active: no -> yes"),
    "odoo-fetch-off": (fetching_off, "active: no -> yes"),
    "odoo-jobs-stand": (queue_stands, ""),
    "odoo-jobs-fail": (queue_fails, ""),
    "odoo-waiting-mails": (mail_waits, ""),
    "odoo-neutralized": (lambda wreck: wreck.make(PARAMETER, key="database.is_neutralized", value="True"), ""),
    "odoo-mail-catchall-domain": (lambda wreck: wreck.make(PARAMETER, key="mail.catchall.domain", value="old.example"), ""),
    "odoo-default-from-filter": (lambda wreck: wreck.make(PARAMETER, key="mail.default.from_filter", value=OURS), ""),
    "odoo-fetches-too": (lambda wreck: wreck.mailbox(user=f"Info@{OURS}"), "active: yes -> no"),
    "odoo-fetch-error": (
        lambda wreck: wreck.mailbox(error_date="2026-11-20 10:00:00", error_message="[Errno 111] Connection refused"),
        "",
    ),
}
"""What is put wrong, and a line of what would be changed; empty: nothing in Odoo mends it."""


LEFT = {"odoo-server-bypassed": {"odoo-servers-overlap"}}
"""What mending leaves: the other server keeps its FROM filter, and a person knows whether it is still meant."""


@contextmanager
def wrecked(odoo: Odoo) -> Iterator[Wreck]:
    with ExitStack() as end:
        yield Wreck(odoo, end)


@pytest.mark.parametrize("name", BOTH)
def test_a_healthy_odoo_gets_no_finding_and_nothing_is_unchecked(healthy: Odoo, data: Path, name: str) -> None:
    assert looked(data, name) == {}
    assert "Nothing was found that is wrong." in run(data, "doctor", "odoo", name)


@pytest.mark.parametrize("code", TROUBLES)
def test_what_is_wrong_is_found_alone_shown_mended_and_taken_back(healthy: Odoo, data: Path, code: str) -> None:
    spoil, line = TROUBLES[code]
    by = BOTH[[*TROUBLES].index(code) % 2]
    with wrecked(healthy) as wreck:
        spoil(wreck)
        assert [looked(data, each).keys() for each in BOTH] == [{code}, {code}]
        if line:
            assert line in run(data, "doctor", "odoo", by, "--repair", code, code=1, answer="n\n")
            assert looked(data, by).keys() == {code}
            run(data, "doctor", "odoo", by, "--repair", code, "--yes")
            assert looked(data, by).keys() == LEFT.get(code, set())
            run(data, "doctor", "odoo", by, "--undo", "--yes")
            assert looked(data, by).keys() == {code}
        else:
            assert "nothing in Odoo mends" in run(data, "doctor", "odoo", by, "--repair", code, code=1)
    assert looked(data, by) == {}


def test_mails_that_failed_are_grouped_by_what_their_errors_mean(healthy: Odoo, data: Path) -> None:
    """Sent by Odoo itself: to a server that nobody runs, and to one that refuses the sender."""
    with smtp_sink(Script({"MAIL FROM:": NO_RIGHT})) as exchange, wrecked(healthy) as wreck:
        wreck.rival("Exchange", smtp_port=exchange.port, from_filter=f"boss@{OURS}", sequence=1)
        for author in ("boss", "boss", "anna"):
            healthy.call(MAIL, "send", [wreck.mail(email_from=f"{author}@{OURS}")])
        for name in BOTH:
            (finding,) = looked(data, name).values()
            assert finding["code"] == "odoo-failed-mails"
            assert finding["title"].startswith("3 mails have failed in Odoo, most of them because: Who has signed in may not send as the")
            asked = [each["asked"] for each in finding["evidence"]]
            assert [each.partition(" of ")[0] for each in asked] == ["2", "1"]
            assert "5.7.60" in finding["evidence"][0]["said"]
            assert "Connection refused" in finding["evidence"][1]["said"]
            assert "no reason" not in asked[1]


def test_what_somebody_has_changed_since_stays_when_it_is_taken_back(healthy: Odoo, data: Path) -> None:
    with wrecked(healthy) as wreck:
        wreck.change(DOMAIN, wreck.domain, catchall_alias="answers", bounce_alias="returned")
        run(data, "doctor", "odoo", "erp", "--repair-all", "--yes")
        assert looked(data, "erp") == {}
        healthy.call(DOMAIN, "write", [wreck.domain], {"bounce_alias": "theirs"})
        said = run(data, "doctor", "odoo", "erp", "--undo", "--yes")
        assert "left, because somebody has changed it since: bounce_alias" in said
        (now,) = healthy.read(DOMAIN, [["id", "=", wreck.domain]], "catchall_alias", "bounce_alias")
        assert (now["catchall_alias"], now["bounce_alias"]) == ("answers", "theirs")


def test_who_is_no_administrator_is_told_so_and_what_can_t_be_read_is_unchecked(healthy: Odoo, data: Path) -> None:
    found = looked(data, "clerk", unchecked=True)
    assert found.keys() == {"odoo-few-rights"}


def test_odoo_says_when_the_key_ends(healthy: Odoo, data: Path) -> None:
    done = CliRunner().invoke(main, ["--data", str(data), "doctor", "--json"])
    body = json.loads(done.stdout)
    for name in BOTH:
        (end,) = (each for each in body["ends"] if each["owner"] == name)
        left = datetime.fromisoformat(end["at"]) - datetime.now(UTC)
        assert timedelta(days=8) < left < timedelta(days=10), end
        codes = {each["code"] for each in body["findings"] if each["name"] == name}
        assert codes == {"ends-soon"}, codes
