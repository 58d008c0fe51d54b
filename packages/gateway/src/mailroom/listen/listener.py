"""Where we listen, and how much we put up with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from mailroom.objects import MiB

Network = IPv4Network | IPv6Network


class TlsMode(Enum):
    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One port. The usual ones: 2525 and 587 with STARTTLS, 465 with implicit TLS (RFC 8314 3.3)."""

    host: str = "127.0.0.1"
    port: int = 2525
    """0: any that is free."""
    tls: TlsMode = TlsMode.STARTTLS
    legacy: bool = False
    """For old devices: no TLS and no AUTH, whatever `tls` says, and only the given networks; nobody else is even greeted."""
    networks: tuple[Network, ...] = ()
    """Who may connect; empty is everybody, on a legacy listener nobody."""

    @property
    def mode(self) -> TlsMode:
        return TlsMode.NONE if self.legacy else self.tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one session, one client address and all of them together may use."""

    max_size: int = 150 * MiB
    """Announced until we know the application."""
    max_recipients: int = 1000
    """Of one message (RFC 5321 4.5.3.1.8 wants at least 100)."""
    max_sessions: int = 500
    max_sessions_per_client: int = 100
    max_messages: int = 100_000
    """In one session."""
    max_errors: int = 20
    """Refused commands (5xx) between two accepted messages."""
    max_commands: int = 10_000
    """Lines between two accepted messages."""
    idle: timedelta = timedelta(minutes=5)
    """Without a whole command, or without a byte of DATA (RFC 5321 4.5.3.2.7)."""
    slowest: int = 1024
    """Bytes per second that DATA must reach on average, once `idle` is over."""
    handshake: timedelta = timedelta(seconds=30)
    linger: timedelta = timedelta(seconds=5)
    """How long a client whose connection we close may go on sending before it reads our last reply."""
    login_delay: timedelta = timedelta(milliseconds=500)
    """Before the answer to the first wrong password of a client address; it doubles with each, up to sixteen times that."""
    login_failures: int = 10
    """Wrong passwords after which a client address may not log in for `login_block`."""
    login_block: timedelta = timedelta(minutes=10)
    messages_per_minute: int = 0
    """Of one client address, also over several sessions; 0 is no limit."""
    greet_pause: timedelta = timedelta(0)
    """Before the greeting; a client that speaks earlier is turned away."""
    tarpit: timedelta = timedelta(0)
    """Before the answer to a recipient that there is not: guessing shall take long."""
    clear_text_login_on_loopback: bool = False
    """AUTH without TLS, for clients on this machine."""
