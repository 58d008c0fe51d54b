"""Who has too many sessions, sends too much, or guesses passwords. All tables are bounded."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from mailroom.listen.door import Client
from mailroom.listen.listener import Limits
from mailroom_core.errors import Refused

_REMEMBERED = 10_000


@lru_cache(maxsize=1024)
def read_client(host: str) -> Client:
    """The address of a peer; an IPv4 address that came through an IPv6 socket is an IPv4 address."""
    address = ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _household(client: Client) -> int:
    """What one client can easily have many of counts as one: an IPv6 client owns a /64."""
    if isinstance(client, IPv6Address):
        return int(client) >> 64 << 64
    return int(client)


class Sessions:
    """Counts sessions, in all and for each client."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_client: Counter[int] = Counter()
        self._all = 0

    def enter(self, client: Client) -> None:
        """Raises Refused (421); otherwise `leave` has to follow."""
        household = _household(client)
        if self._all >= self._limits.max_sessions:
            raise Refused(421, "4.3.2", "Too many connections at the moment; try again later")
        if self._by_client.get(household, 0) >= self._limits.max_sessions_per_client:
            raise Refused(421, "4.7.0", "Too many connections from your address; close some or try again later")
        self._all += 1
        self._by_client[household] += 1

    def leave(self, client: Client) -> None:
        household = _household(client)
        self._all -= 1
        self._by_client[household] -= 1
        if not self._by_client[household]:
            del self._by_client[household]


class Logins:
    """Wrong passwords of each client: slowed at first, then refused for a while. `clock` is monotonic, in seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._failures: OrderedDict[int, tuple[int, float]] = OrderedDict()

    def check(self, client: Client) -> None:
        """Raises Refused (421) if there were too many."""
        count, last = self._failures.get(_household(client), (0, 0.0))
        left = last + self._limits.login_block.total_seconds() - self._clock()
        if count >= self._limits.login_failures and left > 0:
            raise Refused(421, "4.7.0", f"Too many wrong passwords from your address; try again in {int(left // 60) + 1} minutes")

    def failed(self, client: Client) -> float:
        """Count one more. Returns the seconds that the client has to wait for its answer."""
        household, now = _household(client), self._clock()
        count, last = self._failures.pop(household, (0, now))
        count = 1 if now - last > self._limits.login_block.total_seconds() else count + 1
        self._failures[household] = (count, now)
        if len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)
        return self._limits.login_delay.total_seconds() * 2.0 ** min(count - 1, 4)


class Rates:
    """Messages of each client in the last minute. `clock` is monotonic, in seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._most = limits.messages_per_minute
        self._clock = clock
        self._begun: OrderedDict[int, deque[float]] = OrderedDict()

    def count(self, client: Client) -> None:
        """One more begins. Raises Refused (450) if there were too many."""
        if not self._most:
            return
        household, now = _household(client), self._clock()
        begun = self._begun.pop(household, None) or deque()
        self._begun[household] = begun
        while begun and begun[0] <= now - 60:
            begun.popleft()
        if len(begun) >= self._most:
            raise Refused(450, "4.7.1", f"More than {self._most} messages from your address within a minute; try again later")
        begun.append(now)
        if len(self._begun) > _REMEMBERED:
            self._begun.popitem(last=False)
