"""Certificates for the tests, made once."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from mailroom.listen.tls import TlsFiles, self_signed


@cache
def server_files() -> TlsFiles:
    return self_signed(Path(tempfile.mkdtemp(prefix="mailroom-test-")), ["localhost", "127.0.0.1"], now=datetime.now(UTC))
