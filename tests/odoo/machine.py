"""A real Odoo as a process, driven from outside: by its web client's calls and by XML-RPC."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx2
import psycopg

from demo.processes import TENANT, Emulator

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
START = 240.0
"""Seconds until Odoo answers: on a busy machine it takes minutes."""
CLIENT, SECRET = "0d00cccc-0000-0000-0000-000000000019", "odoo-secret"
MODULES = "crm,project,account,mass_mailing"

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where Odoo and its PostgreSQL are."""

    odoo: Path
    python: Path
    site: Path
    """What the add-on needs and Odoo has not: mailroom-core."""
    database_host: str
    database_user: str
    template: str
    """A database with the add-on installed, to be copied."""

    @classmethod
    def given(cls) -> Place:
        return cls(
            Path(os.environ["ODOO_UNDER_TEST"]),
            Path(os.environ["ODOO_UNDER_TEST_PYTHON"]),
            Path(os.environ["ODOO_UNDER_TEST_SITE"]),
            os.environ["ODOO_UNDER_TEST_DB_HOST"],
            os.environ["ODOO_UNDER_TEST_DB_USER"],
            os.environ["ODOO_UNDER_TEST_TEMPLATE"],
        )

    def words(self, database: str, data: Path, *more: str, program: Sequence[str] = ()) -> list[str]:
        """A command line of Odoo's; `program` is another script than odoo-bin, with its first arguments."""
        addons = [self.odoo / "addons", self.odoo / "odoo" / "addons", ROOT / "odoo"]
        paths = ",".join(str(path) for path in addons)
        where = ["--db_host", self.database_host, "--db_user", self.database_user, "-d", database, "--data-dir", str(data)]
        return [str(self.python), *(program or [str(self.odoo / "odoo-bin")]), "--addons-path", paths, *where, *more]

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.python.parent}:{os.environ.get('PATH', '')}"  # an Odoo that starts itself anew looks for `python` there
        return {**os.environ, "PATH": path, "PYTHONPATH": f"{ROOT / 'packages/core/src'}:{self.site}", "PYTHONUNBUFFERED": "1"}

    def sql(self, statement: str, *values: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(host=self.database_host, user=self.database_user, dbname=database, autocommit=True) as connection:
            found = connection.execute(statement.encode(), values or None)
            return found.fetchall() if found.description else []


class Odoo:
    """One database, served. `workers` 0 is one process with threads."""

    def __init__(self, place: Place, folder: Path, *, workers: int = 0) -> None:
        self.place = place
        self.workers = workers
        self.database = f"odoo_{os.getpid()}_{time.monotonic_ns()}"
        self.data = folder / "data"
        self.log = folder / "odoo.log"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._expected: list[str] = []
        self._browser = httpx2.Client(base_url=self.url, timeout=120, trust_env=False)
        place.sql(f'CREATE DATABASE "{self.database}" TEMPLATE "{place.template}"')

    def start(self, *more: str) -> None:
        words = ["--http-interface", "127.0.0.1", "--http-port", str(self.port), "--gevent-port", str(_free_port()), "--workers",
                 str(self.workers), "--max-cron-threads", "1", "--no-database-list", *more]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.place.words(self.database, self.data, *words),
                stdout=log,
                stderr=log,
                env=self.place.environment,
                start_new_session=True,
            )
        self.eventually(self._answers, "Odoo answers", START)
        self._browser.cookies.clear()
        self.web("/web/session/authenticate", db=self.database, login="admin", password="admin")

    @property
    def pid(self) -> int:
        """Of the first of its processes."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """All its processes at once, as a power failure would."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self.place.sql(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')

    def set_up(self, emulator: Emulator) -> None:
        """The settings as an administrator makes them, with the emulator in the place of Microsoft."""
        emulator.ask("POST", "/apps", json={
            "client_id": CLIENT, "secret": SECRET, "roles": ["Mail.Send", "Mail.ReadWrite"],
            "redirect_uris": [f"{self.url}/microsoft_graph_mail/callback"],
        })  # fmt: skip
        for name, value in {"login_url": emulator.url, "graph_url": emulator.url}.items():
            self.call("ir.config_parameter", "set_param", f"microsoft_graph_mail.{name}", value)
        self.call("ir.config_parameter", "set_param", "web.base.url", self.url)
        values = {"microsoft_graph_client_id": CLIENT, "microsoft_graph_tenant": TENANT, "microsoft_graph_secret": SECRET}
        settings = self.call("res.config.settings", "create", {"external_email_server_default": True, **values})
        self.call("res.config.settings", "execute", [settings])
        domain = self.call("mail.alias.domain", "create", {"name": "contoso.example", "default_from": "notifications"})
        self.call("res.company", "write", [1], {"alias_domain_id": domain, "email": "info@contoso.example"})

    # Calls

    def web(self, path: str, **params: Any) -> Any:
        """One call as the web client makes it."""
        answer = self._browser.post(path, json={"jsonrpc": "2.0", "method": "call", "params": params}).json()
        if "error" in answer:
            raise Refused(answer["error"]["data"]["message"], answer["error"]["data"].get("debug", ""))
        return answer.get("result")

    def call(self, model: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """A method, as the administrator."""
        return self.web(f"/web/dataset/call_kw/{model}/{method}", model=model, method=method, args=list(args), kwargs=kwargs)

    def read(self, model: str, domain: Sequence[Any], *fields: str, archived: bool = False) -> list[dict[str, Any]]:
        context = {"active_test": not archived}
        found: list[dict[str, Any]] = self.call(model, "search_read", list(domain), list(fields), context=context)
        return found

    def connect(self, model: str, server: int, person: str) -> httpx2.Response:
        """Press Connect, and sign in at Microsoft as this person: the page where the browser ends."""
        action = self.call(model, "action_microsoft_graph_connect", [server])
        parts = urlsplit(action["url"])
        query = {**dict(parse_qsl(parts.query)), "login_hint": person, "emulator_auto": "1"}
        sent_back = httpx2.get(urlunsplit(parts._replace(query=urlencode(query))), follow_redirects=False, trust_env=False)
        return self._browser.get(sent_back.headers["location"])

    def outgoing(self, mailbox: str, person: str, **values: Any) -> int:
        fields = {"name": mailbox, "smtp_authentication": "microsoft_graph", "smtp_user": mailbox, "smtp_encryption": "none", **values}
        server: int = self.call("ir.mail_server", "create", fields)
        self.connect("ir.mail_server", server, person)
        return server

    def incoming(self, mailbox: str, person: str, **values: Any) -> int:
        fields = {"name": mailbox, "server_type": "microsoft_graph", "user": mailbox, **values}
        server: int = self.call("fetchmail.server", "create", fields)
        self.connect("fetchmail.server", server, person)
        self.call("fetchmail.server", "button_confirm_login", [server])
        return server

    def fetch(self, server: int, until: Callable[[], object], what: str) -> None:
        """Press Fetch Now, again where the cron is at it this moment."""

        def fetched() -> object:
            self.call("fetchmail.server", "fetch_mail", [server])
            return until()

        self.eventually(fetched, what)

    def due(self) -> None:
        """As if the time had come: what waits in the queue is due, and the queue runs, if it does not already."""
        self.sql("UPDATE mail_mail SET scheduled_date = NULL WHERE state = 'outgoing'")
        try:
            self.call("ir.cron", "method_direct_trigger", [self.ref("mail.ir_cron_mail_scheduler_action")])
        except Refused as problem:
            if "already executing" not in problem.args[0]:
                raise

    def ref(self, name: str) -> int:
        module, _, short = name.partition(".")
        found = self.read("ir.model.data", [["module", "=", module], ["name", "=", short]], "res_id")
        return int(found[0]["res_id"])

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.place.sql(statement, *values, database=self.database)

    def eventually(self, true: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if found := true():
                return found
            assert self._process is None or self._process.poll() is None, self.last_words()
            time.sleep(0.1)
        raise AssertionError(f"in vain: {what}\n{self.last_words()}")

    def last_words(self) -> str:
        return self.log.read_text()[-3000:]

    def complaints(self) -> list[str]:
        """What Odoo has logged as an error, each with the lines that belong to it."""
        found = re.findall(r"^\S+ \S+ \d+ (?:ERROR|CRITICAL) .*(?:\n(?!\d{4}-\d\d-\d\d ).*)*", self.log.read_text(), re.MULTILINE)
        return [each for each in found if not any(words in each for words in self._expected)]

    def expected(self, words: str) -> None:
        """An error with these words is no complaint."""
        self._expected.append(words)

    def _answers(self) -> bool:
        try:
            return self._browser.get("/web/login", follow_redirects=True).status_code == 200
        except httpx2.TransportError:
            return False


class Refused(Exception):
    """Odoo answered with an error; the second argument is its traceback."""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
