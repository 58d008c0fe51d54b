"""Mail for tests: parts as bytes with CRLF, nested by hand, so that nothing but the test decides what they look like."""

from __future__ import annotations

import zlib

from hypothesis import strategies as st


def part(body: bytes = b"", content_type: str = "text/plain", encoding: str = "", *fields: str) -> bytes:
    head = [f"Content-Type: {content_type}"] if content_type else []
    head += [f"Content-Transfer-Encoding: {encoding}"] if encoding else []
    return "".join(f"{line}\r\n" for line in (*head, *fields)).encode() + b"\r\n" + body


def multipart(*parts: bytes, subtype: str = "mixed", boundary: str = "b1", fields: tuple[str, ...] = ()) -> bytes:
    dashes = b"--" + boundary.encode()
    body = b"".join(dashes + b"\r\n" + each + b"\r\n" for each in parts) + dashes + b"--\r\n"
    return part(body, f'multipart/{subtype}; boundary="{boundary}"', "", *fields)


def mail(entity: bytes, *fields: str) -> bytes:
    return "".join(f"{line}\r\n" for line in fields).encode() + entity


def _bodies() -> st.SearchStrategy[bytes]:
    crumbs = [
        b"\r\n",
        b"Q",
        b"QU",
        b"QUE=",
        b"==",
        b"=",
        b"=41",
        b"=\r\n",
        b"=C3=BC",
        b"\xc3\xbc",
        b"\xfc",
        b"--b1",
        b"--",
        b".",
        b" ",
        b"text",
    ]
    return st.lists(st.sampled_from(crumbs), max_size=30).map(b"".join) | st.binary(max_size=60).map(_crlf)


def _crlf(raw: bytes) -> bytes:
    """Only CRLF ends lines: a lone CR ends none for us and one for Python's parser."""
    return raw.replace(b"\r", b"").replace(b"\n", b"\r\n")


def _leaves() -> st.SearchStrategy[bytes]:
    types = ["", "text/plain", "text/html; charset=iso-8859-1", "application/pdf; name=a.pdf", "image/png", "text/plain; charset=nonsense"]
    encodings = ["", "7bit", "8bit", "base64", "quoted-printable", "binary", "QUOTED-PRINTABLE"]
    return st.builds(part, _bodies(), st.sampled_from(types), st.sampled_from(encodings))


def entities(*subtypes: str) -> st.SearchStrategy[bytes]:
    """Leaves, multiparts in multiparts and messages in messages, each with a boundary of its own."""
    subtypes = subtypes or ("mixed", "alternative", "related", "signed")

    def nest(children: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        def build(parts: list[bytes], subtype: str) -> bytes:
            return multipart(*parts, subtype=subtype, boundary=f"=_{zlib.crc32(b''.join(parts)):x}")

        several = st.builds(build, st.lists(children, max_size=4), st.sampled_from(subtypes))
        return several | children.map(lambda inner: part(inner, "message/rfc822"))

    return st.recursive(_leaves(), nest, max_leaves=8)
