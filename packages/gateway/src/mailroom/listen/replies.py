"""Replies as they go over the wire."""

from __future__ import annotations

_STATUS = {
    b"211": b"2.0.0",
    b"214": b"2.0.0",
    b"221": b"2.0.0",
    b"250": b"2.0.0",
    b"252": b"2.0.0",
    b"500": b"5.5.2",
    b"501": b"5.5.4",
    b"502": b"5.5.1",
    b"503": b"5.5.1",
    b"504": b"5.5.4",
    b"555": b"5.5.4",
}
"""aiosmtpd's own replies have no status code, but whoever announces them must send them with all of these (RFC 2034 4)."""


def on_the_wire(reply: str | bytes) -> bytes:
    """One line in ASCII with its status code (RFC 3463) and CR LF. Nothing in it can begin another line."""
    line = reply.encode("ascii", "replace") if isinstance(reply, str) else reply
    if b"\r" in line or b"\n" in line:
        line = b" ".join(line.splitlines())
    if line[4:6] not in (b"2.", b"4.", b"5."):
        status = _STATUS.get(line[:3])
        if status is not None:
            line = b"%b %b %b" % (line[:3], status, line[4:])
    return line + b"\r\n"
