"""Calls to addresses that somebody else has chosen: only public ones, unless a network is allowed by the settings.

A name is resolved and every address that it has is checked; then the connection goes to one of the checked addresses, so that a second
answer of the name server changes nothing. TLS still checks the name. No redirect is followed, no proxy of the environment is used.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import httpcore2

from mailroom_core.flow import Response

Address = IPv4Address | IPv6Address

TIMEOUT = 15.0
"""Seconds, for the name, the connection, the request and the answer together."""
MOST = 16 * 1024
"""Bytes of an answer that are read."""
TRIES = 4
"""Addresses of one name that are tried."""
RESOLVERS = 32
_NAT64 = ip_network("64:ff9b::/96")
_UNICAST = ip_network("2000::/3")
"""All that is given out of IPv6: https://www.iana.org/assignments/ipv6-unicast-address-assignments , 2026-11-21."""
_NEVER = [
    ip_network("168.63.129.16/32"),  # Azure's own host: learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    ip_network("192.0.0.0/24"),  # RFC 6890; among them Oracle's metadata; Python calls a part of it global, depending on its version
    ip_network("3fff::/20"),  # RFC 9637, for documents; not every Python knows
]
"""Public in form alone."""


class NotAllowed(Exception):
    """The address is not one that we call; the text says why and what to do."""


class NoAnswer(Exception):
    """There was none; the text says why, without the path of the address."""


class Policy:
    """Which addresses may be called. `private` are networks that are allowed although they are not public."""

    def __init__(self, private: Iterable[str] = ()) -> None:
        self._private = [ip_network(each) for each in private]

    def allows(self, address: Address, *, encrypted: bool) -> bool:
        """In clear text only what the settings name."""
        known = _unwrapped(address)
        return any(known.version == each.version and known in each for each in self._private) or (encrypted and _is_public(known))

    def check_literal(self, host: str, *, encrypted: bool) -> None:
        """What can be told without asking a name server. Raises NotAllowed."""
        if not encrypted and not self._private:
            raise NotAllowed("http:// is only for networks in webhooks.private_networks, and there are none; use https://")
        try:
            address = ip_address(host)
        except ValueError:
            if host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost"):
                address = ip_address("127.0.0.1")
            else:
                return
        if not self.allows(address, encrypted=encrypted):
            raise NotAllowed(_refusal(host, encrypted=encrypted))


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    return address.is_global and not address.is_multicast and not any(address in each for each in _NEVER)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, if there is one inside."""
    if isinstance(address, IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour
        if inside is None and isinstance(_NAT64, IPv6Network) and address in _NAT64:
            inside = IPv4Address(int(address) & 0xFFFFFFFF)
        return inside or address
    return address


def _refusal(host: str, *, encrypted: bool) -> str:
    if not encrypted:
        return f"{host} is not in webhooks.private_networks, and http:// is only for those; use https://"
    return f"{host} is no public address; if it is meant, name its network in webhooks.private_networks"


class _Guard(httpcore2.AsyncNetworkBackend):
    """Connects to checked addresses alone."""

    def __init__(self, policy: Policy, resolvers: ThreadPoolExecutor, *, encrypted: bool) -> None:
        self._policy = policy
        self._resolvers = resolvers
        self._encrypted = encrypted
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        problem: Exception = NotAllowed(_refusal(host, encrypted=self._encrypted))
        for address in [each for each in await self._resolve(host, port) if self._allowed(each)][:TRIES]:
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failed:
                problem = failed
        raise problem

    def _allowed(self, address: str) -> bool:
        return self._policy.allows(ip_address(address), encrypted=self._encrypted)

    async def _resolve(self, host: str, port: int) -> list[str]:
        """In threads of its own: a name server that hangs delays nothing else."""
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._resolvers, ask)
        except (OSError, UnicodeError) as problem:
            raise httpcore2.ConnectError(f"{host} is not known to the name server ({problem})") from None
        return list(dict.fromkeys(str(each[4][0]) for each in found))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Target:
    """One URL with the connections to it; never shared, because a connection is as good as the name that it was checked for."""

    url: str
    _pool: httpcore2.AsyncConnectionPool

    async def post(self, headers: Mapping[str, str], body: bytes) -> Response:
        """The answer with its first bytes, whatever it is. Raises NotAllowed, NoAnswer."""
        return await self._call("POST", headers, body, TIMEOUT)

    async def get(self, headers: Mapping[str, str], *, patience: float = TIMEOUT) -> Response:
        """The same without a body, within so many seconds."""
        return await self._call("GET", headers, b"", patience)

    async def _call(self, method: str, headers: Mapping[str, str], body: bytes, patience: float) -> Response:
        fields = [(b"Host", self._host()), *((name.encode(), value.encode()) for name, value in headers.items())]
        try:
            async with (
                asyncio.timeout(patience),
                self._pool.stream(method, self.url, headers=fields, content=body) as answer,
            ):
                start = bytearray()
                async for chunk in answer.aiter_stream():
                    start += chunk
                    if len(start) >= MOST:
                        break
                fields_of = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
                return Response(answer.status, fields_of, bytes(start[:MOST]))
        except TimeoutError:
            raise NoAnswer(f"no answer within {patience:.0f} s") from None
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as problem:
            raise NoAnswer(f"no connection: {problem}") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, ssl.SSLError, OSError) as problem:
            raise NoAnswer(f"the connection broke: {type(problem).__name__}") from None

    def _host(self) -> bytes:
        origin = httpcore2.URL(self.url).origin
        standard = {b"http": 80, b"https": 443}[origin.scheme]
        name = b"[" + origin.host + b"]" if b":" in origin.host else origin.host
        return name if origin.port == standard else b"%b:%d" % (name, origin.port)

    async def close(self) -> None:
        await self._pool.aclose()


class Caller:
    """Makes targets. One per process."""

    def __init__(self, policy: Policy, context: ssl.SSLContext | None = None) -> None:
        self.policy = policy
        self._context = context
        self._resolvers = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")

    def target(self, url: str, *, connections: int = 1) -> Target:
        encrypted = httpcore2.URL(url).scheme == b"https"
        if encrypted and self._context is None:
            self._context = ssl.create_default_context()
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._context,
            max_connections=connections,
            keepalive_expiry=30.0,
            network_backend=_Guard(self.policy, self._resolvers, encrypted=encrypted),
        )
        return Target(url, pool)

    def close(self) -> None:
        self._resolvers.shutdown(wait=False, cancel_futures=True)


def words(chunks: Sequence[int] | bytes, most: int = 500) -> str:
    """The beginning of an answer, for people."""
    text = bytes(chunks[: 4 * most]).decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text).strip()[:most]
