"""The cut-over desk of a process."""

from __future__ import annotations

from mailroom.cutover.desk import CutoverDesk
from mailroom.wiring.parts import Parts, object_desk, utc_now


def cutover_desk(parts: Parts) -> CutoverDesk:
    return CutoverDesk(store=parts.store, objects=object_desk(parts), directory=parts.directory, clock=utc_now)
