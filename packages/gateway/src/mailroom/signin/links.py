"""Where one-time links lead, and the file that holds the first of them."""

from __future__ import annotations

import os
from pathlib import Path

from mailroom.signin.staff import Staff
from mailroom_core.errors import ConfigError

SET_UP = "/setup/"
PASSWORD = "/welcome/"  # noqa: S105  # a path
ANSWER = "/signin/answer"
"""Where the identity provider sends people back to."""
FILE = "setup-link"


def write_set_up_link(staff: Staff, data: Path, address: str) -> Path:
    """A new link for the first administrator, in a file that its owner alone can read. Raises ConfigError."""
    return _write(data / FILE, f"{address}{SET_UP}{staff.set_up_token()}\n")


def offer_set_up(staff: Staff, data: Path, address: str) -> Path | None:
    """At a start: the file, if there is nobody yet; a link in it that is still good stays. None if nothing is to be set up."""
    file = data / FILE
    if not staff.needs_set_up():
        file.unlink(missing_ok=True)
        return None
    kept = _read(file)
    if kept.startswith(f"{address}{SET_UP}") and staff.is_set_up_token(kept.rpartition("/")[2]):
        return file
    return write_set_up_link(staff, data, address)


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _write(file: Path, text: str) -> Path:
    fresh = file.with_name(f"{file.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)
        os.replace(fresh, file)
    except OSError as problem:
        raise ConfigError(f"{file} can't be written ({problem.strerror}); run this as the user that Mailroom runs as") from None
    return file
