"""A test that is watched: the page grows with every step."""

from __future__ import annotations

from collections.abc import AsyncIterator

from markupsafe import Markup

from mailroom.console.pages import told
from mailroom.doctor.trial import Step

GROWS = Markup("\0")
"""Where a page is to grow."""


async def growing(whole: str, steps: AsyncIterator[Step]) -> AsyncIterator[str]:
    """The page with a line for each step, as they happen."""
    before, _, after = str(whole).partition(str(GROWS))
    yield before
    async for step in steps:
        tone, word = ("good", "ok") if step.ok else ("bad", "failed")
        yield Markup('<li><strong>{}</strong> <span class="tag {}">{}</span> <span class="anywhere">{}</span></li>\n').format(
            step.name, tone, word, told(step.said)
        )
    yield after
