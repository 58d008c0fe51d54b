"""The way in: who decides what becomes of a mail, and who stores it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from mailroom.accept import Accept, Commit
from mailroom.blobs.files import OpenFile
from mailroom.intake.answers import Answers
from mailroom.intake.bounces import Bounces
from mailroom.intake.correspond import Correspondence
from mailroom.intake.followers import Followers
from mailroom.intake.judge import Judge
from mailroom.intake.lookup import Lookup
from mailroom.intake.replay import Replay
from mailroom.intake.take import Intake
from mailroom.vault import credentials
from mailroom.wiring.parts import Parts, credential_key, hostname, utc_now
from mailroom_core.policy import bounces
from mailroom_core.policy.decision import Settings


def make_judge(parts: Parts) -> Judge:
    rules = Settings(mark=mark_of(parts))
    return Judge(parts.directory, Lookup(parts.store, rules), rules)


def mark_of(parts: Parts) -> str:
    """What this installation writes into mail that must not come back as new mail."""
    return credentials.digest(credential_key(parts), "our mark")[:20]


def make_intake(parts: Parts, commit: Commit) -> Intake:
    return Intake(
        store=parts.store,
        blobs=parts.blobs,
        opened=opened,
        ids=parts.ids,
        clock=utc_now,
        commit=commit,
        judge=make_judge(parts),
        answers=Answers(
            directory=parts.directory,
            ids=parts.ids,
            clock=utc_now,
            commit=commit,
            hostname=hostname(parts.settings),
            lifetime=parts.settings.queue.lifetime,
        ),
        bounces=Bounces(parts.store, bounces.Settings()),
        lifetime=parts.settings.queue.lifetime,
    )


def make_followers(parts: Parts, accept: Accept, spool: Path) -> Followers:
    """With a folder for copies under way; what a killed process left there is made anew."""
    spool.mkdir(mode=0o700, exist_ok=True)
    return Followers(directory=parts.directory, accept=accept, spool=spool, mark=mark_of(parts))


def make_correspondence(parts: Parts, accept: Accept, spool: Path) -> Correspondence:
    followers = make_followers(parts, accept, spool)
    return Correspondence(store=parts.store, blobs=parts.blobs, directory=parts.directory, accept=accept, followers=followers)


def make_replay(parts: Parts) -> Replay:
    """Reads the objects each time: what somebody has just put right must count, and a worker's copy may be a second old."""
    return Replay(parts.store, replace(make_judge(parts), directory=parts.store.directory), parts.store.directory, parts.ids, utc_now)


def opened(path: Path) -> OpenFile:
    return OpenFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
