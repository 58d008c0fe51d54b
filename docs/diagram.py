"""Draws the states of a delivery from `mailroom_core.model.TRANSITIONS` into `glossary.md`.

    .venv/bin/python docs/diagram.py

`tests/unit/test_docs.py` fails when the drawing is out of date.
"""

from __future__ import annotations

from pathlib import Path

from mailroom_core.model import TRANSITIONS, State

PAGE = Path(__file__).with_name("glossary.md")
BEGIN, END = "<!-- states: made by docs/diagram.py -->", "<!-- end of states -->"


def mermaid() -> str:
    """The fenced block. Mermaid ends a label at a colon or a semicolon, so these become commas."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.QUEUED.value}: accepted"]
    for before, ways in TRANSITIONS.items():
        for after, why in ways.items():
            lines.append(f"    {before.value} --> {after.value}: {why.replace(':', ',').replace(';', ',')}")
    return "\n".join([*lines, "```"])


def drawn(page: str) -> str:
    """The page with the drawing as it has to be. Raises ValueError if its place is not marked."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no place for the states: put {BEGIN} and {END} around it")
    return f"{before}{BEGIN}\n{mermaid()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
