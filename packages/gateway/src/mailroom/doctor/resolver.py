"""The name server, asked with dnspython. The only home of this library."""

from __future__ import annotations

import asyncio
import time

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.txtbase import TXTBase

from mailroom.doctor.answers import Answer, Status, plain
from mailroom.hosts import DNS_PORT, name_server
from mailroom_core.errors import ConfigError

PATIENCE = 3.0
"""Seconds for one question, with its repetitions."""
BUDGET = 9.0
"""Seconds for all questions of one look; after that nothing is asked any more."""
MANY = 24
"""Questions that are under way at once."""
GIVE_UP = 3
"""Questions without any answer, of the first ones, after which the name server counts as silent."""

_WIRE = 1232
"""Bytes of an answer by UDP: dnsflagday.net/2020."""


class Resolver:
    """One look's questions: each is asked once. Not to be kept, because what was answered is not asked again."""

    def __init__(self, addresses: tuple[str, ...] = ()) -> None:
        """`addresses` are of name servers; empty: those of this machine. Raises ConfigError."""
        self._resolver = _made(addresses)
        self.servers = tuple(self._named(each) for each in self._resolver.nameservers)
        self._under_way: dict[tuple[str, str], asyncio.Future[Answer]] = {}
        self._places = asyncio.Semaphore(MANY)
        self._until = time.monotonic() + BUDGET
        self._answered = self._silent = 0

    @property
    def silent(self) -> bool:
        """Whether it has never said anything."""
        return not self._answered and self._silent >= GIVE_UP

    async def ask(self, name: str, kind: str) -> Answer:
        """See `Ask`."""
        key = (plain(name), kind)
        if key not in self._under_way:
            self._under_way[key] = asyncio.ensure_future(self._asked(*key))
        return await asyncio.shield(self._under_way[key])

    async def _asked(self, name: str, kind: str) -> Answer:
        async with self._places:
            left = self._until - time.monotonic()
            if self.silent or left <= 0:
                return Answer(name, kind, Status.SILENT, trouble=f"not asked: {', '.join(self.servers)} did not answer before")
            answer = await self._answer(name, kind, min(PATIENCE, left))
        if answer.status is Status.SILENT:
            self._silent += 1
        else:
            self._answered += 1
        return answer

    async def _answer(self, name: str, kind: str, patience: float) -> Answer:
        try:
            found = await self._resolver.resolve(f"{name}.", kind, raise_on_no_answer=False, lifetime=patience, search=False)
        except dns.resolver.NXDOMAIN as problem:
            said = problem.response(dns.name.from_text(f"{name}."))  # type: ignore[no-untyped-call]  # dnspython has no types there
            return Answer(name, kind, Status.NO_NAME, server=", ".join(self.servers), validated=bool(said.flags & dns.flags.AD))
        except dns.exception.Timeout:
            words = f"no answer from {', '.join(self.servers)} within {patience:.0f} seconds"
            return Answer(name, kind, Status.SILENT, trouble=words)
        except dns.resolver.NoNameservers as problem:
            return Answer(name, kind, Status.TROUBLE, server=", ".join(self.servers), trouble=_words(problem))
        except (dns.exception.DNSException, OSError, UnicodeError) as problem:
            return Answer(name, kind, Status.TROUBLE, trouble=str(problem) or type(problem).__name__)
        records = () if found.rrset is None else tuple(_text(each) for each in found.rrset)
        alias = plain(found.canonical_name.to_text())
        return Answer(
            name,
            kind,
            Status.FOUND if records else Status.EMPTY,
            records,
            alias=alias if alias != name else "",
            server=_address(found.nameserver or "", found.port or DNS_PORT),
            validated=bool(found.response.flags & dns.flags.AD),
        )

    def _named(self, server: object) -> str:
        return _address(str(server), self._resolver.nameserver_ports.get(str(server), self._resolver.port))


def _made(addresses: tuple[str, ...]) -> dns.asyncresolver.Resolver:
    try:
        made = dns.asyncresolver.Resolver(configure=not addresses)
    except dns.resolver.NoResolverConfiguration:
        raise ConfigError("this machine names no name server in /etc/resolv.conf; set doctor.resolver") from None
    if addresses:
        parsed = [name_server(each) for each in addresses]
        made.nameservers = [host for host, _ in parsed]
        made.nameserver_ports = dict(parsed)
    made.timeout = 1.0
    made.use_edns(0, dns.flags.DO, _WIRE)
    made.flags = dns.flags.RD | dns.flags.AD
    return made


def _address(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == DNS_PORT else f"{shown}:{port}"


def _text(record: object) -> str:
    if isinstance(record, TXTBase):
        return b"".join(record.strings).decode("utf-8", "backslashreplace")
    return str(record)


def _words(problem: dns.resolver.NoNameservers) -> str:
    """`127.0.0.1 answered SERVFAIL`."""
    said = [f"{_host(str(each[0]))} {_error(each[3])}{_further(each[4])}" for each in problem.kwargs.get("errors") or ()]
    return "; ".join(dict.fromkeys(said)) or "no name server could tell"


def _further(response: dns.message.Message | None) -> str:
    """What it adds (RFC 8914), such as that DNSSEC does not hold."""
    told = [each.to_text().removeprefix("EDE ") for each in response.extended_errors()] if response is not None else []
    return f" ({', '.join(told)[:200]})" if told else ""


def _host(server: str) -> str:
    """dnspython writes `Do53:127.0.0.1@53`."""
    host, _, port = server.removeprefix("Do53:").rpartition("@")
    return _address(host, int(port)) if host and port.isdigit() else server


def _error(error: object) -> str:
    return f"answered {error}" if isinstance(error, str) else str(error) or type(error).__name__
