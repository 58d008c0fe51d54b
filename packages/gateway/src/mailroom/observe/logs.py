"""Structured logs: one line of JSON per event, or a readable line on a terminal."""

from __future__ import annotations

import logging
import sys
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
            structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def log(level: str, event: str, **fields: Any) -> None:
    """One line. `fields` must be free of tokens, secrets, bodies and subjects."""
    getattr(structlog.get_logger(), level)(event, **fields)
