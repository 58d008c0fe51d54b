"""The name of this machine among those that share a database; it stays the same over a restart."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from pathlib import Path

from mailroom_core.errors import ConfigError


def machine(data: Path) -> str:
    """The number in the data directory's file `machine`, made at first use; with the host's name, in case that the directory was copied.

    Raises ConfigError. The names of lease owners begin with it, so that a new boot knows which of them are dead.
    """
    place = data / "machine"
    try:
        if not place.exists():
            with tempfile.NamedTemporaryFile("w", dir=data, encoding="ascii") as file, contextlib.suppress(FileExistsError):
                file.write(secrets.token_hex(8))
                file.flush()
                os.link(file.name, place)  # whole at once: another process may make it at the same time
        return f"{socket.gethostname()}:{place.read_text(encoding='ascii')}:"
    except OSError as problem:
        raise ConfigError(f"{place} can't be read or made ({problem.strerror}); give it to the user that Mailroom runs as") from None
