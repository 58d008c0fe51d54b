"""What checks of symptoms may ask, as a test says; nothing is found by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

from mailroom.doctor.findings import Check, Evidence, Finding, Look, Verdict
from mailroom.doctor.health.looking import Examined, Subject
from mailroom.doctor.mail_judge import MailReport
from mailroom.doctor.symptoms.asking import Asked, Clinic, Prospect
from mailroom.objects import Directory, OutgoingServer, SinkRoute, Suppression
from mailroom.observe.recent import Refusal
from mailroom.ports import Delivery, Found, LaneStatus
from mailroom_core.errors import ConfigError
from mailroom_core.model import DeliveryId, LaneName, MessageId, Remote, Reply, State

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
SINK = OutgoingServer(name="trial", route=SinkRoute())
LANE = LaneName("smarthost:relay")


def lane(*, waiting: int = 3, due: timedelta = timedelta(), held: str = "", owned: bool = True) -> LaneStatus:
    return LaneStatus(LANE, waiting, NOW - due, held, owned)


def clinic(
    *,
    lanes: Sequence[LaneStatus] = (),
    directory: Directory | None = None,
    evidence: Sequence[Evidence] = (),
    refusals: Callable[[], Sequence[Refusal] | None] = tuple,
    suppressed: Sequence[str] = (),
    ways_in: Sequence[str] = ("info",),
    prospects: Sequence[Prospect] = (),
    apart: MailReport | None = None,
    mails: Sequence[Found] = (),
    stories: Sequence[Any] = (),
    watched: Sequence[Any] = (),
) -> Clinic:
    """Nothing is found by itself."""

    async def health(subject: Subject) -> Examined:
        return Examined(subject=subject, look=Look(Check(str(subject), Verdict.GOOD, "well", tuple(evidence))))

    async def domain(name: str) -> Any:
        raise ConfigError(f"{name!r} is no domain")

    def server_of(sender: str) -> str:
        if directory is None:
            raise ConfigError("there is no outgoing server")
        return next(iter(directory.servers))

    store: Any = SimpleNamespace(
        lanes=lambda: list(lanes),
        find=lambda query, limit: ([each for each in mails if not query.lane or each.delivery.lane == query.lane], ""),
        watch=SimpleNamespace(all=lambda: list(watched)),
        suppressed=lambda wanted: {each: Suppression(address=each, reason="dead") for each in wanted if each in suppressed},
        sent_as=lambda ids: {},
        story=lambda number: next((each for each in stories if each.message.id == number), None),
    )
    return Clinic(
        store=store,
        directory=lambda: directory or Directory(),
        clock=lambda: NOW,
        health=health,
        domain=domain,
        server_of=server_of,
        head=lambda number: b"",
        refusals=refusals,
        ways_in=lambda: ways_in,
        prospects=lambda address: prospects,
        apart=lambda mail: apart,
        returns=lambda server, sender: False,
    )


def found(looks: Sequence[Look]) -> list[Finding]:
    return [each for look in looks for each in look.findings]


def check(of: Any, made: Clinic, asked: Asked | None = None) -> list[Look]:
    return list(asyncio.run(of(made, asked or Asked())))


def delivery(state: State = State.QUEUED, *, recipient: str = "anna@customer.example", reply: Reply | None = None, **more: Any) -> Delivery:
    given: dict[str, Any] = {"message_id": MessageId(7), "server": "relay", "lane": LANE, "due_at": NOW, **more}
    return Delivery(
        id=DeliveryId(8), recipient=recipient, state=state, reply=reply, expires_at=NOW + timedelta(days=5), attempts=0, remote=Remote(),
        updated_at=NOW, **given,
    )  # fmt: skip


def message(*, source: str = "", sender: str = "mary@contoso.example") -> Any:
    return SimpleNamespace(
        id=MessageId(7), header_message_id="", header_from=sender, sender=sender, source=source, application="erp", accepted_at=NOW
    )


def story(*deliveries: Delivery, source: str = "", events: Sequence[Any] = (), attempts: Sequence[Any] = ()) -> Any:
    return SimpleNamespace(message=message(source=source), deliveries=deliveries, attempts=attempts, events=events)


def event(name: str, text: str, **data: str) -> Any:
    return SimpleNamespace(name=name, text=text, data=data, delivery_id=DeliveryId(8), at=NOW)
