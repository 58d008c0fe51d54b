"""What the questions about symptoms may ask of this installation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

from mailroom.doctor.symptoms.asking import Answer, Clinic, ask
from mailroom.doctor.symptoms.questions import question
from mailroom.observe.recent import Refusal
from mailroom.way_out import explained
from mailroom.wiring.health import examination
from mailroom.wiring.parts import Parts, utc_now
from mailroom_core.mime.index import MAX_HEAD
from mailroom_core.model import MessageId


async def answered(
    parts: Parts, slug: str, message: str = "", address: str = "", *, refusals: Callable[[], Sequence[Refusal] | None] = lambda: None
) -> Answer:
    """Raises ConfigError for a question or a mail that there is not."""
    from mailroom.wiring.doctor import look_at

    clinic = Clinic(
        store=parts.store,
        directory=parts.directory,
        clock=utc_now,
        health=lambda subject: examination(parts, subject).look(),
        domain=lambda domain: look_at(parts, domain),
        server_of=lambda sender: explained(parts.directory(), sender).choice.server,
        head=partial(_head, parts),
        refusals=refusals,
    )
    return await ask(clinic, question(slug), message=message, address=address)


def _head(parts: Parts, number: MessageId) -> bytes:
    kept = parts.store.read(number)
    if kept is None or (kept.raw is None and not kept.blob):
        return b""
    if kept.raw is not None:
        return kept.raw[:MAX_HEAD]
    with closing(parts.blobs.open(kept.blob)) as blob:
        return blob.read_at(0, MAX_HEAD)
