"""A flow that nobody drives does nothing, silently. In these tests it fails: every flow of ours is watched from its making to its end."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from types import ModuleType, TracebackType
from typing import Any


class Undriven(AssertionError):
    """A flow was made and not driven to its end."""


class Watch:
    """Wraps the makers of flows and remembers those that were made and did not end."""

    def __init__(self) -> None:
        self._open: dict[int, WatchedFlow] = {}

    def over(self, maker: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., WatchedFlow]:
        """The same maker of flows, watched."""

        @functools.wraps(maker)
        def watched(*args: Any, **kwargs: Any) -> WatchedFlow:
            flow = WatchedFlow(maker.__name__, maker(*args, **kwargs), self._end)
            self._open[id(flow)] = flow
            return flow

        return watched

    def over_modules(self, modules: list[ModuleType], of: str) -> None:
        """Watch every generator function of package `of` under each name by which these modules know it."""
        watched: dict[int, Callable[..., WatchedFlow]] = {}
        for module in modules:
            for name, value in list(vars(module).items()):
                if inspect.isgeneratorfunction(value) and value.__module__.startswith(of):
                    setattr(module, name, watched.setdefault(id(value), self.over(value)))

    def check(self) -> None:
        """Raises Undriven if a flow was not driven to its end, and begins anew."""
        names = [flow.name for flow in self._open.values()]
        self._open.clear()
        if names:
            raise Undriven(f"made, but not driven to the end: {', '.join(names)}; use run(), arun() or yield from")

    def _end(self, flow: WatchedFlow) -> None:
        self._open.pop(id(flow), None)


class WatchedFlow(Generator[Any, Any, Any]):
    """A generator that tells when it has ended."""

    def __init__(self, name: str, flow: Generator[Any, Any, Any], end: Callable[[WatchedFlow], None]) -> None:
        self.name = name
        self._flow = flow
        self._end = end
        self._started = False

    def send(self, value: Any) -> Any:
        self._started = True
        try:
            return self._flow.send(value)
        except BaseException:
            self._end(self)
            raise

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None) -> Any:
        try:
            return self._flow.throw(typ)
        except BaseException:
            self._end(self)
            raise

    def close(self) -> None:
        self._flow.close()
        if self._started:  # closing what never began drives nothing
            self._end(self)
