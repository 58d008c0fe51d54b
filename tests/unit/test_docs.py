"""The documents say what the program does: states, settings, commands, files, tests and examples."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from demo.processes import CONFIDENTIAL_CLIENT, CONFIDENTIAL_SECRET, TENANT
from docs import diagram
from mailroom import objectfile
from mailroom.cli import main
from mailroom.objects import (
    CHOICES,
    OBJECT_KINDS,
    Account,
    Alias,
    AliasDomain,
    Application,
    Destination,
    DoctorTarget,
    ForwardTarget,
    GraphInbox,
    GraphRoute,
    ImapInbox,
    InboxTarget,
    IncomingServer,
    OdooTarget,
    OutgoingServer,
    PopInbox,
    SinkRoute,
    SmarthostRoute,
    Webhook,
    WebhookTarget,
)
from mailroom.observe import events
from mailroom.settings import ListenerSettings, Settings, load
from mailroom_core.oauth.microsoft import GLOBAL
from mailroom_emulator.server import Options, in_thread

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("packages/*/README.md"))]
SOURCES = (ROOT, ROOT / "packages/gateway/src/mailroom", ROOT / "packages/core/src/mailroom_core")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# ---- states ---------------------------------------------------------------------------------------------------------


def test_the_drawing_of_the_states_is_up_to_date() -> None:
    page = diagram.PAGE.read_text()
    assert page == diagram.drawn(page), "run: .venv/bin/python docs/diagram.py"


# ---- settings -------------------------------------------------------------------------------------------------------


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table whose first cell is code."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of the same level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {heading!r}"
    return found[1]


def code(cell: str) -> str:
    return cell.strip("`")


SETTINGS = (DOCS / "settings.md").read_text()
PROCESS, OBJECTS = section(SETTINGS, "## Process settings"), section(SETTINGS, "## Objects")


def names_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every setting as `section.name`."""
    for name, field in model.model_fields.items():
        inner = ListenerSettings if name == "listener" else field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from names_of(inner, f"{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_setting_is_described_and_every_described_one_exists() -> None:
    described = [code(row[0]) for row in rows(PROCESS)]
    assert sorted(described) == sorted(names_of(Settings))


def test_the_defaults_of_settings_are_the_described_ones(tmp_path: Path) -> None:
    sections: dict[str, list[str]] = {"": []}
    for row in rows(PROCESS):
        place, _, name = code(row[0]).rpartition(".")
        if default := code(row[1]):
            sections.setdefault(place, []).append(f"{name} = {default}")
    file = tmp_path / "mailroom.toml"
    headings = {"": "", "listener": "[[listener]]\n"}
    file.write_text("\n".join(headings.get(place, f"[{place}]\n") + "\n".join(lines) for place, lines in sections.items()))
    assert load(file, {}) == load(None, {})


def test_the_described_variables_set_the_settings() -> None:
    listener = {f"listener.{name}" for name in ListenerSettings.model_fields}
    for row in rows(PROCESS):
        name = code(row[0])
        if name not in listener:
            assert code(row[2]) == "MAILROOM_" + name.upper().replace(".", "_")
    environment = {"MAILROOM_WEB_PORT": "8080", "MAILROOM_QUEUE_LOOKS": "5s, 1m", "MAILROOM_DATA": "/data"}
    settings = load(None, environment)
    assert (settings.web.port, len(settings.queue.looks), settings.data) == (8080, 2, Path("/data"))


KINDS: Mapping[str, tuple[type, str, str]] = {
    "### `[account.NAME]`": (Account, "[account.x]\n", ""),
    '### `[alias_domain."DOMAIN"]`': (AliasDomain, "[alias_domain.x]\n", ""),
    "### `[application.NAME]`": (Application, "[application.x]\n", ""),
    "### `[webhook.NAME]`": (Webhook, "[webhook.x]\n", ""),
    "### `[server.NAME]`": (OutgoingServer, "[server.x]\n", "[server.x.sink]\n"),
    "#### `graph = { ... }`": (GraphRoute, "[account.x]\n[server.x]\n[server.x.graph]\n", ""),
    "#### `smarthost = { ... }`": (SmarthostRoute, "[server.x]\n[server.x.smarthost]\n", ""),
    "#### `sink = { ... }`": (SinkRoute, "[server.x]\n[server.x.sink]\n", ""),
    "### `[destination.NAME]`": (Destination, "[destination.x]\n", "[destination.x.inbox]\n"),
    "#### `inbox = { ... }`": (InboxTarget, "[destination.x]\n[destination.x.inbox]\n", ""),
    "#### `odoo = { ... }`": (OdooTarget, "[destination.x]\n[destination.x.odoo]\n", ""),
    "#### `webhook = { ... }`": (WebhookTarget, "[destination.x]\n[destination.x.webhook]\n", ""),
    "#### `forward = { ... }`": (ForwardTarget, "[destination.x]\n[destination.x.forward]\n", ""),
    "#### `doctor = { }`": (DoctorTarget, "[destination.x]\n[destination.x.doctor]\n", ""),
    '### `[alias."ADDRESS"]`': (Alias, "[destination.x.inbox]\n[alias.'a@b.example']\n", ""),
    "### `[incoming.NAME]`": (IncomingServer, "[account.x]\n[incoming.x]\n", "[incoming.x.graph]\naccount = 'x'\n"),
    "#### `imap = { ... }`": (ImapInbox, "[incoming.x]\n[incoming.x.imap]\n", ""),
    "#### `pop = { ... }`": (PopInbox, "[incoming.x]\nafter = 'delete'\n[incoming.x.pop]\n", ""),
    '#### `graph = { account = "NAME" }`': (GraphInbox, "[account.x]\n[incoming.x]\n[incoming.x.graph]\n", ""),
}
REQUIRED = {
    "account": '"x"',
    "to": '["a@b.example"]',
    "database": '"x"',
    "destination": '"x"',
    "host": '"relay.example"',
    "url": '"https://shop.example"',
    "user": '"x"',
}
NOT_IN_FILE = {"name", "key", *(name for name, _ in CHOICES.values())}


@pytest.mark.parametrize("heading", KINDS)
def test_every_field_of_an_object_is_described_with_its_default(heading: str, tmp_path: Path) -> None:
    kind, before, after = KINDS[heading]
    described = {code(row[0]): code(row[1]) for row in rows(section(OBJECTS, heading).split("\n#### ")[0])}
    assert set(described) == {field.name for field in fields(kind)} - NOT_IN_FILE
    required = [f"{name} = {REQUIRED[name]}" for name, default in described.items() if default == "required"]
    defaults = [f"{name} = {default}" for name, default in described.items() if default != "required"]
    file, short = tmp_path / "whole.toml", tmp_path / "short.toml"
    file.write_text("\n".join([before, *required, *defaults, after]))
    short.write_text("\n".join([before, *required, after]))
    assert objectfile.read(file) == objectfile.read(short)


# ---- examples -------------------------------------------------------------------------------------------------------


def run(*words: str) -> Any:
    return CliRunner().invoke(main, words, catch_exceptions=False)


def test_the_example_of_objects_can_be_applied_and_comes_out_as_it_went_in(tmp_path: Path) -> None:
    example, data = str(ROOT / "examples/objects.toml"), str(tmp_path)
    tried = run("--data", data, "apply", example, "--dry-run")
    assert tried.exit_code == 0, tried.output
    assert "Nothing was changed" in tried.output
    assert run("--data", data, "apply", example).exit_code == 0
    written = tmp_path / "written.toml"
    written.write_text(run("--data", data, "export").stdout)
    assert "Nothing to change" in run("--data", data, "apply", str(written)).output
    assert {type(item) for item in objectfile.read(written)} == {
        Account,
        Alias,
        AliasDomain,
        Application,
        Destination,
        IncomingServer,
        OutgoingServer,
    }


def test_the_example_of_settings_can_be_read() -> None:
    settings = load(ROOT / "examples/mailroom.toml", {})
    assert [each.legacy for each in settings.listener] == [False, False, True]


@each_page
def test_every_piece_of_toml_can_be_read(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)):
        file = tmp_path / f"{number}.toml"
        file.write_text(text)
        tables = set(tomllib.loads(text))
        if tables <= set(OBJECT_KINDS):
            objectfile.read(file)
        elif tables <= set(Settings.model_fields):
            load(file, {})


# ---- commands -------------------------------------------------------------------------------------------------------


def leaves(command: click.Command, words: tuple[str, ...] = ("mailroom",)) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from leaves(inner, (*words, name))
    elif not command.hidden:
        yield words, command


def options(command: click.Command) -> set[str]:
    found = {
        name for parameter in command.params if isinstance(parameter, click.Option) for name in (*parameter.opts, *parameter.secondary_opts)
    }
    return {name for name in found if name.startswith("--")}


COMMANDS = dict(leaves(main))
GROUPS = {("mailroom",), *(words[:2] for words in COMMANDS if len(words) == 3)}
TOP_OPTIONS = options(main) | {"--help"}


def test_every_command_is_described_with_every_option() -> None:
    text = (DOCS / "commands.md").read_text()
    headings = re.findall(r"^### `(.*)`$", text, re.MULTILINE)
    described = {tuple(word for word in heading.split() if not word.isupper()): heading for heading in headings}
    assert set(described) == set(COMMANDS)
    for words, heading in described.items():
        body = section(text, f"### `{heading}`")
        assert set(re.findall(r"--[a-z-]+", " ".join(row[0] for row in rows(body)))) == options(COMMANDS[words]), heading


def calls(text: str) -> Iterator[str]:
    """Every call of `mailroom` in code: in a line, in a fenced or in an indented block."""
    text = re.sub(r"\\\n\s*", " ", text)
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", prose)
    indented = re.findall(r"^ {4,}(.*)$", re.sub(r"`[^`\n]+`", "", prose), re.MULTILINE)
    for line in (*spans, *indented, *"\n".join(blocks).splitlines()):
        if found := re.match(r"(?:sudo -u mailroom )?(?:\S*/)?mailroom( [a-z-].*)$", line):
            yield f"mailroom{found[1]}"


@each_page
def test_every_command_that_is_mentioned_exists(page: Path) -> None:
    for call in calls(page.read_text()):
        words = shlex.split(call, comments=True)
        names: tuple[str, ...] = ("mailroom",)
        for word in words[1:]:
            if (*names, word) in COMMANDS or (*names, word) in GROUPS:
                names = (*names, word)
        assert names in COMMANDS or names in GROUPS, f"{call!r} is no command"
        known = TOP_OPTIONS | (options(COMMANDS[names]) if names in COMMANDS else set())
        assert {word for word in words if word.startswith("--")} <= known, f"{call!r} has no such option"


def test_calls_are_found_wherever_they_stand() -> None:
    text = "Say `mailroom status`.\n\n    sudo -u mailroom /opt/bin/mailroom queue free x\n\n```sh\nmailroom export\n```\n"
    assert list(calls(text)) == ["mailroom status", "mailroom queue free x", "mailroom export"]


# ---- what else is named ---------------------------------------------------------------------------------------------


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) + re.findall(r'src(?:set)?="([^"]+)"', page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{target} has no such heading"


@each_page
def test_every_file_and_every_test_that_is_named_exists(page: Path) -> None:
    for name, _, test in re.findall(r"`((?:core/|[\w.-]+/)[\w./-]*?(?:\.py|\.toml|\.service|/))(::(\w+))?`", page.read_text()):
        inside = name.removeprefix("core/")
        found = [place / part for place in (*SOURCES, page.parent) for part in (name, inside) if (place / part).exists()]
        assert found, f"{name} does not exist"
        assert not test or f"def {test}(" in found[0].read_text(), f"{name} has no test {test}"


def test_every_error_in_the_log_is_described() -> None:
    source = Path(events.__file__).read_text()
    errors = set(re.findall(r'_emit\("error", "(\w+)"', source))
    described = {code(row[0]) for row in rows(section((DOCS / "operate.md").read_text(), "## The log"))}
    assert errors <= described
    assert described <= set(re.findall(r'_emit\("\w+", "(\w+)"', source))


def test_the_cores_example_gets_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "packages/core/README.md").read_text(), re.MULTILINE | re.DOTALL)
    with in_thread(Options()) as emulator:
        cloud = replace(GLOBAL, login=emulator.url)
        own = {'"CLIENT_ID"': CONFIDENTIAL_CLIENT, '"TENANT_ID"': TENANT, '"SECRET"': CONFIDENTIAL_SECRET}
        for word, value in own.items():
            assert word in example
            example = example.replace(word, repr(value))
        exec(example.replace("proof=", "cloud=cloud, proof="), {"cloud": cloud})
    assert capsys.readouterr().out.startswith("Grant(")
