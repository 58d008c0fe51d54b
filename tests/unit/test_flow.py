"""The two drivers do the same, and a flow that nobody drives is noticed."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from mailroom_core import flow as flow_module
from mailroom_core.flow import Flow, NoResponse, Note, Request, Response, arun, ask, json_object, run
from tests.unit.driven import Undriven, Watch
from tests.unit.scripted import answer, line_of, lost, play

FIRST = Request("GET", "https://graph.test/first")
SECOND = Request("POST", "https://graph.test/second", body=b"two")

Answers = dict[str, Response | NoResponse]
Driver = Callable[[Flow[str], Answers, list[str]], str]


def drive_blocking(flow: Flow[str], answers: Answers, seen: list[str]) -> str:
    return run(flow, lambda request: _answer(request, answers, seen), lambda note: seen.append(f"note {dict(note.facts)}"))


def drive_async(flow: Flow[str], answers: Answers, seen: list[str]) -> str:
    async def http(request: Request) -> Response:
        return _answer(request, answers, seen)

    async def remember(note: Note) -> None:
        seen.append(f"note {dict(note.facts)}")

    return asyncio.run(arun(flow, http, remember))


def _answer(request: Request, answers: Answers, seen: list[str]) -> Response:
    seen.append(line_of(request))
    found = answers[line_of(request)]
    if isinstance(found, NoResponse):
        raise found
    return found


def two_requests(closed: list[str]) -> Flow[str]:
    try:
        first = yield from ask(FIRST)
        yield Note({"id": "7"})
        try:
            second = yield from ask(SECOND)
        except NoResponse as problem:
            return f"lost, sent={problem.sent}: {problem.why}"
        return f"{first.status} {second.status}"
    finally:
        closed.append("closed")


both = pytest.mark.parametrize("drive", [drive_blocking, drive_async])


@both
def test_requests_are_answered_and_notes_are_remembered_in_order(drive: Driver) -> None:
    seen: list[str] = []
    answers: Answers = {"GET /first": Response(200), "POST /second": Response(202)}
    assert drive(two_requests([]), answers, seen) == "200 202"
    assert seen == ["GET /first", "note {'id': '7'}", "POST /second"]


@both
def test_a_missing_response_reaches_the_flow(drive: Driver) -> None:
    answers: Answers = {"GET /first": Response(200), "POST /second": lost(sent=True)}
    assert drive(two_requests([]), answers, []) == "lost, sent=True: connection lost"


@both
def test_a_missing_response_that_the_flow_does_not_expect_reaches_the_caller(drive: Driver) -> None:
    closed: list[str] = []
    with pytest.raises(NoResponse):
        drive(two_requests(closed), {"GET /first": lost(sent=False)}, [])
    assert closed == ["closed"]


@both
def test_a_flow_is_closed_when_the_driver_breaks(drive: Driver) -> None:
    closed: list[str] = []
    with pytest.raises(KeyError):
        drive(two_requests(closed), {}, [])
    assert closed == ["closed"]


@both
def test_a_note_that_can_not_be_committed_ends_the_flow(drive: Driver) -> None:
    class Full(list[str]):
        def append(self, text: str) -> None:
            if text.startswith("note"):
                raise OSError("disk full")
            super().append(text)

    seen, closed = Full(), list[str]()
    with pytest.raises(OSError, match="disk full"):
        drive(two_requests(closed), {"GET /first": Response(200)}, seen)
    assert (seen, closed) == (["GET /first"], ["closed"])


@both
def test_a_flow_without_requests_gives_its_result(drive: Driver) -> None:
    def nothing() -> Flow[str]:
        yield from ()
        return "done"

    assert drive(nothing(), {}, []) == "done"


def test_a_request_is_never_answered_with_nothing() -> None:
    flow = ask(FIRST)
    next(flow)
    with pytest.raises(AssertionError, match="answers a Request with a Response"):
        next(flow)


@pytest.mark.parametrize("body", [b"", b"[1]", b"\xff", b"{", b'"text"', b"[" * 100_000])
def test_a_body_that_is_no_json_object_reads_as_an_empty_one(body: bytes) -> None:
    assert json_object(Response(200, {}, body)) == {}


def test_a_json_object_is_read() -> None:
    assert json_object(answer(200, {"id": "7"})) == {"id": "7"}


def test_a_script_fails_on_a_request_too_many_too_few_or_another() -> None:
    with pytest.raises(AssertionError, match="more than the script"):
        play(two_requests([]))
    with pytest.raises(AssertionError):
        play(two_requests([]), ("GET /other", Response(200)))
    with pytest.raises(AssertionError, match="ended before"):
        play(ask(FIRST), ("GET /first", Response(200)), ("GET /first", Response(200)))


def test_a_flow_that_nobody_drives_is_noticed() -> None:
    watch = Watch()
    make = watch.over(two_requests)
    make([])
    with pytest.raises(Undriven, match="two_requests"):
        watch.check()
    watch.check()  # it begins anew


def test_a_flow_that_is_only_closed_counts_as_not_driven() -> None:
    watch = Watch()
    watch.over(two_requests)([]).close()
    with pytest.raises(Undriven):
        watch.check()


def test_a_flow_that_is_left_halfway_is_noticed() -> None:
    watch = Watch()
    flow = watch.over(two_requests)([])
    next(flow)
    with pytest.raises(Undriven):
        watch.check()
    flow.close()


def test_a_flow_that_is_driven_passes() -> None:
    watch = Watch()
    answers: Answers = {"GET /first": Response(200), "POST /second": lost(sent=True)}
    assert drive_blocking(watch.over(two_requests)([]), answers, []).startswith("lost")
    assert drive_async(watch.over(two_requests)([]), answers, []).startswith("lost")
    with pytest.raises(NoResponse):
        drive_blocking(watch.over(two_requests)([]), {"GET /first": lost(sent=False)}, [])
    with pytest.raises(KeyError):
        drive_blocking(watch.over(two_requests)([]), {}, [])
    watch.check()


def test_makers_of_flows_are_watched_under_every_name() -> None:
    home, guest = ModuleType("home"), ModuleType("guest")

    def flow() -> Flow[None]:
        yield FIRST

    flow.__module__ = "home"
    vars(home).update(flow=flow, number=1)
    vars(guest).update(borrowed=flow, other=two_requests)
    watch = Watch()
    for _ in range(2):  # the second time finds nothing new
        watch.over_modules([home, guest], "home")
    assert vars(home)["flow"] is vars(guest)["borrowed"] is not flow
    assert vars(guest)["other"] is two_requests


def test_this_very_run_watches_the_flows_of_the_core() -> None:
    makers = [
        value
        for name, module in sys.modules.items()
        if name.startswith(("mailroom_core.oauth", "mailroom_core.providers"))
        for value in vars(module).values()
        if inspect.isgeneratorfunction(value) and value.__module__ != flow_module.__name__
    ]
    assert makers == []
