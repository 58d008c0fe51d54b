"""The way in: who decides what becomes of a mail, and who stores it."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from mailroom.accept import Accept, Commit, write
from mailroom.blobs.files import OpenFile
from mailroom.intake.answers import Answers
from mailroom.intake.bounces import Bounces, hears_of_bounces
from mailroom.intake.correspond import Correspondence
from mailroom.intake.followers import Followers
from mailroom.intake.judge import Back, Judge
from mailroom.intake.lookup import Lookup
from mailroom.intake.onward import GoesOn, Onward
from mailroom.intake.replay import Replay
from mailroom.intake.take import Intake
from mailroom.return_address import delivery_of
from mailroom.vault import credentials
from mailroom.wiring.parts import Parts, credential_key, hostname, utc_now
from mailroom_core.policy import bounces, srs
from mailroom_core.policy.decision import Settings


def make_judge(parts: Parts) -> Judge:
    given = parts.settings.routing
    rules = Settings(loop_count=given.loop_mails, loop_window=given.loop_window, exempt=given.loop_exempt, mark=mark_of(parts))
    return Judge(parts.directory, Lookup(parts.store, rules), rules, back_of(parts))


def back_of(parts: Parts) -> Back:
    """Whom a mail was from that we have forwarded, by its envelope sender of ours."""
    mac = mac_of(parts)
    return lambda address, now: srs.read(address, mac, now)


def mark_of(parts: Parts) -> str:
    """What this installation writes into mail that must not come back as new mail."""
    return credentials.digest(credential_key(parts), "our mark")[:20]


def make_intake(parts: Parts, commit: Commit) -> Intake:
    judge = make_judge(parts)
    return Intake(
        store=parts.store,
        blobs=parts.blobs,
        opened=opened,
        ids=parts.ids,
        clock=utc_now,
        commit=commit,
        judge=judge,
        answers=_answers(parts),
        bounces=_bounces(parts, judge),
        lifetime=parts.settings.queue.lifetime,
    )


def _answers(parts: Parts) -> Answers:
    return Answers(
        directory=parts.directory,
        ids=parts.ids,
        clock=utc_now,
        hostname=hostname(parts.settings),
        lifetime=parts.settings.queue.lifetime,
    )


def _bounces(parts: Parts, judge: Judge) -> Bounces:
    goes_on = GoesOn(parts.directory, judge.lookup, judge.back, judge.settings.loop_count)
    mac, when = mac_of(parts), parts.settings.suppression
    return Bounces(
        parts.store,
        bounces.Settings(hard=when.hard, soft=when.soft, window=when.window, span=when.span),
        lambda address: delivery_of(judge.directory(), address, mac),
        goes_on,
        lambda about: hears_of_bounces(judge.directory(), about),
    )


def make_onward(parts: Parts, accept: Accept, spool: Path) -> Onward:
    spool.mkdir(mode=0o700, exist_ok=True)
    return Onward(
        directory=parts.directory,
        accept=accept,
        spool=spool,
        mark=mark_of(parts),
        mac=mac_of(parts),
        clock=utc_now,
        authserv_id=parts.settings.mx.authserv_id or hostname(parts.settings),
    )


def mac_of(parts: Parts) -> Callable[[bytes], bytes]:
    """What addresses of ours are signed with; backups have its key."""
    key = hmac.digest(credential_key(parts), b"addresses", "sha256")
    return lambda data: hmac.digest(key, data, "sha256")


def make_followers(parts: Parts, accept: Accept, spool: Path) -> Followers:
    """With a folder for copies under way; what a killed process left there is made anew."""
    spool.mkdir(mode=0o700, exist_ok=True)
    return Followers(directory=parts.directory, accept=accept, spool=spool, mark=mark_of(parts))


def make_correspondence(parts: Parts, accept: Accept, spool: Path) -> Correspondence:
    followers = make_followers(parts, accept, spool)
    return Correspondence(store=parts.store, blobs=parts.blobs, directory=parts.directory, accept=accept, followers=followers)


def make_replay(parts: Parts) -> Replay:
    """Reads the objects each time: what somebody has just put right must count, and a worker's copy may be a second old."""
    judge = replace(make_judge(parts), directory=parts.store.directory)
    return Replay(
        store=parts.store,
        judge=judge,
        bounces=_bounces(parts, judge),
        answers=_answers(parts),
        write=partial(write, parts.store),
        directory=parts.store.directory,
        ids=parts.ids,
        clock=utc_now,
        answerable=parts.settings.queue.lifetime,
    )


def opened(path: Path) -> OpenFile:
    return OpenFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
