"""`make demo`, as far as it keeps running: Ctrl+C, which a terminal sends to all of its processes at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.walk.world import eventually

ROOT = Path(__file__).parents[2]


def test_ctrl_c_ends_everything_quietly_and_says_so() -> None:
    command = ["env", "--default-signal=INT", sys.executable, "-m", "demo"]  # a shell has what runs in its background ignore Ctrl+C
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True) as demo:
        assert demo.stdout is not None
        said = ""
        while "The tenant" not in said and (line := demo.stdout.readline()):
            said += line
        assert "Every recipient got exactly one copy" in said
        assert "it stands in its conversation" in said
        assert "was told how to reach the company" in said
        found = re.search(r"--data (\S+)/gateway/data", said)
        assert found, said
        folder = Path(found[1])
        link = re.search(r"The console (http://\S+/setup/\S+)", said)
        assert link, said
        assert "The first administrator" in httpx2.get(link[1], trust_env=False).text
        logs = [(folder / name).open() for name in ("gateway/gateway.log", "emulator/emulator.log")]
        os.killpg(demo.pid, signal.SIGINT)
        rest = demo.stdout.read()
    told = rest + "".join(log.read() for log in logs)
    for log in logs:
        log.close()
    assert demo.returncode == 0, told
    assert "Ending the gateway and the tenant" in rest
    assert "Ended; nothing is left behind." in rest
    assert "Traceback" not in told
    assert eventually(lambda: not _lives(demo.pid))
    assert not folder.exists()


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
