from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mailroom.blobs.files import FileBlobs
from mailroom.ports import Blobs
from mailroom_core.errors import StoreError, StoreFull
from tests.contract.store.memory_blobs import MemoryBlobs


@pytest.fixture(params=["files", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return FileBlobs(tmp_path / "blobs") if request.param == "files" else MemoryBlobs()


def spool(tmp_path: Path, content: bytes = b"0123456789", name: str = "spooled") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_what_is_kept_is_read_at_any_offset(blobs: Blobs, tmp_path: Path) -> None:
    blobs.keep("0abc", spool(tmp_path))
    blob = blobs.open("0abc")
    assert blob.size == 10
    assert [blob.read_at(*place) for place in ((0, 10), (3, 4), (8, 100), (10, 1), (0, 0))] == [b"0123456789", b"3456", b"89", b"", b""]
    blob.close()


def test_the_spooled_file_is_taken_over(blobs: Blobs, tmp_path: Path) -> None:
    spooled = spool(tmp_path)
    blobs.keep("0abc", spooled)
    assert not spooled.exists()


def test_a_name_is_given_once_and_what_is_kept_never_changes(blobs: Blobs, tmp_path: Path) -> None:
    blobs.keep("0abc", spool(tmp_path))
    with pytest.raises(StoreError, match="kept already"):
        blobs.keep("0abc", spool(tmp_path, b"other"))
    blob = blobs.open("0abc")
    assert blob.read_at(0, 100) == b"0123456789"
    blob.close()


def test_all_names_are_there_until_they_are_dropped(blobs: Blobs, tmp_path: Path) -> None:
    assert list(blobs.names()) == []
    for number in range(20):
        blobs.keep(f"name-{number}", spool(tmp_path, b"x", f"s{number}"))
    blobs.drop("name-7")
    assert set(blobs.names()) == {f"name-{number}" for number in range(20)} - {"name-7"}


def test_a_blob_that_is_not_there_is_said(blobs: Blobs) -> None:
    with pytest.raises(StoreError, match="missing"):
        blobs.open("never")


def test_dropping_twice_is_no_mistake(blobs: Blobs, tmp_path: Path) -> None:
    blobs.keep("0abc", spool(tmp_path))
    blobs.drop("0abc")
    blobs.drop("0abc")


def test_who_reads_a_blob_may_go_on_after_it_was_dropped(blobs: Blobs, tmp_path: Path) -> None:
    blobs.keep("0abc", spool(tmp_path))
    blob = blobs.open("0abc")
    blobs.drop("0abc")
    assert blob.read_at(0, 3) == b"012"
    blob.close()


def test_several_threads_read_one_blob_at_once(blobs: Blobs, tmp_path: Path) -> None:
    blobs.keep("0abc", spool(tmp_path, bytes(range(256)) * 64))
    blob = blobs.open("0abc")
    wrong: list[int] = []

    def read(start: int) -> None:
        wrong.extend(at for at in range(start, 16_000, 97) if blob.read_at(at, 1) != bytes([at % 256]))

    threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    blob.close()
    assert wrong == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_a_name_that_leaves_the_folder_is_refused(blobs: Blobs, tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="can't be the name"):
        blobs.keep(name, spool(tmp_path))


def test_only_their_owner_can_read_the_files(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path / "a" / "blobs")
    spooled = spool(tmp_path)
    spooled.chmod(0o644)
    blobs.keep("0abc", spooled)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a").rglob("*") if path.is_dir()} == {0o700}
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a").rglob("*") if path.is_file()] == [0o600]


def test_files_and_folder_are_synced_before_it_counts_as_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = FileBlobs(tmp_path / "blobs")
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watch_fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def watch_rename(source: Path, target: Path) -> None:
        steps.append(f"rename to {target.parent.name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "rename", watch_rename)
    blobs.keep("0abc", spool(tmp_path))
    folder = next(path.parent.name for path in (tmp_path / "blobs").rglob("0abc"))
    assert steps == ["sync spooled", f"rename to {folder}", f"sync {folder}"]


def test_a_full_disk_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = FileBlobs(tmp_path / "blobs")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull, match="does not fit"):
        blobs.keep("0abc", spool(tmp_path))
