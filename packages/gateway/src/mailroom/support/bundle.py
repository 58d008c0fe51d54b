"""The files of a bundle, within limits, and looked at once more."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mailroom.support import mail
from mailroom.support.masking import Masks
from mailroom_core.errors import ConfigError
from mailroom_core.mime.source import ReadAt

MOST_MAILS = 20
MOST = 8 * 1024 * 1024
"""Bytes of all files; what comes later is left out."""
FILE = 1024 * 1024
"""Bytes of one of them."""


NO_ONES = frozenset({"versions"})
"""Files that say nothing of anybody, and whose words must stay what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What goes in besides versions, settings, objects, health and the audit log."""

    mails: tuple[str, ...] = ()
    """Ids."""
    content: bool = False
    """Subjects, texts: what the mails say."""
    keep_names: bool = False
    """Domains, hosts and network addresses stay as they are."""


class Opened(Protocol):
    """The bytes of one mail."""

    def __enter__(self) -> ReadAt | None: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One mail in question."""

    id: str
    story: Mapping[str, Any]
    opened: Opened
    """None if its bytes are gone."""


@dataclass(frozen=True, slots=True)
class File:
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Bundle:
    files: tuple[File, ...]
    legend: Mapping[str, str]
    """Mask -> what it stands for. For those who make it; it is in no file."""

    def zip(self) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for each in self.files:
                archive.writestr(zipfile.ZipInfo(f"mailroom-support/{each.name}", (2020, 1, 1, 0, 0, 0)), each.text)
        return made.getvalue()

    def shown(self) -> str:
        """All of it, one file after the other."""
        return "\n".join(f"==== {each.name}\n{each.text}" for each in self.files)


ABOUT = """A support bundle of Mailroom.

Secrets are taken out. Each address, domain, public network address and opaque word has one mask, the same in all files: address-1 is one
person or mailbox everywhere. {names} Mails are shown with their header fields and their build; what they say is {content}.
Who made this bundle has seen all of it before it was saved, and knows who is behind a mask.
"""


def make(house: Mapping[str, Any], cases: Sequence[Case], wanted: Wanted, masks: Masks) -> Bundle:
    """`house` is file name -> JSON. Blocking. Raises ConfigError if it is asked for too much."""
    if len(cases) > MOST_MAILS:
        raise ConfigError(f"a bundle takes {MOST_MAILS} mails at most; choose those that show the problem best")
    masks.learn(house)
    for case in cases:
        masks.learn(case.story)
        with case.opened as source:
            if source is not None:
                mail.learn(source, masks)
    names = "Names of domains and hosts stand as they are." if wanted.keep_names else "Domains of large providers stand as they are."
    content = "in it as well" if wanted.content else "left out"
    about = File("README.txt", ABOUT.format(names=names, content=content))
    files = [about, *_within(_files(house, cases, wanted, masks), masks)]
    return Bundle(tuple(files), masks.legend())


def _files(house: Mapping[str, Any], cases: Sequence[Case], wanted: Wanted, masks: Masks) -> Iterable[File]:
    for name, value in house.items():
        yield File(f"{name}.json", _json(value if name in NO_ONES else masks.tree(value)))
    for case in cases:
        story = dict(case.story)
        if not wanted.content and isinstance(message := story.get("message"), Mapping):
            story["message"] = {**message, "subject": f"({len(str(message.get('subject', '')))} characters, left out)"}
        yield File(f"mails/{case.id}/story.json", _json(masks.tree(story)))
        with case.opened as source:
            if source is None:
                yield File(f"mails/{case.id}/mail.txt", "The bytes of this mail are gone (queue.keep_raw).\n")
            else:
                yield File(f"mails/{case.id}/mail.eml", mail.masked(source, masks, content=wanted.content).decode("utf-8", "replace"))


def _within(files: Iterable[File], masks: Masks) -> Iterable[File]:
    """Cut where they are too long, and without what still has something inside that should be masked."""
    left = MOST
    for each in files:
        text = each.text
        if masks.leaks(text):
            text = "(left out: something in this file could not be masked)\n"
        if len(text) > FILE:
            text = f"{text[:FILE]}\n(cut: {len(text)} characters)\n"
        if len(text) > left:
            yield File(each.name, "(left out: the bundle is full)\n")
            continue
        left -= len(text)
        yield File(each.name, text)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"
