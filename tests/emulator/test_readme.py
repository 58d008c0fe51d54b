"""Every command of the README works, in the order in which it stands there."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from mailroom_emulator.seed import Seed
from mailroom_emulator.server import Options, in_thread

README = Path(__file__).parents[2] / "packages/emulator/README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def test_the_tour_works(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    with in_thread(Options(proxy_port=0, ca_file=ca_file)) as running:
        script = "\n".join(["set -euo pipefail", *blocks("sh")])
        script = script.replace("http://127.0.0.1:8025", running.url).replace("http://127.0.0.1:8026", str(running.proxy_url))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in ("Subject: Offer", "Re: Offer", "http://localhost:4000/?code=", '"requests":600.0', "full@customer.example"):
        assert expected in done.stdout


def test_the_python_example_works() -> None:
    (example,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("http://127.0.0.1:")


def test_the_seed_example_can_be_used() -> None:
    (example,) = blocks("toml")
    tenant = Seed(tomllib.loads(example)).build()
    assert tenant.account("a@fabrikam.example") is tenant.account("ann@fabrikam.example")
