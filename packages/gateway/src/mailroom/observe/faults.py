"""What a log may say of an exception that nobody expected: where it is, and nothing that its own text quotes."""

from __future__ import annotations


def place_of(problem: BaseException) -> str:
    """`ValueError in head.py:12`."""
    last = problem.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = f"{last.tb_frame.f_code.co_filename.rpartition('/')[2]}:{last.tb_lineno}" if last else "?"
    return f"{type(problem).__name__} in {where}"
