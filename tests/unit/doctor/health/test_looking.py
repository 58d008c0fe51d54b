"""Many objects are looked at side by side, and each look has an end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from mailroom.doctor.findings import Check, Evidence, Finding, Harm, Look, Verdict
from mailroom.doctor.health.looking import Examination, Examined, Health, Subject, Usage, examined, judged
from mailroom.observe import events
from mailroom_core.errors import VaultError
from tests.unit.doctor.health.house import T0

ONE, TWO = Subject("server", "one"), Subject("server", "two")


def run(*all_: Examination, patience: timedelta = timedelta(seconds=20), at_once: int = 8) -> list[Examined]:
    async def collected() -> list[Examined]:
        return [each async for each in examined(all_, patience=patience, at_once=at_once)]

    return asyncio.run(collected())


def well(subject: Subject) -> Examined:
    return judged(subject, "well")


def test_a_look_that_hangs_is_cut_off_and_says_so_and_the_others_are_not_kept_waiting() -> None:
    async def for_ever() -> Examined:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def at_once() -> Examined:
        return well(TWO)

    first, second = run(Examination(ONE, for_ever), Examination(TWO, at_once), patience=timedelta(milliseconds=50))
    assert (first.subject, first.look.check.verdict) == (TWO, Verdict.GOOD)
    assert (second.subject, second.look.check.verdict) == (ONE, Verdict.UNCHECKED)
    assert second.look.unchecked[0].why == "cut off: no end after 0.05 seconds"
    assert second.took >= timedelta(milliseconds=50)


def test_what_keeps_from_looking_is_told_and_is_no_finding() -> None:
    async def locked() -> Examined:
        raise VaultError("the vault has no key")

    async def silent() -> Examined:
        raise TimeoutError("the name server was silent")

    found = {each.subject: each for each in run(Examination(ONE, locked), Examination(TWO, silent))}
    assert found[ONE].look.unchecked[0].why == "the vault has no key"
    assert found[TWO].look.unchecked[0].why == "the name server was silent"
    assert not any(each.look.findings for each in found.values())


def test_no_more_than_so_many_at_once_and_those_of_one_account_one_after_the_other() -> None:
    now, most = {"all": 0, "a": 0}, {"all": 0, "a": 0}

    def counted(turn: str) -> Examination:
        async def examine() -> Examined:
            for each in {"all", turn} & set(now):
                now[each] += 1
                most[each] = max(most[each], now[each])
            for _ in range(5):
                await asyncio.sleep(0)
            for each in {"all", turn} & set(now):
                now[each] -= 1
            return well(ONE)

        return Examination(ONE, examine, turn)

    assert len(run(*(counted(turn) for turn in ("a", "a", "a", "", "", "", "")), at_once=3)) == 7
    assert most == {"all": 3, "a": 1}


def test_who_stops_listening_stops_the_looks() -> None:
    ended: list[str] = []

    async def for_ever() -> Examined:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        raise AssertionError("never")

    async def at_once() -> Examined:
        return well(TWO)

    async def first() -> Examined:
        found = examined([Examination(ONE, for_ever), Examination(TWO, at_once)])
        async for each in found:
            await found.aclose()  # type: ignore[attr-defined]  # an async generator is one
            return each
        raise AssertionError("nothing came")

    assert asyncio.run(first()).subject == TWO
    assert ended == ["cancelled"]


def test_a_report_has_the_worst_first_and_is_harmful_by_it() -> None:
    def finding(code: str, harm: Harm) -> Finding:
        return Finding(code, harm, "title", "why", "todo", (Evidence("asked", "said"),))

    def with_(subject: Subject, *findings: Finding) -> Examined:
        return Examined(subject=subject, look=Look(Check(str(subject), Verdict.FOUND, ""), findings))

    risky, harmful = finding("risky", Harm.RISKY), finding("harmful", Harm.HARMFUL)
    report = Health(T0, timedelta(), (with_(ONE, risky), with_(TWO, finding("advice", Harm.ADVICE), harmful)))
    assert [(str(subject), each.code) for subject, each in report.findings] == [
        ("server two", "harmful"),
        ("server one", "risky"),
        ("server two", "advice"),
    ]
    assert report.harmful
    assert not Health(T0, timedelta(), (with_(ONE, risky),)).harmful


def test_a_limit_is_near_from_four_fifths_on() -> None:
    assert not Usage("recipients", 79, 100).is_near
    assert Usage("recipients", 80, 100).is_near


def test_a_mistake_of_ours_hides_no_other_look_and_the_log_names_its_place_and_quotes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(events, "request_broke", logged.append)

    async def broken() -> Examined:
        raise ValueError("the secret is 4711")

    async def at_once() -> Examined:
        return well(TWO)

    found = {each.subject: each.look for each in run(Examination(ONE, broken), Examination(TWO, at_once))}
    assert (found[ONE].check.verdict, found[TWO].check.verdict) == (Verdict.UNCHECKED, Verdict.GOOD)
    assert "a mistake of ours" in found[ONE].unchecked[0].why
    (line,) = logged
    assert line.startswith("the look at server one: ValueError in test_looking.py:")
    assert "4711" not in line
