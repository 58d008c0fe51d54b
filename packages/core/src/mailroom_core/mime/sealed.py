"""What is signed or encrypted: any change inside breaks it, so nobody touches it."""

from __future__ import annotations

from mailroom_core.mime.headers import Fields
from mailroom_core.mime.index import Part
from mailroom_core.mime.params import parameters

# RFC 1847, RFC 8551 3.2, and the name that S/MIME had before it had an RFC.
_SEALED = frozenset({"multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"})


def is_signed_or_encrypted(fields: Fields) -> bool:
    """Whether the whole mail under this head is."""
    return parameters(fields.unfolded("Content-Type") or "")[0] in _SEALED


def is_sealed(part: Part) -> bool:
    """Whether nothing in this part may change: it is signed or encrypted, or a message with something like that inside."""
    if part.content_type in _SEALED:
        return True
    return part.content_type.startswith("message/") and any(each.content_type in _SEALED for each in part.walk())
