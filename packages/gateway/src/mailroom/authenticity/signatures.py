"""DKIM and ARC with dkimpy, which is kept from what costs a hostile mail nothing and us minutes.

It gets the head alone; the body is hashed in pieces (`bodies.py`). RSA-SHA1 proves nothing (RFC 8301), and neither does a signature of a
part of the body (`l=`) or one that leaves out From.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

import dkim

from mailroom.authenticity.bodies import Bodies
from mailroom.authenticity.names import Ask, Unanswered, texts
from mailroom_core.errors import MimeError
from mailroom_core.mime.headers import Fields

T = TypeVar("T")

MOST_SIGNATURES = 10
_MOST_HEAD = 128 * 1024
_MOST_FIELDS = 1000
_LONGEST = 16 * 1024
"""Bytes of one signature field."""
_BLANK_RUN = b" " * 200
_BLANKS = bytes.maketrans(b"\t\r\n", b"   ")
_MOST_NAMES = 200
_LARGEST_KEY = 8192
_LARGEST_EXPONENT = 64
"""Bits."""
_SIGNATURES = ("dkim-signature", "arc-seal", "arc-message-signature", "arc-authentication-results")
_SILENT = logging.getLogger("mailroom.dkimpy")
_SILENT.disabled = True


@dataclass(frozen=True, slots=True)
class Signature:
    """`result` as in RFC 8601 2.7.1."""

    result: str
    domain: str
    selector: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """`result` as in RFC 8617 4.4: none, pass, fail; or temperror."""

    result: str
    sealer: str = ""
    """The domain of the last seal."""
    said: str = ""
    """The results that it has sealed: the last ARC-Authentication-Results, behind its `i=`."""
    why: str = ""


class Signed:
    """The signatures of one mail. Raises MimeError if its head is none that anybody should look at for long."""

    def __init__(self, head: bytes, bodies: Bodies, ask: Ask) -> None:
        fields = Fields(head)
        _check(head[: fields.end], fields)
        self._head = head[fields.start : fields.end]
        self._signatures = [each.value for each in fields if each.name.lower() == "dkim-signature"]
        self._has_chain = "arc-seal" in fields
        self._bodies = bodies
        self._ask = ask

    def dkim(self, first: Collection[str] = ()) -> list[Signature]:
        """Those of the first signatures, from the top. Those of the domains `first` are looked at before the time can be over."""
        numbers = range(min(len(self._signatures), MOST_SIGNATURES))
        own = [number for number in numbers if any(_related(_domain(self._signatures[number]), each) for each in first)]
        done = {number: self._signature(number) for number in dict.fromkeys((*own, *numbers))}
        return [done[number] for number in numbers]

    def arc(self) -> Chain:
        if not self._has_chain:
            return Chain("none")
        key = _Key(self._ask)
        problem, said = _careful(lambda: _Arc(self._head, self._bodies).verify(dnsfunc=key))
        if said is None:
            return Chain("temperror" if key.unanswered else "fail", why=problem)
        result, sets, why = said
        if not sets:
            return Chain("fail", why=str(why))
        if key.unanswered:
            return Chain("temperror", why=key.unanswered)
        last = sets[0]
        sealed = bytes(last["aar-value"]).decode("ascii", "replace").partition(";")[2].strip()
        sealer, passed = _text(last["as-domain"]), result == dkim.CV_Pass
        return Chain("pass", sealer, sealed) if passed else Chain("fail", sealer, sealed, str(why))

    def _signature(self, number: int) -> Signature:
        tags = _tags(self._signatures[number])
        domain, selector = _text(tags.get(b"d", b"")), _text(tags.get(b"s", b""))
        key = _Key(self._ask)
        problem, valid = _careful(lambda: _Dkim(self._head, self._bodies).verify(number, dnsfunc=key))
        if key.unanswered:
            return Signature("temperror", domain, selector, key.unanswered)
        if valid is None:
            return Signature("permerror" if key.asked == 0 else "fail", domain, selector, problem)
        if not valid:
            return Signature("permerror" if key.missing else "fail", domain, selector, key.missing or "it does not fit the mail")
        return Signature("pass", domain, selector)


def _check(head: bytes, fields: Fields) -> None:
    if len(head) > _MOST_HEAD or sum(1 for _ in fields) > _MOST_FIELDS:
        raise MimeError("its head is too large to look for signatures")
    if _BLANK_RUN in head.translate(_BLANKS):
        raise MimeError("its head has runs of blanks that no honest mail has")
    for each in fields:
        if each.name.lower() in _SIGNATURES and len(each.raw) > _LONGEST:
            raise MimeError(f"its {each.name} is too large")


class _Strict:
    """What dkimpy leaves to others."""

    def __init__(self, head: bytes, bodies: Bodies) -> None:
        super().__init__(head + b"\r\n", logger=_SILENT)  # type: ignore[call-arg]  # of dkimpy's class
        self._bodies = bodies

    def verify_sig_process(self, sig: dict[bytes, bytes], include_headers: list[bytes], sig_header: Any, dnsfunc: Any) -> bool:
        known: Any = self
        if sig[b"a"].endswith(b"sha1"):
            raise dkim.ValidationError("SHA-1 proves nothing any more")
        if known.keysize > _LARGEST_KEY or (known.ktag == b"rsa" and known.pk["publicExponent"].bit_length() > _LARGEST_EXPONENT):
            raise dkim.KeyFormatError("the key is larger than any honest one")
        if len(include_headers) > _MOST_NAMES:
            raise dkim.ValidationError("it names too many fields")
        if b"bh" in sig:
            self._check_content(sig, include_headers)
            sig = {name: value for name, value in sig.items() if name != b"bh"}  # dkimpy need not hash the body again
        valid: bool = super().verify_sig_process(sig, include_headers, sig_header, dnsfunc)  # type: ignore[misc]  # of dkimpy's class
        return valid

    def _check_content(self, sig: dict[bytes, bytes], include_headers: list[bytes]) -> None:
        if b"from" not in include_headers:
            raise dkim.ValidationError("From is not signed")
        form = sig.get(b"c", b"simple/simple").partition(b"/")[2] or b"simple"
        if form not in (b"simple", b"relaxed"):
            raise dkim.MessageFormatError(f"invalid c= value: {_text(form)}")
        digest, size = self._bodies.sha256(form)
        if b"l" in sig and int(sig[b"l"]) < size:
            raise dkim.ValidationError("only a part of the body is signed")
        if base64.b64decode(re.sub(rb"\s+", b"", sig[b"bh"])) != digest:
            raise dkim.ValidationError("the body was changed")


class _Dkim(_Strict, dkim.DKIM):  # type: ignore[misc]  # dkimpy has no types
    pass


class _Arc(_Strict, dkim.ARC):  # type: ignore[misc]
    pass


class _Key:
    """Where dkimpy asks for a key; it says afterwards what came of it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.asked = 0
        self.missing = ""
        self.unanswered = ""

    def __call__(self, name: bytes | str, timeout: float = 5) -> bytes | None:
        self.asked += 1
        shown = _text(name) if isinstance(name, bytes) else name
        try:
            found = texts(self._ask, shown)
        except Unanswered as problem:
            self.unanswered = str(problem)
            raise dkim.DnsTimeoutError(str(problem)) from None
        if not found:
            self.missing = f"there is no key at {shown.rstrip('.')}"
            return None
        return found[0]


def _careful(verify: Callable[[], T]) -> tuple[str, T | None]:
    """What dkimpy says; or why it says nothing: bytes of strangers have been found to break it in more ways than it names."""
    try:
        return "", verify()
    except dkim.DKIMException as problem:
        return str(problem), None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, ArithmeticError, binascii.Error) as problem:
        return f"it can't be read ({type(problem).__name__})", None


def _domain(signature: bytes) -> str:
    return _text(_tags(signature).get(b"d", b"")).lower()


def _related(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _tags(value: bytes) -> dict[bytes, bytes]:
    pairs = (part.partition(b"=") for part in re.sub(rb"\s+", b"", value).split(b";"))
    return {name: text for name, _, text in pairs}


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")
