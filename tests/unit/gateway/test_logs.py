"""The log: one JSON object in each line, whoever wrote it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from mailroom.observe import logs


@pytest.fixture(autouse=True)
def _afterwards_the_log_goes_where_it_went() -> Iterator[None]:
    before, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    yield
    structlog.configure(**before)
    logs._writer.cache_clear()
    logging.getLogger().handlers = handlers


def test_what_a_library_warns_of_is_a_line_like_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="warning", json=True)
    logging.getLogger("uvicorn.error").warning("Invalid %s request", "HTTP")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["library"], line["text"]) == (
        "library",
        "warning",
        "uvicorn.error",
        "Invalid HTTP request",
    )


def test_a_librarys_exception_keeps_its_trace_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="warning", json=True)
    try:
        raise ValueError("a fault")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    line = json.loads(capsys.readouterr().err)
    assert line["level"] == "error"
    assert line["trace"].endswith("ValueError: a fault\n")


def test_configuring_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="warning", json=True)
    logs.configure(level="warning", json=True)
    logging.getLogger("aiosmtplib").warning("once")
    assert len(capsys.readouterr().err.splitlines()) == 1
