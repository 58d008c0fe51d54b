"""The calls of docs/api.md work, in the order in which they stand there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.api.conftest import Api

PAGE = Path(__file__).parents[2] / "docs/api.md"


def test_the_calls_of_the_page_work(api: Api) -> None:
    script = "\n".join(["set -euo pipefail", *re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)])
    assert "http://127.0.0.1:8020" in script
    script = script.replace("http://127.0.0.1:8020", api.gateway.web)
    environment = {"PATH": os.environ["PATH"], "TOKEN": api.tokens["shop"], "no_proxy": "*"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in ("Your order 1001", "Invoice 1001", '"events"'):
        assert expected in done.stdout
