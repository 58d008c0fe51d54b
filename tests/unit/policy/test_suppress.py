"""Only a dead address is suppressed."""

from __future__ import annotations

import pytest

from mailroom_core.model import Deferred, Failed, Held, Outcome, Reply, Sent, Unknown
from mailroom_core.policy.suppress import DEAD, reason


@pytest.mark.parametrize("status", sorted(DEAD))
def test_a_failure_that_blames_the_mailbox_suppresses(status: str) -> None:
    why = reason(Failed(Reply(550, "no such user", status)))
    assert DEAD[status] in why
    assert "no such user" in why


def test_a_provider_that_blames_the_address_without_a_status_suppresses() -> None:
    assert "ErrorInvalidRecipients" in reason(Failed(Reply(400, "bad", name="ErrorInvalidRecipients"), bad_address=True))


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(Reply(554, "mailbox full", "5.2.2")),
        Failed(Reply(550, "you are on a list", "5.7.1")),
        Failed(Reply(550, "no such domain", "5.1.2")),
        Failed(Reply(550, "no")),
        Deferred(Reply(450, "later", "5.1.1")),
        Held(Reply(403, "no", "5.1.1")),
        Unknown("?"),
        Sent(Reply(250, "ok")),
    ],
)
def test_nothing_else_suppresses(outcome: Outcome) -> None:
    assert reason(outcome) == ""
