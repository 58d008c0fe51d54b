"""The page that connects the gateway to an emulator by hand, line by line as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.test_swaks import with_tls

PAGE = Path(__file__).parents[2] / "docs/emulator.md"
pytestmark = [
    with_tls,
    *(pytest.mark.skipif(not shutil.which(name), reason=f"the package {name} is missing") for name in ("swaks", "curl")),
]


def free_ports(count: int) -> list[int]:
    open_ones = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [each.getsockname()[1] for each in open_ones]
    for each in open_ones:
        each.close()
    return found


def test_every_line_works_in_its_order(tmp_path: Path) -> None:
    """On other ports, because those of the page may be in use."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    tenant, smtp, web = free_ports(3)
    script = "\n".join(blocks).replace("127.0.0.1:8025", f"127.0.0.1:{tenant}").replace("127.0.0.1:2525", f"127.0.0.1:{smtp}")
    script = script.replace("mailroom-emulator ", f"mailroom-emulator --port {tenant} ", 1)
    (tmp_path / "mailroom.toml").write_text(f"[web]\nport = {web}\n[[listener]]\nport = {smtp}\n")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_PROXY": "*"}
    with subprocess.Popen(
        ["bash", "-c", f"set -eu\n{script}"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as bash:
        try:
            said, _ = bash.communicate(timeout=120)
        finally:
            _end(bash.pid)
    assert bash.returncode == 0, said
    assert "mary@contoso.example" in said
    for subject in ("Hello from mary", "Hello from sales", "Hello from tom"):
        assert said.count(f'"{subject}"') == (2 if "sales" in subject else 1), said
    assert said.count('"to":"lee@partner.example"') == 1, said


def _end(group: int) -> None:
    """Whatever a failed line has left running."""
    try:
        os.killpg(group, 9)
    except ProcessLookupError:
        pass
