"""An answer as its destination must see it: it names our mails by the ids that their author knows.

A provider may send a mail under another Message-ID than ours, and its answers then name that one, or nothing but a conversation. The
destination has never heard of either. So the ids in In-Reply-To and References are put back before an answer is handed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mailroom_core.mime.headers import Fields, ascii_address, field
from mailroom_core.mime.incoming import message_ids
from mailroom_core.mime.rewrite import replace_fields
from mailroom_core.mime.source import ReadAt, Streamed


def restored(source: ReadAt, ids: Mapping[str, str], *, answers: str = "", delivered_to: Sequence[str] | None = None) -> Streamed:
    """The mail with our ids in the place of the provider's; everything else stays byte for byte. Reads nothing but the head.

    `ids` is theirs -> ours, in angle brackets. `answers` is the id of the mail that this one answers: it is added where neither field
    names it, as for an answer that was found by its conversation, and takes the place of none that its author has named. With
    `delivered_to`, the Delivered-To fields say these addresses and no others: by them Odoo learns the envelope, and by them a stranger
    could pretend one. Raises MimeError for what is no address.
    """

    def edits(fields: Fields) -> Mapping[str, bytes]:
        changed = _restored_ids(fields, ids, answers)
        if delivered_to is not None:
            changed["delivered-to"] = b"".join(field("Delivered-To", ascii_address(address)) for address in delivered_to)
        return changed

    return replace_fields(source, edits)


def _restored_ids(fields: Fields, ids: Mapping[str, str], answers: str) -> dict[str, bytes]:
    edits: dict[str, bytes] = {}
    old = {name: message_ids(fields.unfolded(name) or "") for name in ("In-Reply-To", "References")}
    new = {name: _each_once(ids.get(each, each) for each in found) for name, found in old.items()}
    if answers and answers not in (*new["In-Reply-To"], *new["References"]):
        if not (new["In-Reply-To"] or new["References"]):
            new["In-Reply-To"] = (answers,)
        new["References"] = (*new["References"], answers)
    for name, found in new.items():
        if found != old[name]:
            edits[name.lower()] = field(name, " ".join(found))
    return edits


def _each_once(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))
