"""The libraries that these tests speak through are what their publishers wrote, to the byte."""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import PackagePath, distribution

import pytest

LIBRARIES = (
    "msal",
    "azure-identity",
    "msgraph-core",
    "msgraph-sdk",
    "microsoft-kiota-http",
    "microsoft-kiota-authentication-azure",
    "O365",
)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_as_it_was_published(library: str) -> None:
    """By the hashes in its wheel; the SDK's thousands of generated models and builders are left out for their number."""
    code = [f for f in distribution(library).files or () if f.suffix == ".py" and "generated" not in f.parts]
    assert code
    assert [str(file) for file in code if not _is_as_listed(file)] == []


def _is_as_listed(file: PackagePath) -> bool:
    if file.hash is None:
        return False
    digest = hashlib.new(file.hash.mode, file.read_binary()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value
