"""What is kept of a name server's answers."""

from __future__ import annotations

import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset

from mailroom.authenticity.names import Kept


def keep(kept: Kept, name: str, *texts: str) -> bool:
    """Whether an answer is still there after it was kept."""
    asked = dns.name.from_text(name)
    reply = dns.message.make_response(dns.message.make_query(asked, "TXT"))
    reply.answer.append(dns.rrset.from_text(asked, 300, "IN", "TXT", *(f'"{each}"' for each in texts)))
    heard = dns.message.from_wire(reply.to_wire(max_size=65535))
    assert isinstance(heard, dns.message.QueryMessage)
    kept.put(_key(asked), dns.resolver.Answer(asked, dns.rdatatype.TXT, dns.rdataclass.IN, heard))
    return kept.get(_key(asked)) is not None


def _key(name: dns.name.Name) -> dns.resolver.CacheKey:
    return name, dns.rdatatype.TXT, dns.rdataclass.IN


def test_what_strangers_say_is_kept_up_to_a_number_and_a_size() -> None:
    kept = Kept(3)
    assert keep(kept, "usual.example.", "v=spf1 -all", "v=DKIM1; p=" + "A" * 240)
    assert not keep(kept, "huge.example.", *(f"{number:>200}" for number in range(300)))
    for number in range(5):
        assert keep(kept, f"n{number}.example.", "x")
    assert kept.get(_key(dns.name.from_text("usual.example."))) is None
    assert len(kept.data) == 3
