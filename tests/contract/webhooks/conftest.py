from __future__ import annotations

import pytest

from tests.contract.store.conftest import cluster, url

__all__ = ["cluster", "url"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
