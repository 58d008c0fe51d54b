"""Default values of an alias: how people write them, and which make sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mailroom import defaults, objectfile
from mailroom.objects import Alias, Directory
from mailroom_core.errors import ConfigError

DESTINATIONS = """
[destination.desk]
inbox = {}
[destination.on]
forward = { to = ["a@b.example"] }
[destination.shop]
webhook = { url = "https://shop.example" }
[destination.erp]
odoo = { url = "https://odoo.example", database = "x", user = "y", model = "crm.lead" }
[destination.bare]
odoo = { url = "https://odoo.example", database = "x", user = "y" }
"""


def applied(folder: Path, destination: str, values: str, more: str = "") -> Alias:
    file = folder / "objects.toml"
    file.write_text(f'{DESTINATIONS}\n[alias."sales@example.com"]\ndestination = "{destination}"\ndefaults = {values}\n{more}')
    (found,) = [each for each in objectfile.read(file) if isinstance(each, Alias)]
    return found


def test_what_is_no_json_is_a_text() -> None:
    lines = ["team_id = 3", 'priority="2"', "note = call, please = now", "", "  active = true ", "tag_ids = [[6, 0, [1]]]"]
    found = defaults.read(lines)
    assert found == {"team_id": 3, "priority": "2", "note": "call, please = now", "active": True, "tag_ids": [[6, 0, [1]]]}
    assert defaults.read(defaults.lines(found)) == found


@pytest.mark.parametrize("line", ["team_id", "= 3", "team_id =", "team_id = 3\nteam_id = 4"])
def test_what_can_not_be_read_says_how_it_is_written(line: str) -> None:
    with pytest.raises(ConfigError, match=r"defaults: .*(for example team_id = 3|leave one of them out)"):
        defaults.read(line.split("\n"))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ('{ "team id" = 3 }', "no name of a field"),
        ("{ team_id = 3000000000 }", "32 bits"),
        ("{ share = nan }", "no number"),
        ('{ note = "a\\u0000b" }', "control character"),
        ("{ day = 2026-01-01 }", "can't be said"),
        ("{ deep = { a = 1 } }", "can't be said"),
        ("{ deep = [[[[[1]]]]] }", "too deep"),
        (f'{{ note = "{"x" * 5000}" }}', "4000 characters"),
    ],
)
def test_what_no_odoo_could_be_told_is_refused(tmp_path: Path, values: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"defaults: .*{told}"):
        applied(tmp_path, "erp", values)


@pytest.mark.parametrize(
    ("destination", "values", "told"),
    [
        ("bare", "{ team_id = 3 }", "names no `model`"),
        ("desk", "{ team_id = 3 }", "knows assignee alone"),
        ("desk", "{ assignee = 3 }", "knows assignee alone"),
        ("on", "{ team_id = 3 }", "opens nothing"),
    ],
)
def test_values_that_nobody_would_use_are_refused(tmp_path: Path, destination: str, values: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        applied(tmp_path, destination, values)


@pytest.mark.parametrize(
    ("destination", "values", "found"),
    [
        ("erp", '{ team_id = 3, tag_ids = [[6, 0, [1]]], share = 0.5, note = "two\\nlines" }', None),
        ("shop", '{ queue = "night" }', {"queue": "night"}),
        ("desk", '{ assignee = "mary@example.com" }', {"assignee": "mary@example.com"}),
        ("on", "{}", {}),
    ],
)
def test_the_object_file_has_them_and_gets_them_again(tmp_path: Path, destination: str, values: str, found: dict[str, Any] | None) -> None:
    alias = applied(tmp_path, destination, values, 'domains = ["example.org"]\nautomatic = true\n')
    assert found is None or alias.defaults == found
    assert (alias.domains, alias.automatic) == (("example.org",), True)
    file = tmp_path / "objects.toml"
    there = objectfile.read(file)
    directory = Directory(
        aliases={alias.name: alias},
        destinations={each.name: each for each in there if not isinstance(each, Alias)},  # type: ignore[misc, union-attr]
    )
    file.write_text(objectfile.write(directory))
    assert next(each for each in objectfile.read(file) if isinstance(each, Alias)) == alias


@pytest.mark.parametrize(
    ("more", "told"),
    [('domains = ["a@b.example"]', "is no domain"), ('domains = ["b.example"]\nany_domain = true', "every domain already")],
)
def test_domains_that_make_no_sense_are_refused(tmp_path: Path, more: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"domains: .*{told}"):
        applied(tmp_path, "erp", "{}", more)


def test_the_first_alias_that_leads_there_and_has_some_counts() -> None:
    aliases = [
        Alias(name="plain@example.com", destination="erp"),
        Alias(name="shop@example.com", destination="shop", defaults={"a": 1}),
        Alias(name="sales@example.com", destination="erp", defaults={"a": 2}),
    ]
    directory = Directory(aliases={each.name: each for each in aliases})
    everybody = ["nobody@example.com", *directory.aliases]
    assert defaults.of(directory, "erp", everybody) == {"a": 2}
    assert defaults.of(directory, "desk", everybody) == {}
