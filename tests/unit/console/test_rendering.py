"""What strangers write is shown in a time that grows with its length alone."""

from __future__ import annotations

import time

import pytest

from mailroom.console.rendering import frame, shown
from mailroom_core.mime.index import index
from mailroom_core.mime.source import InMemory

PATIENCE = 20.0
"""Seconds. It takes less than one; whatever tries a run of characters in every way takes minutes."""


def mail(html: str) -> InMemory:
    return InMemory(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode())


@pytest.mark.parametrize(
    "html",
    [
        "<style>" * 30_000,
        "<style " * 80_000,
        "<p>" + "<style>b{}</style>" * 30_000 + "<style>" * 30_000,
        "url(" + " " * 80_000,
        "src=" + " " * 80_000,
        "src=" + "\"'" * 40_000,
    ],
    ids=["styles", "half styles", "styles and styles", "url", "src", "quotes"],
)
def test_a_mail_that_is_made_to_keep_its_reader_busy_does_not(html: str) -> None:
    source = mail(html)
    began = time.monotonic()
    assert shown(source, index(source)).html
    assert "<!doctype html>" in frame(source, index(source))
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize(
    "html",
    [
        "<p>" + "".join(f"<font color={number}>" for number in range(3000)) + "</p>" + "<p>words</p>" * 3000,
        "<div>" * 100_000 + "words",
        "<x>" * 100_000 + "words",
        ("</b><i class=a>" * 2000 + "<p>words</p>" * 2000),
    ],
    ids=["letters", "blocks", "unknown", "other ends"],
)
def test_a_mail_that_would_grow_without_end_is_shown_as_its_words(html: str) -> None:
    """The first one would take gigabytes."""
    source = mail(html + "<script>1</script> & more")
    made = frame(source, index(source))
    assert "<pre>" in made
    assert "words" in made
    assert "&amp; more" in made
    assert len(made) < 2 * len(html)


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td>" * 30 + "<p>words<br>" * 20_000 + "</table>" * 30,
        "<p><font color=red><b>words</b></font><p>" * 20_000,
        "<P><Font color=red><b>words</B></FONT></p>" * 20_000 + "</x></div>" * 5000,
        "words <img src=x> <br/>" * 40_000,
    ],
)
def test_what_large_newsletters_do_is_shown(html: str) -> None:
    source = mail(html)
    assert "<pre>" not in frame(source, index(source))


def test_styles_are_kept_and_load_nothing() -> None:
    source = mail('<STYLE type="a">p{color:red}</style ><p>x</p><style>@import "//a";b{background:url(//b)}</style>')
    made = frame(source, index(source))
    assert "p{color:red}" in made
    assert "//a" not in made
    assert "//b" not in made


@pytest.mark.parametrize(
    "html", ["<img src = '//a.example/x'>", '<p style="background:url( &quot; https://a.example)">', "<td background=http://a>"]
)
def test_what_a_mail_wants_to_load_is_told(html: str) -> None:
    source = mail(html.replace("&quot;", "'"))
    assert shown(source, index(source)).remote
