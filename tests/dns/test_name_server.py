"""The name server of the tests answers as a resolver would, and what stands before it can be slow, silent or a liar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.resolver
import pytest

from tests.dns_server import Between, DnsServer, between, dns_server, text

RECORDS = f"example.com. TXT {text('v=spf1 ' + 'ip4:192.0.2.1 ' * 200 + '-all')}\nalias.test. CNAME example.com."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsServer]:
    with dns_server(Path(tmp_path_factory.mktemp("dns")), RECORDS) as made:
        yield made


@pytest.fixture
def middle(server: DnsServer) -> Iterator[Between]:
    with between(server) as made:
        yield made


def resolver(address: str) -> dns.resolver.Resolver:
    made = dns.resolver.Resolver(configure=False)
    made.nameservers, made.port = ["127.0.0.1"], int(address.partition(":")[2])
    made.lifetime = 5
    return made


def test_aliases_are_followed_long_records_are_whole_and_the_rest_does_not_exist(server: DnsServer) -> None:
    (found,) = resolver(server.address).resolve("alias.test", "TXT")
    assert len(b"".join(found.strings)) == 7 + 14 * 200 + 4
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver(server.address).resolve("nowhere.test", "MX")


def test_what_is_added_is_answered_at_once(server: DnsServer) -> None:
    server.add("later.test. A 192.0.2.7")
    assert [each.to_text() for each in resolver(server.address).resolve("later.test", "A")] == ["192.0.2.7"]


def test_what_stands_between_hands_on_changes_and_is_silent(middle: Between) -> None:
    def validated(question: dns.message.Message, answer: dns.message.Message) -> dns.message.Message:
        answer.flags |= dns.flags.AD
        return answer

    middle.twist = validated
    answer = resolver(middle.address).resolve("example.com", "TXT")
    assert answer.response.flags & dns.flags.AD
    middle.twist = lambda question, answer: None
    with pytest.raises(dns.resolver.LifetimeTimeout):
        resolver(middle.address).resolve("example.com", "A", lifetime=0.5)
    assert "example.com A" in middle.asked
