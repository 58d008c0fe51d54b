"""The sink's directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailroom.objects import SinkRoute
from mailroom.transports.sink import Sink
from mailroom_core.model import Deferred, Sent, show_id
from tests.contract.transports.jobs import RAW, job, remember
from tests.contract.transports.sources import LostMail

pytestmark = pytest.mark.anyio

NAME = f"{show_id(1)}.eml"


async def test_without_a_directory_it_takes_everything_and_keeps_nothing() -> None:
    outcomes = await Sink(SinkRoute()).attempt(job("a@example.net", "b@example.net"), remember)
    assert [type(outcome) for outcome in outcomes.values()] == [Sent, Sent]


async def test_a_mail_is_written_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    await Sink(SinkRoute(directory=str(tmp_path / "deep" / "mails"))).attempt(job(), remember)
    (file,) = (tmp_path / "deep" / "mails").iterdir()
    assert (file.name, file.read_bytes(), file.stat().st_mode & 0o777) == (NAME, RAW, 0o600)


async def test_a_link_in_the_way_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    mails = tmp_path / "mails"
    mails.mkdir()
    for name in (NAME, f".{show_id(1)}.part"):
        (mails / name).symlink_to(victim)
    await Sink(SinkRoute(directory=str(mails))).attempt(job(), remember)
    assert victim.read_text() == "untouched"
    assert [(file.name, file.is_symlink()) for file in mails.iterdir()] == [(NAME, False)]


async def test_a_mail_that_can_not_be_read_leaves_no_mail_behind(tmp_path: Path) -> None:
    (outcome,) = (await Sink(SinkRoute(directory=str(tmp_path))).attempt(job(source=LostMail()), remember)).values()
    assert isinstance(outcome, Deferred)
    assert NAME not in os.listdir(tmp_path)
