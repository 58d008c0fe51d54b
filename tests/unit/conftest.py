"""Every test here fails if a flow of the core was made and not driven."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.unit.driven import Watch

PACKAGES = ("mailroom_core.oauth", "mailroom_core.providers")


@pytest.fixture(scope="session")
def watch() -> Watch:
    """Watches the flows of all modules that the collected tests have imported."""
    watch = Watch()
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(("mailroom_core.", "tests."))]
    for package in PACKAGES:
        watch.over_modules(modules, package)
    return watch


@pytest.fixture(autouse=True)
def _every_flow_is_driven(watch: Watch) -> Iterator[None]:
    yield
    watch.check()
