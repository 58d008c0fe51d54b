"""What it would cost to read an HTML text as browsers do, told before anybody does.

Two rules of HTML cost more than a text is long: each element looks through those that are open around it, and what changes letters
(`<font>`) goes on behind the end of its block, as a copy in every block that follows (HTML 13.2.4.2 and 13.2.4.3). 50 kB that were made
for it become a gigabyte.
"""

from __future__ import annotations

import re
from collections import Counter

MOST_COPIES = 500_000
MOST_LOOKS = 10_000_000
"""Of some 20,000 tags, 40 levels deep, as large newsletters have them, this is ten times as much."""
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/<>]{0,30})")
_LETTERS = frozenset({"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"})
_NEVER_OPEN = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"})
_ENDS_BY_ITSELF = frozenset({"dd", "dt", "li", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr"})
"""A second one ends the first."""


def is_costly(html: str) -> bool:
    """Whether it would take many times its length; tells too much rather than too little. Takes time by its length alone."""
    opened: Counter[str] = Counter()
    letters = levels = copies = looks = 0
    for tag in _TAG.finditer(html):
        name, ends = tag[2].lower(), bool(tag[1])
        is_letters = name in _LETTERS
        if not is_letters:
            copies += letters
            looks += levels
        if copies > MOST_COPIES or looks > MOST_LOOKS:
            return True
        if name in _NEVER_OPEN or name in _ENDS_BY_ITSELF or (ends and not opened[name]):
            continue
        step = -1 if ends else 1
        opened[name] += step
        letters, levels = (letters + step, levels) if is_letters else (letters, levels + step)
    return False
