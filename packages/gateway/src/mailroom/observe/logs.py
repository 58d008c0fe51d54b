"""Structured logs: one line of JSON per event, or a readable line on a terminal."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from functools import cache
from json import JSONEncoder
from typing import Any

import structlog


def configure(*, level: str = "info", json: bool | None = None) -> None:
    """Write to standard error; JSON unless that is a terminal."""
    if json is None:
        json = not sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(_to_json) if json else structlog.dev.ConsoleRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    _writer.cache_clear()
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, _Libraries)] + [_Libraries()]


class _Libraries(logging.Handler):
    """What a library warns of becomes a line like all others: one reader of the log understands them all."""

    def emit(self, record: logging.LogRecord) -> None:
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else None
        fields = {"trace": trace} if trace else {}
        log(logging.getLevelName(record.levelno).lower(), "library", library=record.name, text=record.getMessage(), **fields)


def log(level: str, event: str, **fields: Any) -> None:
    """One line. `fields` must be free of tokens, secrets, bodies and subjects."""
    _writer(level)(event, **fields)


@cache
def _writer(level: str) -> Callable[..., None]:
    """Bound once: there are two lines for every mail."""
    writer: Callable[..., None] = getattr(structlog.get_logger().bind(), level)
    return writer


_encode = JSONEncoder(default=repr).encode


def _to_json(line: dict[str, Any], **_: object) -> str:
    """`json.dumps` with options makes a new encoder for each line."""
    return _encode(line)
