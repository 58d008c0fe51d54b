"""What Exchange does to MIME that breaks the rules of facts 1.9: it damages the text instead of refusing it.

Lines ending in a bare LF: soft line breaks of quoted-printable become visible `=` (Nine-Minds/alga-psa#3137).
8-bit text inside a multipart: UTF-8 is read as Latin-1 (jstedfast/MailKit#1999).
"""

import re

_BARE_LF = re.compile(rb"(?<!\r)\n")
_EIGHT_BIT = re.compile(rb"[\x80-\xff]")
_BOUNDARY = re.compile(rb'boundary="?([^";\r\n]+)', re.IGNORECASE)


def corrupt(raw: bytes) -> bytes:
    """The MIME as Exchange would read it: unharmed when it has CRLF and only 7-bit bytes."""
    bare = _BARE_LF.search(raw) is not None
    eight_bit = _EIGHT_BIT.search(raw) is not None
    if not bare and not eight_bit:
        return raw
    return _walk(raw, bare_lf=bare, eight_bit=eight_bit)


def _walk(raw: bytes, *, bare_lf: bool, eight_bit: bool) -> bytes:
    in_header, nested, quoted = True, False, False
    marks = tuple(b"--" + name for name in _BOUNDARY.findall(raw))
    out: list[bytes] = []
    for line in re.split(rb"\r?\n", raw):
        fixed = line
        if nested and not in_header and line.startswith(marks):
            in_header, quoted = True, False
        elif in_header:
            lower = line.lower()
            nested = nested or (lower.startswith(b"content-type:") and b"multipart/" in lower)
            if lower.startswith(b"content-transfer-encoding:"):
                quoted = b"quoted-printable" in lower
            in_header = line != b""
        else:
            if bare_lf and quoted and line.endswith(b"="):
                fixed = line + b"3D"
            if eight_bit and nested:
                fixed = fixed.decode("latin-1").encode()
        out.append(fixed)
    return b"\r\n".join(out)
