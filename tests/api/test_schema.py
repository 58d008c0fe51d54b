"""Whatever the description allows, and much that it does not: no request breaks the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mailroom.api.app import make_app
from mailroom.api.office import Office
from tests.api.conftest import Api


@schemathesis.serializer("message/rfc822")
def as_mail(context: Any, value: Any) -> bytes:
    return str(value).encode("utf-8", "replace")


SCHEMA = schemathesis.openapi.from_dict(make_app(cast(Office, None), []).openapi())
OPERATIONS: list[Any] = [cast(Any, found).ok() for found in SCHEMA.get_all_operations()]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A gateway that may be left with any objects."""
    made = Api(tmp_path_factory.mktemp("schema"))
    yield made
    made.stop()


def token_for(path: str, method: str) -> str:
    if path in ("/v1/messages", "/v1/messages/batch") and method == "POST":
        return "erp"
    if path.startswith(("/v1/conversations", "/v1/inbound")):
        return "talk" if path.startswith("/v1/conversations") else "inbound"
    return "actor" if path.startswith(("/v1/messages", "/v1/actions")) else "objects"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: str(operation.label))
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: str(mode.value))
def test_no_request_is_a_500(operation: Any, mode: schemathesis.GenerationMode, own: Api) -> None:
    headers = {"Authorization": f"Bearer {own.tokens[token_for(operation.path, operation.method.upper())]}"}

    @settings(max_examples=8, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        answer = case.call(base_url=own.gateway.web, headers=headers, timeout=60)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"][0].startswith("application/problem+json")

    ask()
