"""Backup and restore of one machine's gateway: database, large messages and objects in one file.

A backup is taken beside a running gateway: SQLite copies one moment of the database while others write, and large messages are
never changed, so they are copied afterwards. The keys of the vault and of TLS stay out unless they are asked for: with them the
file opens every secret.

A restored queue starts with every lane held: what has left since the backup was taken still waits in it, and nothing goes out
twice without a person saying so.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from mailroom.holds import RESTORED
from mailroom.ports import Store
from mailroom.settings import Settings
from mailroom.vault.keys import VARIABLE
from mailroom_core.errors import ConfigError

DATABASE = "mailroom.db"
KEY = "vault.key"
PROOFS = ("tls.crt", "tls.key")

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do, in bytes."""


def backup(settings: Settings, target: Path, *, with_key: bool, progress: Progress) -> None:
    """Write `target` (a tar file), whole or not at all. Raises ConfigError, OSError."""
    if settings.database:
        raise ConfigError(
            "the database is PostgreSQL's: back it up with pg_dump, and copy the folder 'blobs' of the data directory after it"
        )
    if target.exists():
        raise ConfigError(f"{target} exists already; name another file")
    part = target.with_name(target.name + ".part")
    with tempfile.TemporaryDirectory(dir=settings.data) as folder:
        copy = Path(folder) / DATABASE
        _copy_database(settings.data / DATABASE, copy)
        blobs = [path for path in sorted((settings.data / "blobs").rglob("*")) if path.is_file()]
        extras = _keys(settings) if with_key else {}
        total = copy.stat().st_size + sum(path.stat().st_size for path in blobs)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as file, tarfile.open(fileobj=file, mode="w|") as tar:
            for name, path in extras.items():
                tar.add(path, name)
            tar.add(copy, DATABASE)
            done = copy.stat().st_size
            progress(done, total)
            for path in blobs:
                try:
                    tar.add(path, str(path.relative_to(settings.data)))
                    done += path.stat().st_size
                except FileNotFoundError:
                    continue  # retention dropped it after the database was copied; its row goes the same way after a restore
                progress(done, total)
        _sync(part)
    part.rename(target)
    _sync(target.parent)


def _keys(settings: Settings) -> dict[str, Path]:
    """Name in the backup -> file. They come first, so that a restore can tell before the rest whether there is a key."""
    found = {KEY: settings.vault_key_file, **{name: settings.data / name for name in PROOFS}}
    return {name: path for name, path in found.items() if path.exists()}


def restore(settings: Settings, source: Path, open_store: Callable[[Path], Store], *, progress: Progress) -> int:
    """Unpack into an empty data directory and hold every lane; how many lanes wait. Raises ConfigError.

    The database takes its name last, when its lanes are held: after an interruption there is none, and the restore begins anew.
    """
    if settings.database:
        raise ConfigError("the database is PostgreSQL's: restore it with pg_restore, then run `mailroom queue hold --all`")
    if (settings.data / DATABASE).exists():
        raise ConfigError(f"{settings.data} holds a database already; name an empty directory with --data")
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    unready = settings.data / "restoring"
    shutil.rmtree(unready, ignore_errors=True)
    total, done = source.stat().st_size, 0
    folders = {settings.data}
    with tarfile.open(source, "r|") as tar:
        for member in tar:
            if member.name == DATABASE:
                _check_key(settings)
            folder = unready if member.name == DATABASE else settings.data
            tar.extract(member, folder, filter="data")
            if member.isfile():
                path = folder / member.name.lstrip("/")  # as the filter does
                _sync(path)
                folders.update(each for each in path.parents if each.is_relative_to(folder))
            done += member.size
            progress(done, total)
    if not (unready / DATABASE).exists():
        raise ConfigError(f"{source} is no backup of Mailroom: it holds no {DATABASE}; name a file that `mailroom backup` wrote")
    waiting = _hold(open_store(unready / DATABASE))
    (unready / DATABASE).chmod(0o600)
    _sync(unready / DATABASE)
    for folder in folders:
        _sync(folder)
    (unready / DATABASE).rename(settings.data / DATABASE)
    _sync(settings.data)
    shutil.rmtree(unready)
    return waiting


def _check_key(settings: Settings) -> None:
    """The backup's own key comes before its database."""
    if not settings.vault_key_file.exists() and not os.environ.get(VARIABLE):
        raise ConfigError(f"the backup has no vault key: put yours to {settings.vault_key_file} (chmod 600), then restore again")


def _hold(store: Store) -> int:
    """How many lanes wait. Nobody is signed in any more: sessions and links that had ended since are there again."""
    try:
        store.users.forget_everybody()
        lanes = store.lanes()
        for lane in lanes:
            store.hold_lane(lane.name, RESTORED)
        return sum(1 for lane in lanes if lane.waiting)
    finally:
        store.close()


def _copy_database(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)  # in one step, and so in one transaction: https://www.sqlite.org/backup.html
    old.close()
    new.close()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
